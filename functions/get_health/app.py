"""GET /health: how the service and its integrations are."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/health")
def handler(_request: http.Request) -> http.Response:
    """Answer 503 when nothing can be accepted or delivered."""
    report = wiring.health().report()
    return http.Response(503 if report["status"] == "unhealthy" else 200, report)
