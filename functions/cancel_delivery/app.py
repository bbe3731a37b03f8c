"""DELETE /api/v1/users/{user_id}/deliveries/{delivery_id}: cancel a delivery."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("DELETE", "/api/v1/users/{user_id}/deliveries/{delivery_id}")
def handler(request: http.Request) -> http.Response:
    """Answer with the delivery, which is skipped from now on."""
    return http.Response(200, wiring.rounds().cancel(request.user_id, request.delivery_id))
