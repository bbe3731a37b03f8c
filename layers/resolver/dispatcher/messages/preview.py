"""The preview: the plan of a message, without sending it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.delivery.describe import hold_response
from dispatcher.delivery.rows import Status
from dispatcher.messages.bodies import check_times, preview_body
from dispatcher.messages.requests import skipped_integrations

if TYPE_CHECKING:
    from dispatcher.configuration.preference_responses import PreviewResponse
    from dispatcher.delivery.ports import Clock
    from dispatcher.messages.planning import Planner


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Shows plans without writing, ringing or counting."""

    planner: Planner
    clock: Clock

    def preview(self, user_id: str, body: object) -> PreviewResponse:
        """Return the response that a send would get now; raise ``InvalidInputError`` as a send."""
        now = self.clock.now()
        send = preview_body(body, self.planner.environ)
        check_times(send, now)
        category = self.planner.category(send)
        plan = self.planner.plan(user_id, send, category, now=now)
        return {
            "user_id": user_id,
            "category": send.category,
            "deliveries": [
                {
                    "integration_type": planned.type,
                    "priority": planned.priority,
                    "status": str(Status.PENDING),
                    "locked": planned.by_lock,
                    "held": hold_response(planned.held, planned.due_at, plan.hold_zone),
                }
                for planned in plan.deliveries
            ],
            "skipped": skipped_integrations(plan.skipped, user_id, send.category),
        }
