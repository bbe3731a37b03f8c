"""GET /api/v1/users/{user_id}/integration-defaults: a user's effective configuration."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/users/{user_id}/integration-defaults")
def handler(request: http.Request) -> http.Response:
    """Return the user's overrides and the settings that result from them.

    Each field is the user's, else the operator's, else the built-in one; ``config`` is merged key
    by key. With ``category``, the result is that for messages of this category.
    """
    return http.Response(200, wiring.configurations().effective(request.user_id, request.query))
