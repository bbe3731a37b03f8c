"""POST /api/v1/users/{user_id}/integrations/{integration_type}/test: send a test message."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("POST", "/api/v1/users/{user_id}/integrations/{integration_type}/test")
def handler(request: http.Request) -> http.Response:
    """Answer as for any message, whether the integration is enabled or not; no body is needed."""
    accepted = wiring.acceptance().test(
        request.user_id, request.integration_type, request.header("Idempotency-Key")
    )
    return http.accepted(accepted, deliveries="../../deliveries")
