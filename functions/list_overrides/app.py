"""GET /api/v1/users/{user_id}/integrations: a user's overrides."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/users/{user_id}/integrations")
def handler(request: http.Request) -> http.Response:
    """Return all overrides of the user."""
    return http.Response(200, wiring.configurations().listing(request.user_id))
