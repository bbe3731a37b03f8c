"""POST /api/v1/users/{user_id}/integrations/WEBHOOK/rotate-secret: another signing secret."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("POST", "/api/v1/users/{user_id}/integrations/{integration_type}/rotate-secret")
def handler(request: http.Request) -> http.Response:
    """Answer with the secret, this once; a body is not looked at."""
    rotated = wiring.configurations().rotate(request.user_id, request.integration_type)
    return http.Response(200, rotated)
