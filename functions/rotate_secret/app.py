"""POST /api/v1/users/{user_id}/integrations/WEBHOOK/rotate-secret: replace the signing secret."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("POST", "/api/v1/users/{user_id}/integrations/{integration_type}/rotate-secret")
def handler(request: http.Request) -> http.Response:
    """Replace the signing secret; only this response contains the new one. A body is ignored.

    The previous secret also signs for 24 hours.
    """
    rotated = wiring.configurations().rotate(request.user_id, request.integration_type)
    return http.Response(200, rotated)
