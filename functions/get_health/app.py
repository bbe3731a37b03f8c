"""GET /health: service health."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/health")
def handler(_request: http.Request) -> http.Response:
    """Return the state of the service and of each integration; 503 if every send fails.

    Requires no credential. The probes are cached for 60 seconds.
    """
    report = wiring.health().report()
    return http.Response(503 if report["status"] == "unhealthy" else 200, report)
