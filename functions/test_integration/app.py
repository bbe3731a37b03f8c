"""POST /api/v1/users/{user_id}/integrations/{integration_type}/test: send a test message."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("POST", "/api/v1/users/{user_id}/integrations/{integration_type}/test")
def handler(request: http.Request) -> http.Response:
    """Send a message marked as a test over one integration; a body is ignored.

    Uses the user's effective settings, even if the integration is disabled.
    """
    accepted = wiring.acceptance().test(
        request.user_id, request.integration_type, request.header("Idempotency-Key")
    )
    return http.accepted(accepted, requests="../../requests")
