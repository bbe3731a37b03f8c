"""POST /api/v1/users/{user_id}/deliveries: send a message."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("POST", "/api/v1/users/{user_id}/deliveries")
def handler(request: http.Request) -> http.Response:
    """Accept a message for the user; ``Location`` is the path of the request.

    The message is delivered over every integration that is enabled for the user, in priority order.
    A ``request_id`` (or the header ``Idempotency-Key``) makes the request safe to repeat.
    """
    accepted = wiring.acceptance().accept(
        request.user_id, request.body, request.header("Idempotency-Key")
    )
    return http.accepted(accepted, requests="requests")
