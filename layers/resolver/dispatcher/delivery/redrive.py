"""Starts a delivery over, or calls it off: manual retry, redriven tickets, cancelling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dispatcher.configuration.resolution import merged
from dispatcher.delivery import protocol
from dispatcher.delivery.doorbells import DeliveryBell
from dispatcher.delivery.moving import Mover, ids
from dispatcher.delivery.protocol import Change, Write, key_of
from dispatcher.delivery.rows import Delivery, Status, kept
from dispatcher.errors import ConditionFailed, ConflictError, NotFoundError

if TYPE_CHECKING:
    from dispatcher.delivery.doorbells import Ticket

CANCEL_TRIES = 5
"""Times that a cancel is worked out anew because a sibling moved meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds(Mover):
    """Opens fresh rounds and ends pending deliveries on request."""

    def retry(self, user_id: str, delivery_id: str) -> dict[str, Any]:
        """Give a failed delivery a fresh round; ``ConflictError`` unless it has failed."""
        row = self._row(user_id, delivery_id)
        if row.status != Status.FAILED:
            raise ConflictError(
                f"delivery {delivery_id} is {row.status}: only a failed one can be retried"
            )
        if row.error_code == "content_expired":
            raise ConflictError(
                f"the message of delivery {delivery_id} is no longer kept: send it again"
            )
        if not self._open(row):
            raise ConflictError(
                f"delivery {delivery_id} or a sibling has changed meanwhile: look at it again"
            )
        return {"delivery_id": delivery_id, "round": row.round + 1, "status": str(Status.PENDING)}

    def redeem(self, ticket: Ticket) -> bool:
        """Open the round that a redriven ticket is for, once.

        ``False`` if no such round can come next.
        """
        item = self.deliveries.get(key_of(ticket.user_id, ticket.delivery_id))
        if item is None:
            return True
        row = Delivery.of(item)
        if ticket.round > row.round + 1:
            return False
        if ticket.round == row.round + 1 and row.status == Status.FAILED:
            self._open(row)
        return True

    def cancel(self, user_id: str, delivery_id: str) -> dict[str, Any]:
        """End a delivery that no worker has yet; ``ConflictError`` if it is too late for that."""
        token = self.id_generator.token()
        for _ in range(CANCEL_TRIES):
            row = self._row(user_id, delivery_id)
            if row.status == Status.SKIPPED and row.error_code == "cancelled":
                return row.as_json(with_log=True)
            if row.status != Status.PENDING:
                raise ConflictError(
                    f"delivery {delivery_id} is {row.status}: only a pending one can be cancelled"
                )
            if row.owner is not None:
                raise ConflictError(
                    f"delivery {delivery_id} is being sent now: it can no longer be cancelled"
                )
            now = self.clock.now()
            step = protocol.cancel(row, token, now=now, ttl=self.ttl(now))
            following = {
                one.delivery_id: protocol.release(one, now) for one in self.waiting_after(row)[:1]
            }
            try:
                self._commit(row, step, list(following.items()))
            except ConditionFailed as refused:
                if not protocol.is_ours(refused.row, token):
                    continue
            self.event_log.emit("delivery.cancelled", **ids(row))
            for one, release in following.items():
                due_at = release.set["due_at"]
                delay = protocol.delay_until(due_at, now)
                self.call(self.doorbells.ring, DeliveryBell(user_id, one, due_at), delay=delay)
            cancelled = protocol.applied(row, step)
            self.tell(cancelled)
            return cancelled.as_json(with_log=True)
        raise ConflictError(f"delivery {delivery_id} is being changed by others: try again")

    def _row(self, user_id: str, delivery_id: str) -> Delivery:
        item = self.deliveries.get(key_of(user_id, delivery_id))
        if item is None or not kept(item, self.clock.now()):
            raise NotFoundError(f"user {user_id} has no delivery {delivery_id}")
        return Delivery.of(item)

    def _open(self, row: Delivery) -> bool:
        """Write the fresh round and ring for it.

        ``False`` where the row or a sibling no longer allows it.
        """
        token = self.id_generator.token()
        now = self.clock.now()
        stored = self.overrides.get(row.user_id).by_type.get(row.integration_type)
        policy = merged(self.system_defaults()[row.integration_type], stored)
        step = protocol.new_round(
            row,
            token,
            max_attempts=1 + policy.retry_count,
            retry_delay_seconds=policy.retry_delay_seconds,
            now=now,
        )
        # A sibling whose time to live is over ended before this one was tried: without success.
        siblings = [
            (one, protocol.WITHOUT_SUCCESS)
            for one in row.chain
            if one != row.delivery_id and self.deliveries.get(key_of(row.user_id, one))
        ]
        try:
            self._commit(row, step, siblings)
        except ConditionFailed as refused:
            if not protocol.has_opened(refused.row, token):
                return False
        self.event_log.emit("round.opened", **ids(row), round=row.round + 1)
        self.call(self.doorbells.ring, DeliveryBell(row.user_id, row.delivery_id, now))
        return True

    def _commit(self, row: Delivery, step: Change, others: list[tuple[str, Change]]) -> None:
        key = key_of(row.user_id, row.delivery_id)
        if others:
            self.deliveries.commit(
                [
                    Write(key, step),
                    *(Write(key_of(row.user_id, one), check) for one, check in others),
                ]
            )
        else:
            self.deliveries.apply(key, step)
