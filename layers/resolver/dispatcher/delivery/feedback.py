"""Applies the reports of providers about messages that they accepted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.delivery import perform, provider_events, transitions
from dispatcher.delivery.doorbells import UnreadableError
from dispatcher.delivery.rows import Receipt, message_id_of, place_of
from dispatcher.delivery.transitions import FeedbackDenied, Report, Step
from dispatcher.errors import NotFoundError, TooEarlyError, UnavailableError

if TYPE_CHECKING:
    from dispatcher.configuration.rows import UserOverrides
    from dispatcher.configuration.suppressions import Suppressions
    from dispatcher.delivery.holds import Holds
    from dispatcher.delivery.perform import DeliveryContext
    from dispatcher.delivery.provider_events import ProviderEvent
    from dispatcher.delivery.rows import Delivery, MessageRow

SOURCE = "FeedbackQueue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """Corrects deliveries, and suppresses addresses, by the word of a provider."""

    context: DeliveryContext
    holds: Holds
    suppressions: Suppressions
    stack: str

    def take(self, body: str, message_id: str) -> None:
        """Apply the event of one queue message; park any other message.

        Raises ``TooEarlyError``, ``UnavailableError`` or ``BrokenSettingError`` if the message must
        come back.
        """
        try:
            event = provider_events.read(body, self.stack)
            self._apply(event)
        except UnreadableError as error:
            self.context.doorbells.park(body, reason=str(error), source=SOURCE)
            self.context.event_log.emit("feedback.parked", reason=str(error), message_id=message_id)

    def _apply(self, event: ProviderEvent) -> None:
        row, stored = self._read(event)
        if row is None:
            return
        place = place_of(event.delivery_id)
        delivery = row.deliveries[place]
        at = _time_of(event, row, delivery)
        if event.meaning.suppress and event.address is not None:
            # Before the row [45]: a sibling or a retry that the row starts meets the suppression.
            self.suppressions.add(
                event.user_id,
                event.integration_type,
                event.address,
                state=event.meaning.suppress,
                at=at,
                delivery_id=event.delivery_id,
                detail=event.detail,
            )
        state, code = event.meaning.receipt, event.meaning.error_code
        receipt = None if state is None else Receipt(state, at, event.detail)
        report = Report(receipt, at, code, event.detail)
        try:
            step, row = self._write(row, place, report, event.round, stored)
        except NotFoundError:
            step = FeedbackDenied.EXPIRED
        match step:
            case Step():
                self._finish(step, row, place, stored)
            case FeedbackDenied.PENDING:
                raise TooEarlyError(
                    f"delivery {event.delivery_id} is pending; the event is applied once it ended"
                )
            case FeedbackDenied.EXPIRED:
                self._emit_expired(event)

    def _read(self, event: ProviderEvent) -> tuple[MessageRow | None, UserOverrides | None]:
        """Return the message, ``None`` if it has expired, and the preferences if they may matter.

        Raises ``UnreadableError`` if there never was such a delivery.
        """
        messages, now = self.context.messages, self.context.clock.now()
        message_id = message_id_of(event.delivery_id)
        stored: UserOverrides | None = None
        if event.meaning.error_code is None:
            row = messages.message(event.user_id, message_id)
        else:
            # A skipped sibling may be pending afterwards, and wait for the user's hours.
            row, _, stored = messages.visit(event.user_id, message_id, None)
        if row is None:
            if _made_at(message_id) + self.context.retention > now:
                raise UnreadableError("the delivery is unknown")
            self._emit_expired(event)
            return None, None
        place = place_of(event.delivery_id)
        if place >= len(row.deliveries) or row.deliveries[place].type != event.integration_type:
            raise UnreadableError("the delivery is unknown")
        return row, stored

    def _write(
        self,
        row: MessageRow,
        place: int,
        report: Report,
        round_number: int,
        stored: UserOverrides | None,
    ) -> tuple[Step | FeedbackDenied, MessageRow]:
        context = self.context
        opens = self.holds.opens(stored, row.user_id) if stored else None

        def reported(row: MessageRow) -> Step | FeedbackDenied:
            return transitions.reported(
                row,
                place,
                report,
                round_number=round_number,
                now=context.clock.now(),
                retention=context.retention,
                opens=opens,
            )

        return perform.perform(context, row, reported)

    def _finish(
        self, step: Step, row: MessageRow, place: int, stored: UserOverrides | None
    ) -> None:
        """Ring, send and publish after a report is written; the sweeper repairs failures."""
        context = self.context
        perform.ring_if_possible(context, row, step.ring_for)
        owed = [one for one in step.dead_letters if place_of(one.delivery_id) == place]
        try:
            row = perform.send_dead_letters(context, row, tuple(owed), rings=False)
        except (UnavailableError, NotFoundError):
            context.event_log.emit(
                "dead_letter.delayed", user_id=row.user_id, request_id=row.request_id
            )
        for ended in step.ended:
            perform.publish(context, row, ended)
        if stored is not None and any(one.held is not None for one in step.row.deliveries):
            self.holds.check(row, stored.version)

    def _emit_expired(self, event: ProviderEvent) -> None:
        self.context.event_log.emit(
            "feedback.expired",
            user_id=event.user_id,
            delivery_id=event.delivery_id,
            integration_type=event.integration_type,
        )


def _time_of(event: ProviderEvent, row: MessageRow, delivery: Delivery) -> float:
    """Return when the provider reported; without a time in the event, when the message was sent.

    Never the present: the same event again must not change anything.
    """
    return event.at or delivery.last_attempt_at or row.created_at


def _made_at(message_id: str) -> float:
    """Return the time in a UUIDv7, in seconds since 1970."""
    return int(message_id.replace("-", "")[:12], 16) / 1000
