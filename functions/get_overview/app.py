"""GET /api/v1/overview: the numbers of the queues and of the last hour."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/overview")
def handler(_request: http.Request) -> http.Response:
    """Return the depth of each queue, and the deliveries of the last hour by integration.

    The numbers are at most 15 s old. A queue that cannot be read is null, and so are all metrics if
    CloudWatch cannot be read.
    """
    return http.Response(200, wiring.overview().get())
