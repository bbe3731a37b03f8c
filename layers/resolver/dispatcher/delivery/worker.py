"""Answers doorbells: claims a delivery, attempts it and has recorded what came of it.

The order of the steps is the protocol (``docs/architecture.md``); what each step may write is in
``protocol``. Whatever fails here on AWS's side raises ``UnavailableError``, and the queue rings
again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from threading import Lock
from typing import TYPE_CHECKING

from dispatcher.delivery import protocol
from dispatcher.delivery.doorbells import DeliveryBell, RequestBell, Ticket, UnreadableError, decode
from dispatcher.delivery.moving import Mover, ids
from dispatcher.delivery.outcomes import Outcome, Permanent, Retry
from dispatcher.delivery.prepare import Desk
from dispatcher.delivery.protocol import Ending, Refusal, key_of
from dispatcher.delivery.recording import Record
from dispatcher.delivery.rows import Delivery, Status
from dispatcher.errors import ConditionFailed, UnavailableError
from dispatcher.integrations import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.configuration.ports import Vault
    from dispatcher.delivery.ports import Channel, Message, Watchdog
    from dispatcher.delivery.redrive import Rounds

TIME_TO_CLAIM = 30.0
"""Seconds of the invocation that must be left before a claim.

To send, and to record against faults.
"""

TIME_TO_SEND = 25.0
"""Seconds of the invocation that must be left directly before a send: 10 for it, 15 for a record
whose three tries all run into their time limits."""


class Met(Enum):
    """What the worker found or did at one delivery."""

    DONE = "tried, ended, or nothing to do"
    LIVE = "another worker has it"
    EARLY = "not due yet"
    OUT_OF_TIME = "too little of the invocation or of the lease is left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker(Mover):
    """Delivers what doorbells ring for."""

    vault: Vault
    channels: Callable[[str], Channel]
    rounds: Rounds
    watchdog: Watchdog
    alone: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)
    """Held while a try is repeated that left no record.

    It may be what ended its process, and ends this one too. Tries whose record was lost only beside
    it are not even claimed meanwhile, so it costs them no second one.
    """

    def answer(self, body: str, source: str, remaining: Callable[[], float]) -> None:
        """Answer one message; ``remaining`` gives the seconds left of the invocation.

        Raises ``UnavailableError`` or ``BrokenSettingError`` where the message must come back.
        """
        # Before any claim: with a broken setting nothing can be sent, and a claim would count as a
        # lost try.
        self.system_defaults()
        try:
            doorbell = decode(body)
        except UnreadableError as error:
            self._park(body, str(error), source)
            return
        if not isinstance(doorbell, Ticket):
            Visit(self, doorbell.user_id, remaining).answer(doorbell)
        elif not self.rounds.redeem(doorbell):
            reason = "the ticket's round lies more than one ahead of the delivery's"
            self._park(body, reason, source)

    def _park(self, body: str, reason: str, source: str) -> None:
        self.doorbells.park(body, reason=reason, source=source)
        self.event_log.emit("message.parked", reason=reason, source=source)


class Visit:
    """One doorbell being answered."""

    def __init__(self, worker: Worker, user_id: str, remaining: Callable[[], float]) -> None:
        self._worker = worker
        self._user_id = user_id
        self._remaining = remaining
        self._desk = Desk(worker, worker.vault, user_id)

    def answer(self, doorbell: RequestBell | DeliveryBell) -> None:
        """Attempt what the doorbell rings for, and ring again for what cannot be done now."""
        if isinstance(doorbell, RequestBell):
            self._answer_request(doorbell)
        else:
            self._answer_delivery(doorbell)

    def _answer_request(self, doorbell: RequestBell) -> None:
        request = self._desk.request(doorbell.request_id)
        if request is None:
            return
        for entry in request["answer"]["deliveries"]:
            met, row = self._attempt(entry["delivery_id"])
            if met is Met.OUT_OF_TIME:
                self._worker.doorbells.ring(doorbell)
                return
            if met is Met.LIVE and row and protocol.on_first_try(row):
                # A lower priority never overtakes a first try; whoever has that one rings for its
                # own retries.
                return
            if met is Met.EARLY and row and row.tries == 0 and row.round == 1:
                now = self._worker.clock.now()
                if protocol.within_reach(row.due_at, now):
                    self._worker.doorbells.ring(
                        doorbell, delay=max(1, protocol.delay_until(row.due_at, now))
                    )
                return

    def _answer_delivery(self, doorbell: DeliveryBell) -> None:
        met, row = self._attempt(doorbell.delivery_id)
        if met is Met.OUT_OF_TIME:
            self._worker.doorbells.ring_retry(doorbell)
        elif met is Met.EARLY and row and row.due_at == doorbell.due_at:
            rest = protocol.delay_until(row.due_at, self._worker.clock.now())
            self._worker.doorbells.ring_retry(doorbell, delay=max(1, rest))

    # One delivery ---------------------------------------------------------------------------------

    def _attempt(self, delivery_id: str) -> tuple[Met, Delivery | None]:
        if self._remaining() < TIME_TO_CLAIM:
            return Met.OUT_OF_TIME, None
        worker = self._worker
        token = worker.id_generator.token()
        # Before the call: however long its answer takes, the lease is never thought longer than it
        # is.
        claimed_at = worker.clock.monotonic()
        claim = protocol.claim(token, worker.clock.now())
        try:
            row = Delivery.of(worker.deliveries.apply(key_of(self._user_id, delivery_id), claim))
        except ConditionFailed as refused:
            stored = refused.row
            refusal = protocol.why_refused(stored, token, worker.clock.now())
            if refusal is Refusal.EARLY and stored:
                return Met.EARLY, Delivery.of(stored)
            if refusal is Refusal.LIVE and stored:
                return Met.LIVE, Delivery.of(stored)
            if refusal is Refusal.LAPSED and stored:
                with worker.alone:
                    return self._take_over(Delivery.of(stored))
            if refusal is not Refusal.MINE or not stored:
                return Met.DONE, None
            row = Delivery.of(stored)
        return self._serve(row, token, claimed_at), row

    def _take_over(self, lost: Delivery) -> tuple[Met, Delivery | None]:
        if self._remaining() < TIME_TO_CLAIM:
            return Met.OUT_OF_TIME, None
        worker = self._worker
        token = worker.id_generator.token()
        resend = catalogue()[lost.integration_type].resend_unknown
        if not resend or not protocol.may_try(lost.tries, lost.unknown + 1, lost.max_attempts):
            ending = Ending(
                status=Status.FAILED,
                code=protocol.UNKNOWN_OUTCOME,
                message="the last try left no record and the budget of tries is used up"
                if resend
                else f"the try left no record, and {lost.integration_type} is never sent twice",
            )
            Record(worker, lost, token, self._remaining).end_unknown(ending)
            return Met.DONE, lost
        claimed_at = worker.clock.monotonic()
        take = protocol.take_over(lost, token, worker.clock.now())
        try:
            row = Delivery.of(
                worker.deliveries.apply(key_of(self._user_id, lost.delivery_id), take)
            )
        except ConditionFailed as refused:
            if not refused.row or refused.row.get("owner") != token:
                return Met.LIVE, lost
            row = Delivery.of(refused.row)
        worker.event_log.emit("claim.taken_over", **ids(row), tries=row.tries, unknown=row.unknown)
        return self._serve(row, token, claimed_at), row

    def _serve(self, row: Delivery, token: str, claimed_at: float) -> Met:
        """Send what a claimed row asks for, unless something speaks against it, and record it."""
        clock = self._worker.clock
        record = Record(self._worker, row, token, self._remaining)
        try:
            prepared = self._desk.prepare(row)
        except UnavailableError:
            # Nothing was sent, so this was no try; the message comes back, or the sweeper rings.
            record.give_back()
            raise
        if isinstance(prepared, Ending):
            record.end(prepared)
            return Met.DONE
        lease = protocol.LEASE - (clock.monotonic() - claimed_at)
        if lease < protocol.LEASE_TO_SEND or self._remaining() < TIME_TO_SEND:
            # The doorbell ends here and is rung again whole: a lower priority never overtakes.
            record.give_back()
            return Met.OUT_OF_TIME
        began, started = clock.monotonic(), clock.now()
        outcome = (
            prepared
            if isinstance(prepared, Retry)
            else self._send(replace(prepared, attempted_at=started))
        )
        record.attempt(
            outcome,
            started=started,
            seconds=clock.monotonic() - began,
            sent_with=self._desk.overrides,
        )
        return Met.DONE

    def _send(self, message: Message) -> Outcome:
        worker = self._worker
        try:
            channel = worker.channels(message.integration_type)
            outcome = worker.watchdog.within(protocol.ATTEMPT, lambda: channel.deliver(message))
        except Exception as error:  # noqa: BLE001 - its mistake must not cost the record
            worker.event_log.emit(
                "channel.broke",
                **ids(message),
                error=type(error).__name__,
            )
            return _uncertain(
                message,
                "internal_error",
                f"the {message.integration_type} channel failed: {type(error).__name__}",
            )
        return outcome or _uncertain(
            message, "timeout", f"no outcome within {protocol.ATTEMPT:.0f} s"
        )


def _uncertain(message: Message, code: str, detail: str) -> Outcome:
    """Say what becomes of a try that may have reached its receiver, or not."""
    if catalogue()[message.integration_type].resend_unknown:
        return Retry(code, detail)
    return Permanent(
        protocol.UNKNOWN_OUTCOME, f"{detail}, and {message.integration_type} is never sent twice"
    )
