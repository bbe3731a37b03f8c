"""GET /api/v1/session: the rights of the caller's credential."""

from dispatcher.access import sessions
from dispatcher.edges import http


@http.route("GET", "/api/v1/session")
def handler(request: http.Request) -> http.Response:
    """Return the scopes of the caller's credential, and the users that it is valid for.

    Any valid credential is enough.
    """
    return http.Response(200, sessions.described(request.caller))
