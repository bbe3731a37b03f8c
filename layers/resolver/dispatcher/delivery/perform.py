"""The one loop that changes message rows.

It reads the row, computes the successor and writes it on ``rev``. After a refused write it either
recognizes its own earlier write or computes the successor again. Then it rings, sends dead letters
and publishes. No other module writes a message row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from dispatcher.delivery import transitions
from dispatcher.delivery.doorbells import Doorbell
from dispatcher.delivery.rows import replace
from dispatcher.delivery.transitions import Attempted, SettleDenied, Step
from dispatcher.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dispatcher.delivery.doorbells import DeadLetter
    from dispatcher.delivery.ports import (
        Clock,
        Doorbells,
        EventLog,
        IdGenerator,
        MessageStore,
        OutcomePublisher,
    )
    from dispatcher.delivery.rows import MessageRow, RequestRow
    from dispatcher.delivery.transitions import Opens, Settlement

Denied = TypeVar("Denied")

MOST_REFUSALS = 10
"""Refused writes in a row after which a call counts as failed."""

TIME_TO_CLAIM = 30.0
"""Seconds of the invocation that must remain before a claim, to send and record under faults."""

TIME_TO_WRITE = 2.0
"""Seconds of the invocation below which a failed record is not repeated."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between two writes of a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryContext:
    """Inputs of every change of a message row."""

    messages: MessageStore
    doorbells: Doorbells
    clock: Clock
    id_generator: IdGenerator
    event_log: EventLog
    retention: float
    """Seconds that ended messages are kept."""
    publisher: OutcomePublisher | None = None
    """``None`` if the operator named no outcome bus."""


def admit(context: DeliveryContext, request: RequestRow) -> MessageRow:
    """Write the message of a stored request, which accepts it, and ring for it; return its row.

    If the message exists, nothing is written, but the ring is repeated.
    """
    now = context.clock.now()
    step = transitions.accept(request, now=now)
    row = replace(step.row, rev=context.id_generator.rev())
    context.messages.create(row)
    ring_if_possible(context, row, step.ring_for, first=True)
    _emit(context, step, row)
    return row


def perform(
    context: DeliveryContext, row: MessageRow, transition: Callable[[MessageRow], Step | Denied]
) -> tuple[Step | Denied, MessageRow]:
    """Apply a transition to a row and write it; after a refusal compute it on the stored row.

    Returns the step, or why the transition does not apply, with the row as last seen. Raises
    ``NotFoundError`` if the row is gone, ``UnavailableError`` after ten refusals.
    """
    for _ in range(MOST_REFUSALS):
        step = transition(row)
        if not isinstance(step, Step):
            return step, row
        written = replace(step.row, rev=context.id_generator.rev())
        stored = context.messages.write(written, on=row.rev)
        if stored is None:
            raise NotFoundError(f"The message {row.message_id} is no longer stored.")
        if _took_effect(row, written, stored):
            _emit(context, step, stored)
            return step, stored
        row = stored
    raise UnavailableError(f"the message row was changed by others {MOST_REFUSALS} times in a row")


def record(
    context: DeliveryContext,
    row: MessageRow,
    settlement: Settlement,
    *,
    next_token: str | None,
    remaining: Callable[[], float],
    opens: Opens | None = None,
) -> tuple[Step | SettleDenied, MessageRow]:
    """Record the end of a claim, and repeat a failed write while there is time.

    ``next_token`` is the owner of the next claim, which is made if there is time for it. Without
    ``opens`` the user may be disturbed at any time.
    """
    token = row.owner or ""

    def settle(row: MessageRow) -> Step | SettleDenied:
        return transitions.settle(
            row,
            token,
            settlement,
            now=context.clock.now(),
            retention=context.retention,
            next_token=next_token if remaining() >= TIME_TO_CLAIM else None,
            opens=opens,
        )

    for pause in _growing_pauses():
        try:
            step, stored = perform(context, row, settle)
        except UnavailableError:
            if remaining() < TIME_TO_WRITE + pause:
                _emit_lost(context, row, settlement)
                raise
            context.clock.pause(pause)
            continue
        if step is SettleDenied.LOST:
            _emit_lost(context, row, settlement)
        return step, stored
    raise AssertionError("the pauses never end")  # pragma: no cover - for the type checker


