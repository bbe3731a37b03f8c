"""DELETE /api/v1/users/{user_id}/deliveries/{delivery_id}: cancel a delivery."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("DELETE", "/api/v1/users/{user_id}/deliveries/{delivery_id}")
def handler(request: http.Request) -> http.Response:
    """Cancel a pending delivery; its status becomes ``skipped``.

    Returns 409 if the delivery is not pending or a worker is attempting it.
    """
    return http.Response(200, wiring.rounds().cancel(request.user_id, request.delivery_id))
