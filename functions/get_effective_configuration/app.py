"""GET /api/v1/users/{user_id}/integration-defaults: what a delivery to this user would use now."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/users/{user_id}/integration-defaults")
def handler(request: http.Request) -> http.Response:
    """Answer with the user's overrides, and what they and the defaults come to."""
    return http.Response(200, wiring.configurations().effective(request.user_id))