def finish(context: DeliveryContext, step: Step, row: MessageRow) -> None:
    """Finish a visit: send dead letters, then ring for the next due delivery [11].

    Raises ``UnavailableError`` if the ring for a delivery that is due already fails: it was given
    back, or the visit is out of time. The sweeper repairs any other ring.
    """
    try:
        row = send_dead_letters(context, row, step.dead_letters)
    except UnavailableError:
        context.event_log.emit(
            "dead_letter.delayed", user_id=row.user_id, request_id=row.request_id
        )
        raise
    due_at, now = transitions.next_due(row), context.clock.now()
    if due_at is None or row.owner is not None or not transitions.fits_sqs_delay(due_at, now):
        return
    if due_at <= now:
        ring(context, row, due_at)
    else:
        ring_if_possible(context, row, due_at)


def send_dead_letters(
    context: DeliveryContext,
    row: MessageRow,
    owed: tuple[DeadLetter, ...],
    *,
    rings: bool = True,
) -> MessageRow:
    """Send dead letters, then clear their flags in the row; return the row as stored.

    The flag is cleared after the dead letter was sent: it may be sent twice, but never lost.
    ``rings`` tells whether the caller rings for the next due time afterwards [29].
    """
    for dead_letter in owed:
        context.doorbells.send_dead_letter(dead_letter)

    def clear(row: MessageRow) -> Step | transitions.Unchanged:
        now = context.clock.now()
        return transitions.dead_letters_sent(
            row, owed, now=now, retention=context.retention, rings=rings
        )

    return perform(context, row, clear)[1] if owed else row


def ring(context: DeliveryContext, row: MessageRow, due_at: float) -> None:
    """Ring for a due time, as late as SQS allows; ``UnavailableError`` if that may have failed."""
    context.doorbells.ring(_doorbell(row, due_at), delay=_delay(context, due_at))


def ring_if_possible(
    context: DeliveryContext, row: MessageRow, due_at: float | None, *, first: bool = False
) -> None:
    """Ring for a stored row; if the ring fails, the sweeper repairs it."""
    if due_at is None:
        return
    try:
        if first:
            context.doorbells.ring_first(_doorbell(row, due_at), delay=_delay(context, due_at))
        else:
            ring(context, row, due_at)
    except UnavailableError:
        context.event_log.emit("doorbell.lost", user_id=row.user_id, request_id=row.request_id)


def publish(context: DeliveryContext, row: MessageRow, place: int) -> None:
    """Publish the end of a delivery if the operator named a bus; the event may be lost."""
    if context.publisher is None:
        return
    try:
        context.publisher.publish(row, place)
    except UnavailableError as error:
        context.event_log.emit("outcome.unpublished", **ids(row, place), reason=str(error))


def ids(row: MessageRow, place: int) -> dict[str, str]:
    """Return the IDs that every log line about a delivery contains."""
    return {
        "user_id": row.user_id,
        "delivery_id": row.delivery_id(place),
        "request_id": row.request_id,
        "integration_type": row.deliveries[place].type,
    }


def _took_effect(before: MessageRow, written: MessageRow, stored: MessageRow) -> bool:
    """Return whether a refused write has taken effect, so that only its response was lost.

    ``stored`` has its ``rev`` then. If other writes followed, it has a token that only this write
    can have stored: of its claim, of the claim that it settled [16], or of the round that it opened
    [17].
    """
    if stored.rev == written.rev:
        return True
    if written.owner not in {None, before.owner} and stored.owner == written.owner:
        return True
    if written.last_owner != before.last_owner and stored.last_owner == written.last_owner:
        return True
    return any(
        new.opened_by != old.opened_by and now.opened_by == new.opened_by
        for old, new, now in zip(
            before.deliveries, written.deliveries, stored.deliveries, strict=True
        )
    )


def _emit(context: DeliveryContext, step: Step, row: MessageRow) -> None:
    for event in step.events:
        context.event_log.emit(event.name, **ids(row, event.place), **event.fields)


def _doorbell(row: MessageRow, due_at: float) -> Doorbell:
    return Doorbell(row.user_id, row.message_id, row.request_id, due_at)


def _delay(context: DeliveryContext, due_at: float) -> int:
    return transitions.sqs_delay(due_at, context.clock.now())


def _emit_lost(context: DeliveryContext, row: MessageRow, settlement: Settlement) -> None:
    """Write the line of an attempt whose outcome is dropped: a duplicate is possible."""
    if isinstance(settlement, Attempted):
        outcome = settlement.outcome
        context.event_log.emit(
            "record.lost",
            **ids(row, row.current or 0),
            outcome=type(outcome).__name__.lower(),
            code=outcome.code,
            detail=outcome.detail,
        )


def _growing_pauses() -> Iterator[float]:
    """Yield the seconds between two writes, because the SDK does not back off from many errors."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)
