"""POST /api/v1/users/{user_id}/integration-defaults/reset: back to the defaults."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("POST", "/api/v1/users/{user_id}/integration-defaults/reset")
def handler(request: http.Request) -> http.Response:
    """Answer with the integrations whose overrides went; a body is not looked at."""
    return http.Response(200, wiring.configurations().reset(request.user_id))
