"""GET /api/v1/integration-defaults: the system's settings of every integration."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/integration-defaults")
def handler(_request: http.Request) -> http.Response:
    """Answer with all integrations in priority order."""
    return http.Response(200, wiring.defaults().listing())
