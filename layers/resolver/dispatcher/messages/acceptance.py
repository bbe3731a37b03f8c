"""Acceptance of messages, both from HTTP and from events.

The request row stores the request's identity; the write of the message row is the commit. A request
row without its message is completed from the stored request, so equal requests get equal responses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.delivery import perform
from dispatcher.delivery.describe import hold_response
from dispatcher.delivery.rows import RequestRow, Status, delivery_id
from dispatcher.errors import FieldError, InvalidInputError
from dispatcher.identifiers import REQUEST_ID, REQUEST_ID_RULE
from dispatcher.messages.bodies import SendBody, check_times, send_body
from dispatcher.messages.requests import skipped_integrations

if TYPE_CHECKING:
    from dispatcher.delivery.holds import Holds
    from dispatcher.delivery.perform import DeliveryContext
    from dispatcher.messages.planning import Plan, Planner
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
    planner: Planner
    holds: Holds

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
        send = send_body(body, self.planner.environ)
        message_id = ids.message_id(now)
        request_id = _request_id(send, idempotency_key) or message_id
        try:
            check_times(send, now)
            category = self.planner.category(send)
        except InvalidInputError:
            # Too late for a new message, but not for a repetition of an accepted one.
            stored = self.requests.request(user_id, request_id)
            if stored is None or stored.ttl < now or stored.fingerprint != send.fingerprint():
                raise
            return self._repeated(stored)
        plan = self.planner.plan(
            user_id, send, category, now=now, message_id=message_id, forced=forced
        )
        request = self._request(user_id, request_id, message_id, send, plan, now=now, forced=forced)
        stored = self.requests.put_request(request, now=now)
        if stored.message_id != message_id:
            if stored.fingerprint != request.fingerprint:
                detail = f"{request_id!r} was used for another message: use a new one"
                raise InvalidInputError(FieldError("/request_id", detail))
            return self._repeated(stored)
        self._admit(request, plan.version)
        return Accepted(_response(request), replayed=False)

    def _repeated(self, request: RequestRow) -> Accepted:
        """Return the stored response, after completing a request without its message [6]."""
        if request.deliveries and not self.requests.message(request.user_id, request.message_id):
            # The preferences by which it was planned are no longer known.
            self._admit(request, None)
        return Accepted(_response(request), replayed=True)

    def _admit(self, request: RequestRow, version: int | None) -> None:
        """Write the message of a stored request, if it has one; this accepts the request.

        ``version`` is that of the preferences by which it was planned.
        """
        if request.deliveries:
            row = perform.admit(self.context, request)
            # The first ring, unless all deliveries are held; those are rung for later.
            self.holds.check(row, version, first=True)
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

    def _request(
        self,
        user_id: str,
        request_id: str,
        message_id: str,
        send: SendBody,
        plan: Plan,
        *,
        now: float,
        forced: bool,
    ) -> RequestRow:
        """Return the request to store."""
        category = plan.category
        return RequestRow(
            user_id=user_id,
            request_id=request_id,
            message_id=message_id,
            fingerprint=send.fingerprint(),
            ttl=plan.ttl,
            subject=send.headline(),
            content=send.text(),
            agent_id=send.agent_id,
            session_id=send.session_id,
            recipient=send.addressed_to(),
            mode=send.mode,
            forced=forced,
            created_at=now,
            due_at=plan.due_at,
            expires_at=send.expires_at,
            deliveries=plan.deliveries,
            skipped=plan.skipped,
            category=send.category,
            urgent=category is not None and category.urgent,
            locked=category is not None and category.locked,
            hold_zone=plan.hold_zone,
        )


def _response(request: RequestRow) -> SendMessageResponse:
    return {
        "request_id": request.request_id,
        "user_id": request.user_id,
        "category": request.category,
        "deliveries": [
            {
                "delivery_id": delivery_id(request.message_id, place),
                "integration_type": planned.type,
                "priority": planned.priority,
                "status": str(Status.PENDING),
                "locked": planned.by_lock,
                "held": hold_response(planned.held, planned.due_at, request.hold_zone),
            }
            for place, planned in enumerate(request.deliveries)
        ],
        "skipped": skipped_integrations(request.skipped, request.user_id, request.category),
    }


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
