"""DELETE /api/v1/users/{user_id}/preferences: delete a user's preferences."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("DELETE", "/api/v1/users/{user_id}/preferences")
def handler(request: http.Request) -> http.Response:
    """Delete all preferences of the user; the overrides stay.

    Succeeds for a user without preferences. Held deliveries are moved.
    """
    wiring.preferences().delete(request.user_id)
    return http.Response(204)
