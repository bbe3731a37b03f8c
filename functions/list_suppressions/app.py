"""GET /api/v1/users/{user_id}/suppressions: the user's suppressed addresses."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/users/{user_id}/suppressions")
def handler(request: http.Request) -> http.Response:
    """Return the addresses to which nothing is sent, and why.

    A message to a suppressed address is skipped. Another address of the user is used
    immediately.
    """
    return http.Response(200, wiring.suppressions().list(request.user_id))
