"""GET /health: how the service and its integrations are."""

from dispatcher import http, wiring


@http.route("GET", "/health")
def handler(_request: http.Request) -> http.Answer:
    """Answer 503 when nothing can be accepted or delivered."""
    report = wiring.health().report()
    return http.Answer(503 if report["status"] == "unhealthy" else 200, report)
