"""Handles queue messages: claims due deliveries, attempts them, and records the outcomes.

A *visit* is the handling of one doorbell. If a call of AWS finally fails, the visit raises
``UnavailableError`` and the queue delivers the doorbell again.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from dispatcher.deadline import Deadline
from dispatcher.delivery import perform, transitions
from dispatcher.delivery.doorbells import DeadLetter, UnreadableError, decode
from dispatcher.delivery.outcomes import ATTEMPT, RENDERING, UNKNOWN_OUTCOME, Permanent, Retry
from dispatcher.delivery.ports import Message
from dispatcher.delivery.prepare import FreshOverrides
from dispatcher.delivery.receivers import TRIES
from dispatcher.delivery.transitions import (
    Attempted,
    ClaimDenied,
    Ending,
    GivenBack,
    Held,
    Step,
)
from dispatcher.errors import (
    BrokenSettingError,
    ConditionFailed,
    NotFoundError,
    UnavailableError,
)
from dispatcher.integrations import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.configuration.health_changes import HealthChange
    from dispatcher.configuration.suppressions import Suppressions
    from dispatcher.delivery.doorbells import Doorbell
    from dispatcher.delivery.outcomes import Outcome
    from dispatcher.delivery.perform import DeliveryContext
    from dispatcher.delivery.ports import Channel, Render, Watchdog
    from dispatcher.delivery.prepare import MessageBuilder
    from dispatcher.delivery.receivers import Receivers
    from dispatcher.delivery.redrive import Rounds
    from dispatcher.delivery.rows import MessageRow, RequestRow
    from dispatcher.delivery.transitions import Settlement

LEASE_TO_SEND = 35.0
"""Seconds of the lease that must remain directly before a send [12]."""

TIME_TO_SEND = 25.0
"""Seconds of the invocation that must remain directly before a send: 10 for the send, 15 for a
record whose three calls all time out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Delivers what doorbells ring for."""

    context: DeliveryContext
    builder: MessageBuilder
    channels: Callable[[str], Channel]
    rounds: Rounds
    watchdog: Watchdog
    suppressions: Suppressions
    receivers: Receivers
    alone: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)
    """Held while an attempt without a record is repeated.

    That attempt may have crashed its process, and may crash this one too. Other deliveries are not
    claimed meanwhile, so such a crash costs them no attempt.
    """
    rendering: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)
    """Held while a message is rendered: parallel renderings would only delay each other and the
    running attempts."""

    def handle(self, body: str, source: str, remaining: Callable[[], float]) -> None:
        """Handle one queue message; ``remaining`` gives the seconds left of the invocation.

        Raises ``UnavailableError`` or ``BrokenSettingError`` if the message must come back.
        """
        # Before any claim, because with a broken setting no message can be sent.
        self.builder.system_defaults()
        try:
            message = decode(body)
        except UnreadableError as error:
            self.context.doorbells.park(body, reason=str(error), source=source)
            self.context.event_log.emit("message.parked", reason=str(error), source=source)
            return
        try:
            if isinstance(message, DeadLetter):
                self.rounds.redrive(message)
            else:
                self._visit(message, remaining)
        except NotFoundError:
            # The row has expired: no delivery is left.
            return

    def _visit(self, doorbell: Doorbell, remaining: Callable[[], float]) -> None:
        context = self.context
        if remaining() < perform.TIME_TO_CLAIM:
            context.doorbells.ring(doorbell)
            return
        read_at = context.clock.monotonic()
        row, request, stored = context.messages.visit(
            doorbell.user_id, doorbell.message_id, doorbell.request_id
        )
        # If the doorbell names another request than the row, the content was not read.
        if row is None or row.request_id != doorbell.request_id:
            return
        # Before any claim, because this fails without the category or with a broken time zone.
        self.builder.category(row)
        self.builder.holds.opens(stored, row.user_id)
        overrides = FreshOverrides(self.builder, doorbell.user_id, stored, read_at)
        is_lost = row.owner is not None and not transitions.is_claimed(row, context.clock.now())
        with self.alone if is_lost else nullcontext():
            if remaining() < perform.TIME_TO_CLAIM:
                # The wait for the lock has used up the time.
                context.doorbells.ring(doorbell)
                return
            lease = self._lease()
            step, row = perform.perform(context, row, self._begin)
            if isinstance(step, Step):
                claim = Claim(row, step.row.owner, lease, request, overrides, remaining)
                self._attempt_all(step, claim)
            elif step is ClaimDenied.IDLE and transitions.next_due(row) == doorbell.due_at:
                # An early doorbell: ring again for the remaining time [9]. All others are dropped.
                rest = transitions.sqs_delay(doorbell.due_at, context.clock.now())
                context.doorbells.ring(doorbell, delay=max(1, rest))

    def _lease(self) -> Deadline:
        return Deadline(transitions.LEASE, self.context.clock.monotonic)

    def _begin(self, row: MessageRow) -> Step | ClaimDenied:
        # A new token for each computation identifies the owner of the row's claim [16].
        token, now = self.context.id_generator.token(), self.context.clock.now()
        return transitions.begin(row, token=token, now=now, retention=self.context.retention)

    def _attempt_all(self, step: Step, claim: Claim) -> None:
        """Attempt one claimed delivery after the other, then finish the visit."""
        context = self.context
        settlement: Settlement | None = None
        # With the row as it was stored then, because a new round may open before the visit ends.
        ends = [(claim.row, place) for place in step.ended]
        try:
            while claim.is_held and not isinstance(settlement, GivenBack):
                settlement, message, change = self._attempt(claim)
                token = None if isinstance(settlement, GivenBack) else context.id_generator.token()
                lease = self._lease()
                latest = claim.overrides.latest
                recorded, row = perform.record(
                    context,
                    claim.row,
                    settlement,
                    next_token=token,
                    remaining=claim.remaining,
                    opens=self.builder.holds.opens(latest, claim.row.user_id),
                )
                if _is_gone(settlement):
                    self._disable(claim)
                if message is not None:
                    self._suppress(settlement, message)
                if change is not None:
                    self.receivers.announce(change)
                if isinstance(recorded, Step) and _is_held(recorded, claim):
                    row = self.builder.holds.check(
                        row, latest.version, read=claim.overrides.read_again
                    )
                claim = replace(claim, row=row, token=token, lease=lease)
                if not isinstance(recorded, Step):
                    return
                step = recorded
                ends += [(row, place) for place in step.ended]
            perform.finish(context, step, claim.row)
        finally:
            for row, place in ends:
                perform.publish(context, row, place)

    def _attempt(self, claim: Claim) -> Tried:
        """Prepare and send the claimed delivery's message; return the settlement."""
        clock = self.context.clock
        try:
            prepared, probe = self._prepare(claim)
        except UnavailableError:
            # No message was sent, so this does not count as an attempt.
            return Tried(GivenBack())
        if isinstance(prepared, Ending | Held):
            return Tried(prepared)
        attempt = self._render(prepared)
        if claim.lease.remaining() < LEASE_TO_SEND or claim.remaining() < TIME_TO_SEND:
            return Tried(GivenBack())
        began, started_at = clock.monotonic(), clock.now()
        outcome = attempt()
        attempted = Attempted(outcome, started_at, clock.monotonic() - began)
        if isinstance(prepared, Retry):
            return Tried(attempted)
        return Tried(attempted, prepared, self._judge(claim, outcome, probe))

    def _prepare(self, claim: Claim) -> tuple[Message | Retry | Ending | Held, float | None]:
        """Return the message to send, and the identity of the probe if it is one [47].

        Raises ``UnavailableError``, also if others keep changing the user's row.
        """
        row = claim.row
        for _ in range(TRIES):
            prepared = self.builder.build(row, claim.request, claim.overrides)
            if not isinstance(prepared, Message):
                return prepared, None
            delivery = row.deliveries[row.current or 0]
            try:
                return prepared, self.receivers.probe(row, delivery, claim.overrides)
            except ConditionFailed:
                # Another delivery probes the receiver, or the message may differ now.
                claim.overrides.read_again()
        raise UnavailableError(f"the row of user {row.user_id} is being changed by others")

    def _judge(self, claim: Claim, outcome: Outcome, probe: float | None) -> HealthChange | None:
        """Store the effect of the outcome on the receiver's health, if the record has time too."""
        delivery = claim.row.deliveries[claim.row.current or 0]
        if claim.remaining() < perform.TIME_TO_CLAIM:
            return None
        try:
            return self.receivers.judge(claim.row, delivery, outcome, claim.overrides, probe)
        except UnavailableError:
            return None

    def _render(self, prepared: Message | Retry) -> Callable[[], Outcome]:
        """Render a message before its attempt's clock starts; return the attempt."""
        if isinstance(prepared, Retry):
            return lambda: prepared
        message = replace(prepared, attempted_at=self.context.clock.now())
        try:
            channel = self.channels(message.integration_type)
            # On Python 3.11 a runtime_checkable protocol would cost 3 % of a webhook's time.
            render: Render | None = getattr(channel, "render", None)
            if render is None:
                return partial(self._send, message, partial(channel.deliver, message))
            work = partial(self._render_alone, render, message)
            send = self.watchdog.within(RENDERING, work)
        except Exception as error:  # noqa: BLE001 - the channel's fault must not cost the record
            failed = self._failed(message, error)
            return lambda: failed
        if send is None:
            late = f"the message was not rendered within {RENDERING:.0f} s; nothing was sent"
            return lambda: Retry("rendering_timeout", late)
        return partial(self._send, message, send)

    def _render_alone(self, render: Render, message: Message) -> Callable[[], Outcome] | None:
        # Wait no longer than the visit does, so that no abandoned rendering starts.
        if not self.rendering.acquire(timeout=RENDERING):
            return None
        try:
            return render(message)
        finally:
            self.rendering.release()

    def _send(self, message: Message, send: Callable[[], Outcome]) -> Outcome:
        try:
            outcome = self.watchdog.within(ATTEMPT, send)
        except Exception as error:  # noqa: BLE001 - the channel's fault must not cost the record
            return self._failed(message, error)
        return outcome or _uncertain(message, "timeout", f"no outcome within {ATTEMPT:.0f} s")

    def _failed(self, message: Message, error: Exception) -> Outcome:
        if isinstance(error, BrokenSettingError):
            # Settings are read before anything is sent.
            return Retry("broken_setting", str(error))
        name = type(error).__name__
        self.context.event_log.emit(
            "channel.failed",
            user_id=message.user_id,
            delivery_id=message.delivery_id,
            request_id=message.request_id,
            integration_type=message.integration_type,
            error=name,
        )
        detail = f"the {message.integration_type} channel failed: {name}"
        return _uncertain(message, "internal_error", detail)

    def _disable(self, claim: Claim) -> None:
        """Disable an override after a 410 response, unless it was changed since the send."""
        row, place = claim.row, claim.row.current or 0
        name = row.deliveries[place].type
        # The overrides of the send, because a later read may name another receiver.
        stored = claim.overrides.latest
        override = stored.by_type.get(name)
        if override is None or override.disabled_by_receiver:
            return
        disabled = replace(override, disabled_by_receiver=True)
        token = self.context.id_generator.token()
        try:
            self.builder.overrides.replace(
                row.user_id, name, disabled, version=stored.version, token=token
            )
        except (ConditionFailed, UnavailableError):
            # The override was changed, or AWS did not respond; a later 410 disables it again.
            return
        self.context.event_log.emit("override.disabled", **perform.ids(row, place))

    def _suppress(self, settlement: Settlement, message: Message) -> None:
        """Suppress the address of a message of which the receiving side says that it is dead."""
        outcome = settlement.outcome if isinstance(settlement, Attempted) else None
        if not isinstance(outcome, Permanent) or outcome.suppress is None:
            return
        try:
            self.suppressions.add(
                message.user_id,
                message.integration_type,
                message.address.value,
                state=outcome.suppress,
                at=message.attempted_at,
                delivery_id=message.delivery_id,
                detail=outcome.detail,
            )
        except UnavailableError:
            # The next message to the address meets the same response.
            return
        self.context.event_log.emit(
            "address.suppressed",
            user_id=message.user_id,
            delivery_id=message.delivery_id,
            request_id=message.request_id,
            integration_type=message.integration_type,
            state=outcome.suppress,
        )


class Tried(NamedTuple):
    """The settlement of a claim, the message if one was sent, and the change of its receiver."""

    settlement: Settlement
    message: Message | None = None
    change: HealthChange | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of this visit, with the inputs of its attempt."""

    row: MessageRow
    token: str | None
    lease: Deadline
    """The lease, measured from before the write of the claim, so it is never overestimated [12]."""
    request: RequestRow | None
    overrides: FreshOverrides
    remaining: Callable[[], float]

    @property
    def is_held(self) -> bool:
        """Whether the row is claimed by this visit."""
        return self.token is not None and self.row.owner == self.token


def _is_held(recorded: Step, claim: Claim) -> bool:
    return recorded.row.deliveries[claim.row.current or 0].held is not None


def _is_gone(settlement: Settlement) -> bool:
    outcome = settlement.outcome if isinstance(settlement, Attempted) else None
    return isinstance(outcome, Permanent) and outcome.gone


def _uncertain(message: Message, code: str, detail: str) -> Outcome:
    """Return the outcome of an attempt that may have reached its receiver."""
    name = message.integration_type
    if catalogue()[name].resend_unknown:
        return Retry(code, detail)
    return Permanent(UNKNOWN_OUTCOME, f"{detail}, and {name} is never sent twice")
