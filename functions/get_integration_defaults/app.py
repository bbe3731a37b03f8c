"""GET /api/v1/integration-defaults: the system defaults."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/integration-defaults")
def handler(_request: http.Request) -> http.Response:
    """Return the settings of all integrations, in priority order.

    A changed default applies immediately to all users who did not override it.
    """
    return http.Response(200, wiring.defaults().listing())
