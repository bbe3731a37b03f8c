"""POST /api/v1/users/{user_id}/integration-defaults/reset: reset a user to the system defaults."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("POST", "/api/v1/users/{user_id}/integration-defaults/reset")
def handler(request: http.Request) -> http.Response:
    """Remove all overrides of the user; a body is ignored.

    Succeeds for a user without overrides. The delivery history is kept.
    """
    return http.Response(200, wiring.configurations().reset(request.user_id))
