"""Acceptance: the one way in for messages, from HTTP and from events.

The request row is the caller's identity; the message row is the commit. Whoever finds a request
without its message completes it from the stored request, so equal requests get equal responses.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.configuration.resolution import Effective, effective, merged
from dispatcher.delivery import perform
from dispatcher.delivery.rows import (
    PlannedDelivery,
    RequestRow,
    SkippedType,
    Status,
    delivery_id,
)
from dispatcher.delivery.transitions import LEASE, LONGEST_RETRY_AFTER, LONGEST_SQS_DELAY
from dispatcher.errors import FieldError, InvalidInputError
from dispatcher.identifiers import REQUEST_ID, REQUEST_ID_RULE
from dispatcher.integrations import catalogue
from dispatcher.messages.bodies import SendBody, check_times, send_body
from dispatcher.messages.requests import NO_ADDRESS, skipped_integrations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dispatcher.configuration.ports import Overrides
    from dispatcher.configuration.resolution import Configuration, SystemDefaults
    from dispatcher.delivery.perform import DeliveryContext
    from dispatcher.messages.ports import RequestStore
    from dispatcher.responses import SendMessageResponse

QUOTED = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
"""A structured string (RFC 9651, 3.3.3), as drafts of the header Idempotency-Key write it."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The response to a send, and whether it repeats an earlier one."""

    response: SendMessageResponse
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """Accepts messages."""

    context: DeliveryContext
    requests: RequestStore
    overrides: Overrides
    system_defaults: Callable[[], SystemDefaults]
    environ: Mapping[str, str]

    def test(
        self, user_id: str, integration_type: str, idempotency_key: str | None = None
    ) -> Accepted:
        """Accept a test message over one integration, enabled or not, with the user's settings."""
        body = {
            "subject": f"Test of {integration_type}",
            "content": f"This is a test of whether {integration_type} reaches you.",
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
        """Accept a message for a user; ``idempotency_key`` is another way to give ``request_id``.

        ``forced`` also delivers over integrations that are not enabled. Raises
        ``InvalidInputError``, also if the ``request_id`` was used for another message.
        """
        now, ids = self.context.clock.now(), self.context.id_generator
        send = send_body(body, self.environ)
        message_id = ids.message_id(now)
        request_id = _request_id(send, idempotency_key) or message_id
        try:
            check_times(send, now)
        except InvalidInputError:
            # Too late for a new message, but not for a repeat of one that came in time.
            stored = self.requests.request(user_id, request_id)
            if stored is None or stored.ttl < now or stored.fingerprint != send.fingerprint():
                raise
            return self._repeated(stored)
        request = self._plan(user_id, request_id, message_id, send, now, forced=forced)
        stored = self.requests.put_request(request, now=now)
        if stored.message_id != message_id:
            if stored.fingerprint != request.fingerprint:
                detail = f"{request_id!r} was used for another message: use a new one"
                raise InvalidInputError(FieldError("/request_id", detail))
            return self._repeated(stored)
        self._admit(request)
        return Accepted(_response(request), replayed=False)

    def _repeated(self, request: RequestRow) -> Accepted:
        """Return the stored response, after completing a request without its message [6]."""
        if request.deliveries and not self.requests.message(request.user_id, request.message_id):
            self._admit(request)
        return Accepted(_response(request), replayed=True)

    def _admit(self, request: RequestRow) -> None:
        """Write the message of a stored request, if it has one: from here on it is accepted."""
        if request.deliveries:
            perform.admit(self.context, request)
        self.context.event_log.emit(
            "message.accepted",
            user_id=request.user_id,
            request_id=request.request_id,
            deliveries={
                delivery_id(request.message_id, place): planned.type
                for place, planned in enumerate(request.deliveries)
            },
            skipped={skipped.type: skipped.reason for skipped in request.skipped},
        )

    def _plan(
        self,
        user_id: str,
        request_id: str,
        message_id: str,
        send: SendBody,
        now: float,
        *,
        forced: bool,
    ) -> RequestRow:
        """Return the request to store: its deliveries in order, and what is skipped and why."""
        chosen, reasons = self._chosen(user_id, send, forced=forced)
        planned = tuple(
            PlannedDelivery(
                type=name,
                priority=configuration.priority,
                max_attempts=1 + configuration.retry_count,
                retry_delay_seconds=configuration.retry_delay_seconds,
            )
            for name, configuration in chosen.items()
        )
        due_at = max(now, send.deliver_at or now)
        longest = _longest_round(planned, one_by_one=send.mode == "first_success")
        return RequestRow(
            user_id=user_id,
            request_id=request_id,
            message_id=message_id,
            fingerprint=send.fingerprint(),
            ttl=math.ceil(due_at + self.context.retention + longest),
            subject=send.headline(),
            content=send.text(),
            agent_id=send.agent_id,
            session_id=send.session_id,
            recipient=send.addressed_to(),
            mode=send.mode,
            forced=forced,
            created_at=now,
            due_at=due_at,
            expires_at=send.expires_at,
            deliveries=planned,
            skipped=tuple(
                SkippedType(type=name, reason=reasons[name])
                for name in catalogue()
                if name in reasons
            ),
        )

    def _chosen(
        self, user_id: str, send: SendBody, *, forced: bool
    ) -> tuple[dict[str, Configuration], dict[str, str]]:
        """Return what to deliver over, in order, and why not over other types that were wanted."""
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


def _response(request: RequestRow) -> SendMessageResponse:
    return {
        "request_id": request.request_id,
        "user_id": request.user_id,
        "deliveries": [
            {
                "delivery_id": delivery_id(request.message_id, place),
                "integration_type": planned.type,
                "priority": planned.priority,
                "status": str(Status.PENDING),
            }
            for place, planned in enumerate(request.deliveries)
        ],
        "skipped": skipped_integrations(request),
    }


def _longest_round(planned: Sequence[PlannedDelivery], *, one_by_one: bool) -> float:
    """Return the seconds that the rounds of a message may last, ``Retry-After`` included [8]."""
    rounds = [
        delivery.max_attempts
        * (max(delivery.retry_delay_seconds, LONGEST_RETRY_AFTER) + LEASE + LONGEST_SQS_DELAY)
        for delivery in planned
    ]
    return sum(rounds) if one_by_one else max(rounds, default=0.0)


def _request_id(send: SendBody, idempotency_key: str | None) -> str | None:
    if idempotency_key is None:
        return send.request_id
    quoted = QUOTED.fullmatch(idempotency_key)
    name = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else idempotency_key
    if not REQUEST_ID.fullmatch(name):
        raise InvalidInputError(FieldError("", f"the header Idempotency-Key {REQUEST_ID_RULE}"))
    if send.request_id not in {None, name}:
        rule = "differs from the header Idempotency-Key: give one of them, or both alike"
        raise InvalidInputError(FieldError("/request_id", rule))
    return name
