"""Writes down what came of a try, and does what follows from it.

A retry rings for itself, an end releases or skips its siblings and leaves its ticket. What each
step may write is in ``protocol``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dispatcher.delivery import protocol
from dispatcher.delivery.doorbells import DeliveryBell, Ticket
from dispatcher.delivery.moving import ids
from dispatcher.delivery.outcomes import Delivered, Outcome, Permanent, Retry
from dispatcher.delivery.protocol import Change, Ending, Write, key_of
from dispatcher.delivery.rows import Delivery, Status
from dispatcher.errors import ConditionFailed, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dispatcher.configuration.resolution import UserOverrides
    from dispatcher.delivery.moving import Mover
    from dispatcher.delivery.ports import Deliveries, Doorbells

TIME_TO_WRITE = 2.0
"""Seconds of the invocation below which a faulty write is not repeated."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between two tries of a record."""

DETAIL_LENGTH = 300
"""Characters of an outcome's detail that a row keeps."""


class Record:
    """The record of one claim, which ends it; ``token`` is the claim's owner."""

    def __init__(
        self, mover: Mover, row: Delivery, token: str, remaining: Callable[[], float]
    ) -> None:
        self._mover = mover
        self._row = row
        self._token = token
        self._remaining = remaining
        self._key = key_of(row.user_id, row.delivery_id)

    def attempt(
        self, outcome: Outcome, *, started: float, seconds: float, sent_with: UserOverrides | None
    ) -> None:
        """Write down an attempt, and when the next is due or how the round ends."""
        row = self._row
        word = {Delivered: "delivered", Retry: "retry", Permanent: "permanent"}[type(outcome)]
        entry = protocol.attempt_entry(
            row,
            started=started,
            seconds=seconds,
            outcome=word,
            code=outcome.code,
            detail=outcome.detail[:DETAIL_LENGTH],
        )
        after: Delivery | None = None
        try:
            after = self._settle(outcome, entry, round(started + seconds, 3), sent_with)
        finally:
            self._mover.event_log.emit(
                "delivery.attempted",
                **ids(row),
                **{name: value for name, value in entry.items() if name != "started_at"},
                max_attempts=row.max_attempts,
                late_ms=round((started - row.due_at) * 1000),
                status=after and after.status,
                error_code=after and after.error_code,
            )

    def end(self, ending: Ending) -> None:
        """Write how the round ended without another attempt."""
        self._note_end(self._end(ending))

    def end_unknown(self, ending: Ending) -> None:
        """Write that the claim of another, whose lease is over, was the last of its round."""
        now = self._mover.clock.now()
        ttl = self._mover.ttl(now)
        self._note_end(
            self._finish(
                ending, protocol.end_unknown(self._row, self._token, ending, now=now, ttl=ttl)
            )
        )

    def give_back(self) -> None:
        """Return the claim unused: nothing was sent, so it was no try."""
        mover = self._mover
        try:
            mover.deliveries.apply(self._key, protocol.give_back(self._token, mover.clock.now()))
        except ConditionFailed as refused:
            if not protocol.is_ours(refused.row, self._token):
                return
        mover.event_log.emit("claim.given_back", **ids(self._row))

    def _settle(
        self,
        outcome: Outcome,
        entry: Mapping[str, Any],
        ended: float,
        sent_with: UserOverrides | None,
    ) -> Delivery | None:
        """Write what follows from an outcome; return the row then, ``None`` if it is lost."""
        row = self._row
        match outcome:
            case Delivered():
                return self._end(Ending(status=Status.SUCCESS, metadata=outcome.metadata), entry)
            case Permanent():
                failed = Ending(status=Status.FAILED, code=outcome.code, message=entry["detail"])
                after = self._end(failed, entry)
                if outcome.gone:
                    self._disable(sent_with)
                return after
            case Retry():
                due_at = protocol.retry_due(ended, row.retry_delay_seconds, outcome.after)
                ending = self._without_retry(outcome, entry["detail"], due_at)
                return self._end(ending, entry) if ending else self._retry_later(entry, due_at)

    def _end(self, ending: Ending, entry: Mapping[str, Any] | None = None) -> Delivery | None:
        now = self._mover.clock.now()
        ttl = self._mover.ttl(now)
        change = protocol.record_end(self._row, self._token, ending, entry=entry, now=now, ttl=ttl)
        return self._finish(ending, change)

    def _without_retry(self, outcome: Retry, detail: str, due_at: float) -> Ending | None:
        row = self._row
        if not protocol.may_try(row.tries, row.unknown, row.max_attempts):
            return Ending(status=Status.FAILED, code=outcome.code, message=detail)
        if row.expires_at is not None and due_at > row.expires_at:
            message = f"the next try would come after expires_at; the last: {detail}"
            return Ending(status=Status.FAILED, code="expired", message=message)
        return None

    def _retry_later(self, entry: Mapping[str, Any], due_at: float) -> Delivery | None:
        mover, row = self._mover, self._row
        now = mover.clock.now()
        change = protocol.record_retry(row, self._token, entry, due_at=due_at, now=now)
        if not self._written(lambda: mover.deliveries.apply(self._key, change)):
            return None
        if protocol.within_reach(due_at, now):
            self._ring(row.delivery_id, due_at)
        return protocol.applied(row, change)

    def _finish(self, ending: Ending, change: Change) -> Delivery | None:
        """Write how a round ended, and for its siblings; then do all that follows from it.

        Return the row then, ``None`` if it is lost.
        """
        mover, row = self._mover, self._row
        # Who was skipped, and when each is due that was released. All are told and rung for: of two
        # writes the first may have been the one that took effect, its answer lost; a doorbell for
        # who still waits does nothing.
        skipped: dict[str, Delivery] = {}
        released: dict[str, float] = {}

        def write() -> None:
            later = mover.waiting_after(row)
            now = mover.clock.now()
            if ending.status == Status.SUCCESS:
                skip = protocol.skip_sibling(now, mover.ttl(now))
                skipped.update({one.delivery_id: protocol.applied(one, skip) for one in later})
                others = [(one, skip) for one in later]
            else:
                others = [(one, protocol.release(one, now)) for one in later[:1]]
                released.update({one.delivery_id: step.set["due_at"] for one, step in others})
            if not others:
                mover.deliveries.apply(self._key, change)
                return
            siblings = [Write(key_of(row.user_id, one.delivery_id), step) for one, step in others]
            mover.deliveries.commit([Write(self._key, change), *siblings])

        if not self._written(write):
            return None
        after = protocol.applied(row, change)
        for one in skipped.values():
            self._note_end(one)
        for delivery_id, due_at in released.items():
            self._ring(delivery_id, due_at)
        if ending.owes_ticket:
            try:
                send_owed_ticket(
                    mover.deliveries, mover.doorbells, row.user_id, row.delivery_id, row.round
                )
            except UnavailableError:
                # Still owed, and the row says so: the sweeper sends it.
                mover.event_log.emit("ticket.delayed", **ids(row))
        for one in (after, *skipped.values()):
            mover.tell(one)
        return after

    def _note_end(self, ended: Delivery | None) -> None:
        """Note the end of a round that no attempt brought about."""
        if ended:
            self._mover.event_log.emit(
                "delivery.ended",
                **ids(ended),
                status=ended.status,
                error_code=ended.error_code,
                round=ended.round,
            )

    def _written(self, write: Callable[[], object]) -> bool:
        """Write again and again against faults while there is time.

        Tell whether the row holds it.
        """
        mover = self._mover
        for pause in _growing_pauses():
            try:
                write()
            except ConditionFailed as refused:
                # Only a sibling refused: look at them again; a result is never dropped for a
                # sibling's sake.
                if 0 in refused.rows:
                    if protocol.is_ours(refused.row, self._token):
                        return True
                    mover.event_log.emit("record.lost", **ids(self._row))
                    return False
            except UnavailableError:
                if self._remaining() < TIME_TO_WRITE + pause:
                    raise
            else:
                return True
            mover.clock.pause(pause)
        raise AssertionError("the pauses never end")  # pragma: no cover - for the type checker

    def _ring(self, delivery_id: str, due_at: float) -> None:
        mover = self._mover
        mover.call(
            mover.doorbells.ring_retry,
            DeliveryBell(self._row.user_id, delivery_id, due_at),
            delay=protocol.delay_until(due_at, mover.clock.now()),
        )

    def _disable(self, sent_with: UserOverrides | None) -> None:
        """Turn off the override whose receiver is gone, unless it was changed since."""
        mover, row = self._mover, self._row
        # What was sent with, however old: a newer reading may name another receiver.
        override = sent_with.by_type.get(row.integration_type) if sent_with else None
        if sent_with is None or override is None or override.disabled_by_receiver:
            return
        try:
            mover.overrides.replace(
                row.user_id,
                row.integration_type,
                replace(override, disabled_by_receiver=True),
                version=sent_with.version,
                token=mover.id_generator.token(),
            )
        except (ConditionFailed, UnavailableError):
            # Changed meanwhile, or out of reach: the next delivery meets the same answer and tries
            # again.
            return
        mover.event_log.emit("override.disabled", **ids(row))


def send_owed_ticket(
    deliveries: Deliveries, doorbells: Doorbells, user_id: str, delivery_id: str, round_number: int
) -> None:
    """Send the dead-letter ticket of a failed round and settle the debt.

    It may be doubled, never missing.
    """
    doorbells.leave_ticket(Ticket(user_id, delivery_id, round_number + 1))
    try:
        deliveries.apply(key_of(user_id, delivery_id), protocol.ticket_sent(round_number))
    except ConditionFailed:
        # A fresh round has begun: nothing is owed any more.
        return


def _growing_pauses() -> Iterator[float]:
    """Yield seconds to wait between tries: errors that the SDK does not back off from are many."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)
