"""Answers doorbells: claims a delivery, attempts it and records what came of it.

The order of the steps is the protocol (``docs/architecture.md``); what each step may write is in
``protocol``. Whatever fails here on AWS's side raises ``UnavailableError``, and the queue rings
again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from dispatcher import protocol
from dispatcher.delivery import REQUEST, Delivery, Item, Status
from dispatcher.doorbells import DeliveryBell, RequestBell, Ticket, UnreadableError, decode
from dispatcher.errors import RefusedError, SealedError, UnavailableError
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Recipient
from dispatcher.outcomes import Delivered, Outcome, Permanent, Retry
from dispatcher.ports import Message
from dispatcher.protocol import Change, Ending, Refusal, Write, key_of
from dispatcher.resolution import NOT_CONFIGURED, Secrets, effective, merged, system_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dispatcher.ports import (
        Channel,
        Clock,
        Deliveries,
        Doorbells,
        Identities,
        Journal,
        Overrides,
        Vault,
        Watchdog,
    )
    from dispatcher.resolution import Default, UserOverrides
    from dispatcher.usecases.rounds import Rounds

TIME_TO_CLAIM = 30.0
"""Seconds of the invocation that must be left before a claim.

To send, and to record against faults.
"""

TIME_TO_SEND = 25.0
"""Seconds of the invocation that must be left directly before a send: 10 for it, 15 for a record
whose three tries all run into their time limits."""

TIME_TO_WRITE = 2.0
"""Seconds of the invocation below which a faulty write is not repeated."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between two tries of a record."""

FRESH = 10.0
"""Seconds that one reading of a user's overrides serves."""

DETAIL_LENGTH = 300
"""Characters of an outcome's detail that a row keeps."""


class Met(Enum):
    """What the worker found or did at one delivery."""

    DONE = "tried, ended, or nothing to do"
    LIVE = "another worker has it"
    EARLY = "not due yet"
    OUT_OF_TIME = "too little of the invocation or of the lease is left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Delivers what doorbells ring for."""

    environ: Mapping[str, str]
    retention: float
    overrides: Overrides
    deliveries: Deliveries
    doorbells: Doorbells
    vault: Vault
    channels: Callable[[str], Channel]
    rounds: Rounds
    watchdog: Watchdog
    clock: Clock
    identities: Identities
    journal: Journal

    def answer(self, body: str, source: str, remaining: Callable[[], float]) -> None:
        """Answer one message; ``remaining`` gives the seconds left of the invocation.

        Raises ``UnavailableError`` or ``BrokenSettingError`` where the message must come back.
        """
        # Before any claim: with a broken setting nothing can be sent, and a claim would count as a
        # lost try.
        system_defaults(self.environ)
        try:
            doorbell = decode(body)
        except UnreadableError as error:
            self.doorbells.park(body, reason=str(error), source=source)
            self.journal.note("message.parked", reason=str(error), source=source)
            return
        if isinstance(doorbell, Ticket):
            self._redeem(doorbell, body, source)
        else:
            Visit(self, doorbell.user_id, remaining).answer(doorbell)

    def _redeem(self, ticket: Ticket, body: str, source: str) -> None:
        if self.rounds.redeem(ticket):
            return
        reason = "the ticket's round lies more than one ahead of the delivery's"
        self.doorbells.park(body, reason=reason, source=source)
        self.journal.note("message.parked", reason=reason, source=source)


