"""PUT /api/v1/users/{user_id}/preferences: change a user's preferences."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("PUT", "/api/v1/users/{user_id}/preferences")
def handler(request: http.Request) -> http.Response:
    """Change the fields that the body names; the others keep their values."""
    return http.tagged(
        wiring.preferences().update(request.user_id, request.body, request.header("If-Match"))
    )
