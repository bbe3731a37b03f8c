"""POST /api/v1/users/{user_id}/deliveries: send a message."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("POST", "/api/v1/users/{user_id}/deliveries")
def handler(request: http.Request) -> http.Response:
    """Answer with the deliveries that were accepted, and where to follow them."""
    accepted = wiring.acceptance().accept(
        request.user_id, request.body, request.header("Idempotency-Key")
    )
    return http.accepted(accepted, deliveries="deliveries")
