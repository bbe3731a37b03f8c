"""Accepts a message: one transaction writes request and deliveries, then the doorbell rings.

Once the rows are there nothing is lost, whatever happens to the doorbell. The same request again
gets the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dispatcher.configuration.resolution import Effective, effective, merged
from dispatcher.delivery.doorbells import RequestBell
from dispatcher.delivery.moving import Mover
from dispatcher.delivery.protocol import (
    LEASE,
    LONGEST_DELAY,
    LONGEST_RETRY_AFTER,
    Clause,
    Put,
    Write,
    absent,
    delay_until,
    key_of,
    shard_of,
    watch_from,
    within_reach,
)
from dispatcher.delivery.rows import REQUEST, Delivery, Status
from dispatcher.errors import ConditionFailed, FieldError, InvalidInputError, UnavailableError
from dispatcher.identifiers import REQUEST_ID
from dispatcher.integrations import catalogue
from dispatcher.messages.bodies import SendBody, check_times, send_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dispatcher.configuration.resolution import Configuration
    from dispatcher.delivery.rows import Item

NO_ADDRESS = "no_address"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to a send, and whether it repeats an earlier one."""

    answer: dict[str, Any]
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance(Mover):
    """The one way in for messages, from HTTP and from events."""

    def test(
        self, user_id: str, integration_type: str, idempotency_key: str | None = None
    ) -> Accepted:
        """Take a test message over one integration, enabled or not, with the user's settings."""
        body = {
            "subject": f"Test of {integration_type}",
            "content": f"This is a test: somebody asked whether {integration_type} reaches you.",
            "integration_types": [integration_type],
        }
        return self.accept(user_id, body, idempotency_key, forced=True)

    def accept(
        self,
        user_id: str,
        body: object,
        idempotency_key: str | None = None,
        *,
        forced: bool = False,
    ) -> Accepted:
        """Take a message for a user; ``idempotency_key`` is another way to give its ``request_id``.

        ``forced`` sends over integrations that are not enabled too.

        Raises ``InvalidInputError``, also where the same ``request_id`` was used for another
        message.
        """
        now = self.clock.now()
        send = send_body(body, self.environ)
        request_id = _request_id(send, idempotency_key) or self.id_generator.delivery_id(now)
        try:
            check_times(send, now)
        except InvalidInputError:
            # Too late for a new message, not for the answer to one that came in time.
            earlier = self.deliveries.get((user_id, REQUEST + request_id))
            if earlier and earlier["ttl"] >= now and _alike(earlier, send):
                return Accepted(earlier["answer"], replayed=True)
            raise
        rows, skipped = self._plan(user_id, request_id, send, now, forced=forced)
        answer = {
            "request_id": request_id,
            "user_id": user_id,
            "deliveries": [
                {
                    "delivery_id": row.delivery_id,
                    "integration_type": row.integration_type,
                    "priority": row.priority,
                    "status": str(row.status),
                }
                for row in rows
            ],
            "skipped": skipped,
        }
        stored = self._store(user_id, request_id, send, rows, answer, now)
        if stored is not answer:
            return Accepted(stored, replayed=True)
        if rows and within_reach(rows[0].due_at, now):
            self.call(
                self.doorbells.ring,
                RequestBell(user_id, request_id),
                delay=delay_until(rows[0].due_at, now),
            )
        self.event_log.emit(
            "message.accepted",
            user_id=user_id,
            request_id=request_id,
            deliveries={row.delivery_id: row.integration_type for row in rows},
            skipped={one["integration_type"]: one["reason"] for one in skipped},
        )
        return Accepted(answer, replayed=False)

    def _plan(
        self, user_id: str, request_id: str, send: SendBody, now: float, *, forced: bool
    ) -> tuple[list[Delivery], list[dict[str, str]]]:
        """Return the rows of the deliveries in order, and what is skipped and why."""
        chosen, reasons = self._chosen(user_id, send, forced=forced)
        due_at = max(now, send.deliver_at or now)
        ids = [self.id_generator.delivery_id(now) for _ in chosen]
        fingerprint = send.fingerprint()
        one_by_one = send.mode == "first_success" and len(ids) > 1
        rows = [
            Delivery(
                user_id=user_id,
                delivery_id=delivery_id,
                request_id=request_id,
                session_id=send.session_id,
                integration_type=name,
                status=Status.PENDING,
                priority=configuration.priority,
                max_attempts=1 + configuration.retry_count,
                retry_delay_seconds=configuration.retry_delay_seconds,
                created_at=now,
                due_at=due_at,
                expires_at=send.expires_at,
                fingerprint=fingerprint,
                sweep_shard=shard_of(user_id),
                sweep_at=None if one_by_one and index else watch_from(due_at, now),
                forced=forced,
                waits=one_by_one and index > 0,
                chain=tuple(ids) if one_by_one else (),
            )
            for index, (delivery_id, (name, configuration)) in enumerate(
                zip(ids, chosen.items(), strict=True)
            )
        ]
        skipped = [
            {"integration_type": name, "reason": reasons[name]} | _hint(name, reasons[name])
            for name in catalogue()
            if name in reasons
        ]
        return rows, skipped

    def _chosen(
        self, user_id: str, send: SendBody, *, forced: bool
    ) -> tuple[dict[str, Configuration], dict[str, str]]:
        """Return what to deliver over, in order, and why not over others that were asked for."""
        wanted = send.integration_types or list(catalogue())
        defaults, stored = self.system_defaults(), self.overrides.get(user_id)
        resolved = effective(defaults, stored)
        if forced:
            of_all = {name: merged(defaults[name], stored.by_type.get(name)) for name in wanted}
            resolved = Effective(of_all, disabled={})
        reasons = {name: reason for name, reason in resolved.disabled.items() if name in wanted}
        chosen = {}
        for name, configuration in resolved.configs.items():
            if name not in wanted:
                continue
            recipient = send.addressed_to()
            if catalogue()[name].address(configuration.config, recipient, user_id, self.environ):
                chosen[name] = configuration
            else:
                reasons[name] = NO_ADDRESS
        return chosen, reasons

    def _store(
        self,
        user_id: str,
        request_id: str,
        send: SendBody,
        rows: Sequence[Delivery],
        answer: dict[str, Any],
        now: float,
    ) -> dict[str, Any]:
        """Write request and rows, or find out who did; return the answer that stands."""
        key = (user_id, REQUEST + request_id)
        request: Item = {
            "user_id": user_id,
            "sk": key[1],
            "request_id": request_id,
            "fingerprint": send.fingerprint(),
            "author": self.id_generator.token(),
            "answer": answer,
            "created_at": now,
            "ttl": self._keep_until(send, rows, now),
            "subject": send.headline(),
            "content": send.text(),
            "agent_id": send.agent_id,
            "recipient": send.recipient.model_dump(exclude_none=True),
        }
        free = (Clause("absent_or_below", "ttl", now),)
        writes = [Write(key, Put(item=request, when=free))]
        writes += [
            Write(key_of(user_id, row.delivery_id), Put(item=row.as_item(), when=(absent("sk"),)))
            for row in rows
        ]
        try:
            self.deliveries.commit(writes)
        except ConditionFailed:
            earlier = self.deliveries.get(key)
            if earlier is None:
                # Refused by a row that is gone a moment later: its time to live ended in between.
                raise UnavailableError("the request was being removed: try again") from None
            if earlier["author"] == request["author"]:
                # Our own write, whose answer was lost on the way.
                return answer
            if _alike(earlier, send):
                replayed: dict[str, Any] = earlier["answer"]
                return replayed
            field_error = FieldError(
                "/request_id", f"{request_id!r} was used for another message: take a new one"
            )
            raise InvalidInputError(field_error) from None
        return answer

    def _keep_until(self, send: SendBody, rows: Sequence[Delivery], now: float) -> float:
        rounds = [
            row.max_attempts
            * (max(row.retry_delay_seconds, LONGEST_RETRY_AFTER) + LEASE + LONGEST_DELAY)
            for row in rows
        ]
        longest = sum(rounds) if send.mode == "first_success" else max(rounds, default=0.0)
        return self.ttl(max(now, send.deliver_at or now) + longest)


def _alike(request: Item, send: SendBody) -> bool:
    return bool(request["fingerprint"] == send.fingerprint())


def _request_id(send: SendBody, idempotency_key: str | None) -> str | None:
    if idempotency_key is None:
        return send.request_id
    if not REQUEST_ID.fullmatch(idempotency_key):
        raise InvalidInputError(
            FieldError("", "the header Idempotency-Key must be 1-256 visible ASCII characters")
        )
    if send.request_id not in {None, idempotency_key}:
        raise InvalidInputError(
            FieldError(
                "/request_id", "differs from the header Idempotency-Key: give one, or both alike"
            )
        )
    return idempotency_key


def _hint(name: str, reason: str) -> dict[str, str]:
    if reason != NO_ADDRESS:
        return {}
    return {
        "detail": f"no address is known: set config.{catalogue()[name].address_key} "
        f"in the user's {name} override"
    }
