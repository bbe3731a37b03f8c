"""GET /api/v1/users/{user_id}/deliveries/{delivery_id}: a delivery with its attempts."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/users/{user_id}/deliveries/{delivery_id}")
def handler(request: http.Request) -> http.Response:
    """Return the delivery with its attempts."""
    return http.Response(200, wiring.history().detail(request.user_id, request.delivery_id))
