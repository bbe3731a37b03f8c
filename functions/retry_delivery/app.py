"""POST /api/v1/users/{user_id}/deliveries/{delivery_id}/retry: a fresh round of attempts."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("POST", "/api/v1/users/{user_id}/deliveries/{delivery_id}/retry")
def handler(request: http.Request) -> http.Response:
    """Answer with the round that begins; a body is not looked at."""
    return http.Response(202, wiring.rounds().retry(request.user_id, request.delivery_id))
