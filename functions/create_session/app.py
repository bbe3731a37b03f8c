"""POST /api/v1/session: start the session of a link to preferences."""

from dispatcher import wiring
from dispatcher.edges import http
from dispatcher.settings import settings


@http.route("POST", "/api/v1/session")
def handler(request: http.Request) -> http.Response:
    """Exchange a link's token for a bearer token that permits the user's preferences alone.

    Requires no credential except the link's token. Returns 404 if the token is not valid.
    """
    settings().require_console()
    started = wiring.sessions().start(request.body, settings().link_session_seconds)
    return http.Response(201, started)
