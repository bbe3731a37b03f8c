"""GET /api/v1/users/{user_id}/preferences: read a user's preferences."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/users/{user_id}/preferences")
def handler(request: http.Request) -> http.Response:
    """Return the user's preferences and what results from them now.

    For a user without preferences, all fields that a user can set are null.
    """
    return http.tagged(wiring.preferences().get(request.user_id))
