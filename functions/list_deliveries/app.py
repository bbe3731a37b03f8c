"""GET /api/v1/users/{user_id}/deliveries: a user's delivery history."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/users/{user_id}/deliveries")
def handler(request: http.Request) -> http.Response:
    """Return a page of deliveries, newest first.

    An accepted delivery appears immediately. Paginate with ``cursor``, whose cost is constant, or
    with ``offset``, whose cost grows with its value.
    """
    return http.Response(200, wiring.history().page(request.user_id, request.query))
