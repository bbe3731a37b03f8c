"""The queue edge: handles the records of an SQS batch in parallel and returns the failed ones.

The batch processor of Powertools is not used: it handles records one after the other, refuses an
empty batch, and by default raises if all have failed, which loses them if a caller catches it.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, TypeVar

from dispatcher.edges import invocation
from dispatcher.edges.log_fields import log_fields
from dispatcher.errors import DispatcherError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.delivery.ports import EventLog
    from dispatcher.edges import LambdaEvent

UseCase = TypeVar("UseCase")

LULL = 0.002
"""Seconds without a new record begun after which one more thread handles records.

Python runs one thread at a time. Ten threads that began together needed longer for switching than
for handling ten records.
"""


class NamelessRecordError(DispatcherError):
    """A record without a messageId has failed, so the whole batch has to be retried."""


class FailedRecord(TypedDict):
    """A record that SQS delivers again."""

    itemIdentifier: str


class BatchResponse(TypedDict):
    """The partial batch response: the records that SQS delivers again."""

    batchItemFailures: list[FailedRecord]


@dataclass(frozen=True, slots=True)
class Record:
    """One message: its text, the name of its queue and its ID (empty if missing)."""

    body: str
    source: str
    message_id: str


def each(
    event: LambdaEvent,
    context: object,
    build: Callable[[], UseCase],
    handle: Callable[[UseCase, Record], None],
) -> BatchResponse:
    """Handle every record of an event and return the partial batch response.

    ``build`` runs once, before the threads start: clients are not built in parallel, and a broken
    setting leaves the whole batch in its queue. An ``Exception`` fails only its own record; any
    other ``BaseException`` (a crash) is raised.
    """
    with invocation(context) as event_log:
        return _handle_all(event, event_log, build, handle)


def _handle_all(
    event: LambdaEvent,
    event_log: EventLog,
    build: Callable[[], UseCase],
    handle: Callable[[UseCase, Record], None],
) -> BatchResponse:
    started = time.monotonic()
    records = [_record(raw) for raw in event.get("Records") or ()]
    if not records:
        return {"batchItemFailures": []}
    errors = _errors(records, build, handle)
    failed = [(record, error) for record, error in zip(records, errors, strict=True) if error]
    for record, error in failed:
        event_log.emit(
            "message.returned",
            message_id=record.message_id,
            source=record.source,
            **log_fields(error),
        )
    event_log.emit(
        "batch.handled",
        source=records[0].source,
        records=len(records),
        failed=len(failed),
        duration_ms=round((time.monotonic() - started) * 1000, 1),
    )
    # A response with an empty ID deletes the message in some clouds and fails the batch in others.
    if any(not record.message_id for record, _ in failed):
        raise NamelessRecordError("a record without messageId failed: the whole batch comes back")
    return {"batchItemFailures": [{"itemIdentifier": record.message_id} for record, _ in failed]}


def _errors(
    records: list[Record],
    build: Callable[[], UseCase],
    handle: Callable[[UseCase, Record], None],
) -> list[Exception | None]:
    try:
        use_case = build()
    except Exception as error:  # noqa: BLE001 - the edge: it is every record's fault
        return [error] * len(records)
    errors: list[Exception | None] = [None] * len(records)
    waiting = deque(enumerate(records))

    def work() -> None:
        while True:
            try:
                index, record = waiting.popleft()
            except IndexError:
                return
            errors[index] = _try(use_case, handle, record)

    with ThreadPoolExecutor(len(records)) as pool:
        working = [pool.submit(work)]
        left = len(records)
        while waiting:
            wait(working, LULL)
            if len(waiting) == left:
                working.append(pool.submit(work))
            left = len(waiting)
        for thread in working:
            thread.result()
    return errors


def _try(
    use_case: UseCase, handle: Callable[[UseCase, Record], None], record: Record
) -> Exception | None:
    try:
        handle(use_case, record)
    except Exception as error:  # noqa: BLE001 - the edge: one record's fault stays its own
        return error
    return None


def _record(raw: LambdaEvent) -> Record:
    return Record(
        body=raw.get("body") or "",
        source=(raw.get("eventSourceARN") or "").rpartition(":")[2],
        message_id=raw.get("messageId") or "",
    )
