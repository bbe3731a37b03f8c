"""Starts a new round of a failed delivery, and cancels a pending one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.configuration.resolution import merged
from dispatcher.configuration.suppressions import suppression_now
from dispatcher.delivery import perform, transitions
from dispatcher.delivery.describe import delivery_detail
from dispatcher.delivery.rows import (
    Status,
    is_live,
    message_id_of,
    place_of,
)
from dispatcher.delivery.transitions import CancelDenied, ReopenDenied, RetryPolicy, Step
from dispatcher.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dispatcher.configuration.resolution import SystemDefaults
    from dispatcher.configuration.rows import Suppression, UserOverrides
    from dispatcher.delivery.doorbells import DeadLetter
    from dispatcher.delivery.holds import Holds
    from dispatcher.delivery.perform import DeliveryContext
    from dispatcher.delivery.rows import MessageRow
    from dispatcher.responses import DeliveryDetailResponse, RetryResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """Opens new rounds and cancels deliveries on request."""

    context: DeliveryContext
    system_defaults: Callable[[], SystemDefaults]
    holds: Holds
    environ: Mapping[str, str]

    def retry(self, user_id: str, delivery_id: str, *, now: bool = False) -> RetryResponse:
        """Begin a new round of a failed delivery; ``ConflictError`` unless it has failed.

        Also if its address is suppressed. With ``now`` the round ignores hours and mutes.
        """
        row, place, overrides = self._read(user_id, delivery_id)
        if suppression := self._suppression(row, place, overrides):
            raise ConflictError(
                f"Delivery {delivery_id} goes to {suppression.shown}, which is suppressed "
                f"({suppression.state}); delete the suppression or set another address first."
            )
        round_number = row.deliveries[place].round
        step, row = self._reopen(row, place, round_number, overrides, ignores_hours=now)
        if isinstance(step, ReopenDenied):
            raise ConflictError(_reopen_conflict(step, row, place))
        return {
            "delivery_id": delivery_id,
            "round": round_number + 1,
            "status": str(Status.PENDING),
        }

    def redrive(self, dead_letter: DeadLetter) -> None:
        """Begin the round that a dead letter names, if it still applies."""
        try:
            row, place, overrides = self._read(dead_letter.user_id, dead_letter.delivery_id)
        except NotFoundError:
            return
        step, row = self._reopen(row, place, dead_letter.round - 1, overrides)
        if step is ReopenDenied.CLOSED:
            self.context.event_log.emit("dead_letter.dropped", **perform.ids(row, place))

    def cancel(self, user_id: str, delivery_id: str) -> DeliveryDetailResponse:
        """Cancel a pending delivery; ``ConflictError`` if it is attempted now or has ended."""
        context = self.context
        message = context.messages.message(user_id, message_id_of(delivery_id))
        row, place = self._found(user_id, delivery_id, message)

        def cancel(row: MessageRow) -> Step | CancelDenied:
            now = context.clock.now()
            return transitions.cancel(row, place, now=now, retention=context.retention)

        step, row = perform.perform(context, row, cancel)
        if isinstance(step, Step):
            perform.ring_if_possible(context, row, step.ring_for)
            perform.publish(context, row, place)
        elif step is CancelDenied.CLAIMED:
            raise ConflictError(
                f"Delivery {delivery_id} is being attempted and can no longer be cancelled."
            )
        elif step is CancelDenied.ENDED:
            status = _status(row, place)
            raise ConflictError(
                f"Delivery {delivery_id} {status}; only pending deliveries can be cancelled."
            )
        return delivery_detail(row, place)

    def _reopen(
        self,
        row: MessageRow,
        place: int,
        round_number: int,
        overrides: UserOverrides,
        *,
        ignores_hours: bool = False,
    ) -> tuple[Step | ReopenDenied, MessageRow]:
        context, token = self.context, self.context.id_generator.token()
        name = row.deliveries[place].type
        settings = merged(self.system_defaults()[name], overrides.by_type.get(name))
        opens = self.holds.opens(overrides, row.user_id)
        policy = RetryPolicy(1 + settings.retry_count, settings.retry_delay_seconds)

        def reopen(row: MessageRow) -> Step | ReopenDenied:
            return transitions.reopen(
                row,
                place,
                round_number=round_number,
                policy=policy,
                token=token,
                now=context.clock.now(),
                opens=opens,
                ignores_hours=ignores_hours,
            )

        step, row = perform.perform(context, row, reopen)
        if isinstance(step, Step):
            perform.ring_if_possible(context, row, step.ring_for)
            if step.row.deliveries[place].held is not None:
                self.holds.check(row, overrides.version)
        return step, row

    def _suppression(
        self, row: MessageRow, place: int, overrides: UserOverrides
    ) -> Suppression | None:
        """Return the suppression that the delivery's next attempt would meet."""
        if not overrides.suppressions:
            return None
        # Only now is it known which request to read; it may name the address.
        read = self.context.messages.visit(row.user_id, row.message_id, row.request_id)
        if read.request is None:
            return None
        name = row.deliveries[place].type
        config = merged(self.system_defaults()[name], overrides.by_type.get(name)).config
        return suppression_now(
            overrides, name, config, read.request.recipient, row.user_id, self.environ
        )

    def _read(self, user_id: str, delivery_id: str) -> tuple[MessageRow, int, UserOverrides]:
        read = self.context.messages.visit(user_id, message_id_of(delivery_id), None)
        return *self._found(user_id, delivery_id, read.message), read.overrides

    def _found(
        self, user_id: str, delivery_id: str, row: MessageRow | None
    ) -> tuple[MessageRow, int]:
        place, now = place_of(delivery_id), self.context.clock.now()
        if row is None or not is_live(row.ttl, now) or not 0 <= place < len(row.deliveries):
            raise NotFoundError(f"User {user_id} has no delivery {delivery_id}.")
        return row, place


def _reopen_conflict(denied: ReopenDenied, row: MessageRow, place: int) -> str:
    delivery_id = row.delivery_id(place)
    match denied:
        case ReopenDenied.CONTENT_EXPIRED:
            return f"The content of delivery {delivery_id} is no longer stored; send it again."
        case ReopenDenied.SIBLING:
            return (
                f"Delivery {delivery_id} belongs to a first_success message of which another "
                "delivery has succeeded or is pending; it cannot be retried."
            )
        case ReopenDenied.CLOSED:
            return (
                f"Hours and mutes would hold delivery {delivery_id} for longer than its content "
                "is kept; retry it with now=true to ignore them."
            )
        case ReopenDenied.EXPIRED:
            return f"Delivery {delivery_id} is about to be deleted; send the message again."
        case ReopenDenied.NOT_FAILED:
            status = _status(row, place)
            return f"Delivery {delivery_id} {status}; only failed deliveries can be retried."


def _status(row: MessageRow, place: int) -> str:
    status = Status(row.deliveries[place].status)
    return {
        Status.PENDING: "is pending",
        Status.SUCCESS: "has succeeded",
        Status.FAILED: "has failed",
        Status.SKIPPED: "was skipped",
    }[status]
