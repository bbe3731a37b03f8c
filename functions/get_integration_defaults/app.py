"""GET /api/v1/integration-defaults: the system's settings of every integration."""

from dispatcher import http, wiring


@http.route("GET", "/api/v1/integration-defaults")
def handler(_request: http.Request) -> http.Answer:
    """Answer with all integrations in priority order."""
    return http.Answer(200, wiring.defaults().listing())
