"""POST /api/v1/users/{user_id}/preferences-link: make a link to a user's preferences."""

from dispatcher import wiring
from dispatcher.edges import http
from dispatcher.settings import settings


@http.route("POST", "/api/v1/users/{user_id}/preferences-link")
def handler(request: http.Request) -> http.Response:
    """Return a link that opens the user's preferences without a sign-in.

    The holder of the link can change the user's preferences until it expires. Returns 404 if the
    operator set ``ConsoleEnabled=false``.
    """
    settings().require_console()
    base_url = settings().own_public_url or request.base_url
    return http.Response(201, wiring.sessions().link(request.user_id, request.body, base_url))
