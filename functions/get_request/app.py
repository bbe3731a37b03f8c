"""GET /api/v1/users/{user_id}/requests/{request_id}: a request with its deliveries."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/users/{user_id}/requests/{request_id}")
def handler(request: http.Request) -> http.Response:
    """Return the request with the current state of each delivery.

    Also returns requests without any delivery. A key of a service with the scope ``dispatch:send``
    can follow its own requests this way.
    """
    return http.Response(200, wiring.requests().detail(request.user_id, request.request_id))