class Visit:
    """One doorbell being answered: holds what it has read of the user so far."""

    def __init__(self, worker: Worker, user_id: str, remaining: Callable[[], float]) -> None:
        self._worker = worker
        self._user_id = user_id
        self._remaining = remaining
        self._reading: tuple[float, dict[str, Default], UserOverrides] | None = None
        self._requests: dict[str, Item | None] = {}

    def answer(self, doorbell: RequestBell | DeliveryBell) -> None:
        """Attempt what the doorbell rings for, and ring again for what cannot be done now."""
        if isinstance(doorbell, RequestBell):
            self._answer_request(doorbell)
        else:
            self._answer_delivery(doorbell)

    def _answer_request(self, doorbell: RequestBell) -> None:
        request = self._request(doorbell.request_id)
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
        token = worker.identities.token()
        # Before the call: however long its answer takes, the lease is never thought longer than it
        # is.
        claimed_at = worker.clock.monotonic()
        now = worker.clock.now()
        try:
            row = Delivery.of(
                worker.deliveries.apply(self._key(delivery_id), protocol.claim(token, now))
            )
        except RefusedError as refused:
            stored = refused.row
            refusal = protocol.why_refused(stored, token, worker.clock.now())
            if refusal is Refusal.EARLY and stored:
                return Met.EARLY, Delivery.of(stored)
            if refusal is Refusal.LIVE and stored:
                return Met.LIVE, Delivery.of(stored)
            if refusal is Refusal.LAPSED and stored:
                return self._take_over(Delivery.of(stored))
            if refusal is not Refusal.MINE or not stored:
                return Met.DONE, None
            row = Delivery.of(stored)
        return self._serve(row, token, claimed_at), row

    def _take_over(self, lost: Delivery) -> tuple[Met, Delivery]:
        worker = self._worker
        token = worker.identities.token()
        resend = catalogue()[lost.integration_type].resend_unknown
        if not resend or not protocol.may_try(lost.tries, lost.unknown + 1, lost.max_attempts):
            ending = Ending(
                status=Status.FAILED,
                code=protocol.UNKNOWN_OUTCOME,
                message="the last try left no record and the budget of tries is used up"
                if resend
                else f"the try left no record, and {lost.integration_type} is never sent twice",
            )
            now = worker.clock.now()
            change = protocol.end_unknown(lost, token, ending, now=now, ttl=self._ttl(now))
            self._finish(lost, token, ending, change)
            return Met.DONE, lost
        claimed_at = worker.clock.monotonic()
        take = protocol.take_over(lost, token, worker.clock.now())
        try:
            row = Delivery.of(worker.deliveries.apply(self._key(lost.delivery_id), take))
        except RefusedError as refused:
            if not refused.row or refused.row.get("owner") != token:
                return Met.LIVE, lost
            row = Delivery.of(refused.row)
        worker.journal.note("claim.taken_over", **_ids(row), tries=row.tries, unknown=row.unknown)
        return self._serve(row, token, claimed_at), row

    def _serve(self, row: Delivery, token: str, claimed_at: float) -> Met:
        """Send what a claimed row asks for, unless something speaks against it, and record it."""
        worker = self._worker
        try:
            prepared = self._prepare(row)
        except UnavailableError:
            # Nothing was sent, so this was no try; the message comes back, or the sweeper rings.
            self._give_back(row, token)
            raise
        if isinstance(prepared, Ending):
            self._end(row, token, prepared, entry=None)
            return Met.DONE
        lease = protocol.LEASE - (worker.clock.monotonic() - claimed_at)
        if lease < protocol.LEASE_TO_SEND or self._remaining() < TIME_TO_SEND:
            # The doorbell ends here and is rung again whole: a lower priority never overtakes.
            self._give_back(row, token)
            return Met.OUT_OF_TIME
        began, started = worker.clock.monotonic(), worker.clock.now()
        outcome = (
            prepared
            if isinstance(prepared, Retry)
            else self._send(replace(prepared, attempted_at=started))
        )
        seconds = worker.clock.monotonic() - began
        self._record(row, token, outcome, started=started, seconds=seconds)
        return Met.DONE

    def _send(self, message: Message) -> Outcome:
        worker = self._worker
        try:
            channel = worker.channels(message.integration_type)
            outcome = worker.watchdog.within(protocol.ATTEMPT, lambda: channel.deliver(message))
        except Exception as error:  # noqa: BLE001 - its mistake must not cost the record
            worker.journal.note(
                "channel.broke",
                integration_type=message.integration_type,
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

    def _prepare(self, row: Delivery) -> Message | Retry | Ending:
        """Gather what the send needs, or say what becomes of the delivery without one."""
        worker = self._worker
        request = self._request(row.request_id)
        if request is None or request["fingerprint"] != row.fingerprint:
            return Ending(
                status=Status.FAILED,
                code="content_expired",
                message="the message is no longer kept",
            )
        if row.expires_at is not None and worker.clock.now() > row.expires_at:
            return Ending(status=Status.FAILED, code="expired", message="expires_at has passed")
        defaults, overrides = self._settings()
        name = row.integration_type
        integration = catalogue()[name]
        reason = effective(defaults, overrides).disabled.get(name)
        if reason and not row.forced:
            return Ending(
                status=Status.SKIPPED,
                code=reason,
                message=f"{name} is no longer used for this user: {reason}",
            )
        if not defaults[name].configured:
            return Ending(
                status=Status.FAILED,
                code=NOT_CONFIGURED,
                message=f"{name} is not configured on this system",
            )
        override = overrides.by_type.get(name)
        configuration = merged(defaults[name], override)
        sealed = override.sealed if override else ()
        try:
            secrets = Secrets.of(worker.vault.open(row.user_id, name, sealed) if sealed else {})
        except SealedError:
            # Never sent without its secrets; a key that stays denied uses up the budget and shows
            # in the history.
            return Retry("secret_unavailable", "the secrets of the override could not be decrypted")
        config = configuration.config
        if integration.secrets:
            config = integration.secrets.reveal(config, secrets.config)
        address = integration.address(
            config, Recipient(**request["recipient"]), row.user_id, worker.environ
        )
        if address is None:
            hint = f"no address is known: set config.{integration.address_key}"
            return Ending(status=Status.FAILED, code="no_address", message=hint)
        return Message(
            delivery_id=row.delivery_id,
            request_id=row.request_id,
            session_id=row.session_id,
            agent_id=request["agent_id"],
            user_id=row.user_id,
            integration_type=name,
            subject=request["subject"],
            content=request["content"],
            config=config,
            secrets=secrets.issued,
            address=address,
            round=row.round,
            attempt=row.tries,
            accepted_at=row.created_at,
            attempted_at=worker.clock.now(),
        )

    def _give_back(self, row: Delivery, token: str) -> None:
        worker = self._worker
        try:
            worker.deliveries.apply(
                self._key(row.delivery_id), protocol.give_back(token, worker.clock.now())
            )
        except RefusedError as refused:
            if not protocol.is_ours(refused.row, token):
                return
        worker.journal.note("claim.given_back", **_ids(row))

    # Record ---------------------------------------------------------------------------------------

    def _record(
        self, row: Delivery, token: str, outcome: Outcome, *, started: float, seconds: float
    ) -> None:
        worker = self._worker
        word = {Delivered: "delivered", Retry: "retry", Permanent: "permanent"}[type(outcome)]
        entry = protocol.attempt_entry(
            row,
            started=started,
            seconds=seconds,
            outcome=word,
            code=outcome.code,
            detail=outcome.detail[:DETAIL_LENGTH],
        )
        ended = round(started + seconds, 3)
        worker.journal.note(
            "delivery.attempted",
            **_ids(row),
            **{name: value for name, value in entry.items() if name != "started_at"},
            max_attempts=row.max_attempts,
        )
        match outcome:
            case Delivered():
                self._end(
                    row,
                    token,
                    Ending(status=Status.SUCCESS, metadata=outcome.metadata),
                    entry=entry,
                )
            case Permanent():
                ending = Ending(status=Status.FAILED, code=outcome.code, message=entry["detail"])
                self._end(row, token, ending, entry=entry)
                if outcome.gone:
                    self._disable(row)
            case Retry():
                due_at = protocol.retry_due(ended, row.retry_delay_seconds, outcome.after)
                if not protocol.may_try(row.tries, row.unknown, row.max_attempts):
                    ending = Ending(
                        status=Status.FAILED, code=outcome.code, message=entry["detail"]
                    )
                    self._end(row, token, ending, entry=entry)
                elif row.expires_at is not None and due_at > row.expires_at:
                    message = (
                        f"the next try would come after expires_at; the last: {entry['detail']}"
                    )
                    self._end(
                        row,
                        token,
                        Ending(status=Status.FAILED, code="expired", message=message),
                        entry=entry,
                    )
                else:
                    self._retry_later(row, token, entry, due_at)

    def _retry_later(
        self, row: Delivery, token: str, entry: Mapping[str, object], due_at: float
    ) -> None:
        worker = self._worker
        now = worker.clock.now()
        change = protocol.record_retry(row, token, entry, due_at=due_at, now=now)
        if not self._written(
            row, token, lambda: worker.deliveries.apply(self._key(row.delivery_id), change)
        ):
            return
        if protocol.within_reach(due_at, now):
            self._ring_softly(DeliveryBell(row.user_id, row.delivery_id, due_at))

    def _end(
        self, row: Delivery, token: str, ending: Ending, *, entry: Mapping[str, object] | None
    ) -> None:
        now = self._worker.clock.now()
        self._finish(
            row,
            token,
            ending,
            protocol.record_end(row, token, ending, entry=entry, now=now, ttl=self._ttl(now)),
        )

    def _finish(self, row: Delivery, token: str, ending: Ending, change: Change) -> None:
        """Write how a round ended, and for its siblings; then send the ticket that it owes."""
        worker = self._worker
        # When each was released. All are rung for: of two writes the first may have been the one
        # that took effect, its answer lost; a doorbell for who still waits does nothing.
        released: dict[str, float] = {}

        def write() -> None:
            later = self._waiting_after(row)
            now = worker.clock.now()
            if ending.status == Status.SUCCESS:
                others = [(one, protocol.skip_sibling(now, self._ttl(now))) for one in later]
            else:
                released.update(dict.fromkeys(later[:1], now))
                others = [(one, protocol.release(now)) for one in later[:1]]
            if not others:
                worker.deliveries.apply(self._key(row.delivery_id), change)
                return
            siblings = [Write(self._key(one), step) for one, step in others]
            worker.deliveries.commit([Write(self._key(row.delivery_id), change), *siblings])

        if not self._written(row, token, write):
            return
        worker.journal.note(
            "delivery.ended", **_ids(row), status=ending.status, code=ending.code, round=row.round
        )
        for one, due_at in released.items():
            self._ring_softly(DeliveryBell(row.user_id, one, due_at))
        if ending.owes_ticket:
            try:
                send_owed_ticket(
                    worker.deliveries, worker.doorbells, row.user_id, row.delivery_id, row.round
                )
            except UnavailableError:
                # Still owed, and the row says so: the sweeper sends it.
                worker.journal.note("ticket.delayed", **_ids(row))

    def _waiting_after(self, row: Delivery) -> list[str]:
        """Return the later siblings of a ``first_success`` request that wait now."""
        if not row.chain or row.round > 1:
            return []
        later = row.chain[row.chain.index(row.delivery_id) + 1 :]
        rows = [(one, self._worker.deliveries.get(self._key(one))) for one in later]
        return [
            one
            for one, item in rows
            if item and item["status"] == Status.PENDING and item.get("waits")
        ]

    def _written(self, row: Delivery, token: str, write: Callable[[], object]) -> bool:
        """Write a record, again and again against faults while there is time.

        Tell whether the row holds it.
        """
        worker = self._worker
        for pause in _growing_pauses():
            try:
                write()
            except RefusedError as refused:
                # Only a sibling refused: look at them again; a result is never dropped for a
                # sibling's sake.
                if 0 in refused.rows:
                    if protocol.is_ours(refused.row, token):
                        return True
                    worker.journal.note("record.lost", **_ids(row))
                    return False
            except UnavailableError:
                if self._remaining() < TIME_TO_WRITE + pause:
                    raise
            else:
                return True
            worker.clock.pause(pause)
        raise AssertionError("the pauses never end")  # pragma: no cover - for the type checker

    def _ring_softly(self, doorbell: DeliveryBell) -> None:
        """Ring; a ring that fails is the sweeper's to repair, and the record stands."""
        worker = self._worker
        delay = protocol.delay_until(doorbell.due_at, worker.clock.now())
        try:
            worker.doorbells.ring_retry(doorbell, delay=delay)
        except UnavailableError:
            worker.journal.note(
                "doorbell.lost", user_id=doorbell.user_id, delivery_id=doorbell.delivery_id
            )

    def _disable(self, row: Delivery) -> None:
        """Turn off the override whose receiver is gone, unless it was changed since."""
        worker = self._worker
        # The reading that was sent with, however old: a newer one may name another receiver.
        read = self._reading
        override = read[2].by_type.get(row.integration_type) if read else None
        if read is None or override is None or override.disabled_by_receiver:
            return
        off = replace(override, disabled_by_receiver=True)
        try:
            worker.overrides.replace(
                row.user_id,
                row.integration_type,
                off,
                version=read[2].version,
                token=worker.identities.token(),
            )
        except (RefusedError, UnavailableError):
            # Changed meanwhile, or out of reach: the next delivery meets the same answer and tries
            # again.
            return
        worker.journal.note("override.disabled", **_ids(row))

    # Reading --------------------------------------------------------------------------------------

    def _request(self, request_id: str) -> Item | None:
        if request_id not in self._requests:
            self._requests[request_id] = self._worker.deliveries.get(
                (self._user_id, REQUEST + request_id)
            )
        return self._requests[request_id]

    def _settings(self) -> tuple[dict[str, Default], UserOverrides]:
        """Return defaults and overrides, read anew once the last reading is no longer fresh."""
        worker = self._worker
        now = worker.clock.monotonic()
        if self._reading is None or now - self._reading[0] > FRESH:
            self._reading = (
                now,
                system_defaults(worker.environ),
                worker.overrides.get(self._user_id),
            )
        return self._reading[1], self._reading[2]

    def _key(self, delivery_id: str) -> protocol.Key:
        return key_of(self._user_id, delivery_id)

    def _ttl(self, now: float) -> float:
        return float(int(now + self._worker.retention) + 1)


def send_owed_ticket(
    deliveries: Deliveries, doorbells: Doorbells, user_id: str, delivery_id: str, round_number: int
) -> None:
    """Send the dead-letter ticket of a failed round and settle the debt.

    It may be doubled, never missing.
    """
    doorbells.leave_ticket(Ticket(user_id, delivery_id, round_number + 1))
    try:
        deliveries.apply(key_of(user_id, delivery_id), protocol.ticket_sent(round_number))
    except RefusedError:
        # A fresh round has begun: nothing is owed any more.
        return


def _uncertain(message: Message, code: str, detail: str) -> Outcome:
    """Say what becomes of a try that may have reached its receiver, or not."""
    if catalogue()[message.integration_type].resend_unknown:
        return Retry(code, detail)
    return Permanent(
        protocol.UNKNOWN_OUTCOME, f"{detail}, and {message.integration_type} is never sent twice"
    )


def _growing_pauses() -> Iterator[float]:
    """Yield seconds to wait between tries: errors that the SDK does not back off from are many."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


def _ids(row: Delivery) -> dict[str, object]:
    return {
        "user_id": row.user_id,
        "delivery_id": row.delivery_id,
        "request_id": row.request_id,
        "integration_type": row.integration_type,
    }
