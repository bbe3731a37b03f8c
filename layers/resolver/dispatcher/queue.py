"""The queue edge: a batch of SQS records, answered side by side, and who of them must come back.

Not the batch processor of Powertools: it takes records one after the other, refuses an empty
batch, and raises by default when all failed, which loses all of them if anybody catches it.
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from dispatcher import wiring
from dispatcher.doorbells import UnreadableError, decode
from dispatcher.errors import DispatcherError
from dispatcher.faults import described

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

UseCase = TypeVar("UseCase")

CROWD = 3
"""Doorbells of one user in one batch that are a crowd: behind them stand many more in line."""


class NamelessRecordError(DispatcherError):
    """A record failed that has no messageId: only the whole batch can come back."""


@dataclass(frozen=True, slots=True)
class Record:
    """One message: its text, the name of its queue and its id (empty if it came without one).

    ``crowded`` tells that it is one of many doorbells of its user.
    """

    body: str
    source: str
    message_id: str
    crowded: bool = False


def each(
    event: Mapping[str, Any],
    build: Callable[[], UseCase],
    answer: Callable[[UseCase, Record], None],
) -> dict[str, list[dict[str, str]]]:
    """Answer every record of an event and return the partial batch response.

    ``build`` runs once, before the threads: clients are not made side by side, and a broken
    setting leaves the whole batch in its queue. An ``Exception`` fails its own record alone;
    what is worse than one (a crash) passes through.
    """
    started = time.monotonic()
    records = _records(event.get("Records") or ())
    if not records:
        return {"batchItemFailures": []}
    errors = _errors(records, build, answer)
    failed = [(record, error) for record, error in zip(records, errors, strict=True) if error]
    journal = wiring.journal()
    for record, error in failed:
        journal.note(
            "record.failed",
            message_id=record.message_id,
            source=record.source,
            **described(error),
        )
    journal.note(
        "batch.answered",
        source=records[0].source,
        records=len(records),
        failed=len(failed),
        duration_ms=round((time.monotonic() - started) * 1000, 1),
    )
    # A response with an empty id deletes the message in some clouds and fails the batch in others.
    if any(not record.message_id for record, _ in failed):
        raise NamelessRecordError("a record without messageId failed: the whole batch comes back")
    return {"batchItemFailures": [{"itemIdentifier": record.message_id} for record, _ in failed]}


def _errors(
    records: list[Record],
    build: Callable[[], UseCase],
    answer: Callable[[UseCase, Record], None],
) -> list[Exception | None]:
    try:
        use_case = build()
    except Exception as error:  # noqa: BLE001 - the edge: it is every record's fault, and told so
        return [error] * len(records)
    with ThreadPoolExecutor(len(records)) as pool:
        return list(pool.map(lambda record: _tried(use_case, answer, record), records))


def _tried(
    use_case: UseCase, answer: Callable[[UseCase, Record], None], record: Record
) -> Exception | None:
    try:
        answer(use_case, record)
    except Exception as error:  # noqa: BLE001 - the edge: one record's fault stays its own
        return error
    return None


def _records(messages: Sequence[Mapping[str, Any]]) -> list[Record]:
    bodies = [raw.get("body") or "" for raw in messages]
    users = [_user(body) for body in bodies]
    # A doorbell that came doubled is no crowd.
    sizes = Counter(_user(body) for body in set(bodies))
    return [
        Record(
            body=body,
            source=(raw.get("eventSourceARN") or "").rpartition(":")[2],
            message_id=raw.get("messageId") or "",
            crowded=user is not None and sizes[user] >= CROWD,
        )
        for raw, body, user in zip(messages, bodies, users, strict=True)
    ]


def _user(body: str) -> str | None:
    try:
        return decode(body).user_id
    except UnreadableError:
        return None
