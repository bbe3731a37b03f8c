"""Requests: the state of an accepted send, also if every integration was skipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.configuration.selection import NO_ADDRESS, skip_detail
from dispatcher.delivery.describe import delivery_response
from dispatcher.delivery.rows import is_live
from dispatcher.errors import NotFoundError
from dispatcher.integrations import catalogue
from dispatcher.responses import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dispatcher.delivery.ports import Clock
    from dispatcher.delivery.rows import SkippedType
    from dispatcher.messages.ports import RequestStore
    from dispatcher.responses import RequestResponse, SkippedIntegration


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Reads the requests of one user at a time."""

    store: RequestStore
    clock: Clock

    def detail(self, user_id: str, request_id: str) -> RequestResponse:
        """Return a request with its deliveries as they are now."""
        request, now = self.store.request(user_id, request_id), self.clock.now()
        if request is None or not is_live(request.ttl, now):
            raise _not_found(user_id, request_id)
        row = None
        if request.deliveries:
            row = self.store.message(user_id, request.message_id)
            if row is None:
                # The call ended before its commit, so the request was not accepted.
                raise _not_found(user_id, request_id)
        is_scheduled = request.due_at > request.created_at
        return {
            "request_id": request_id,
            "user_id": user_id,
            "session_id": request.session_id,
            "agent_id": request.agent_id,
            "subject": request.subject,
            "created_at": rfc3339(request.created_at),
            "deliver_at": rfc3339(request.due_at if is_scheduled else None),
            "expires_at": rfc3339(request.expires_at),
            "mode": request.mode,
            "deliveries": [delivery_response(row, place) for place in range(len(row.deliveries))]
            if row
            else [],
            "skipped": skipped_integrations(request.skipped, user_id, request.category),
        }


def skipped_integrations(
    types: Iterable[SkippedType], user_id: str, category: str | None
) -> list[SkippedIntegration]:
    """Return the integrations that get no delivery, with the setting that would help."""
    skipped: list[SkippedIntegration] = []
    for one in types:
        integration: SkippedIntegration = {"integration_type": one.type, "reason": one.reason}
        if one.reason == NO_ADDRESS:
            integration["detail"] = (
                f"no address is known: set config.{catalogue()[one.type].address_key} "
                f"in the user's {one.type} override"
            )
        elif detail := skip_detail(one.reason, user_id, one.type, category):
            integration["detail"] = detail
        skipped.append(integration)
    return skipped


def _not_found(user_id: str, request_id: str) -> NotFoundError:
    return NotFoundError(f"User {user_id} has no request {request_id}.")
