"""POST /api/v1/users/{user_id}/deliveries/{delivery_id}/retry: a fresh round of attempts."""

from dispatcher import http, wiring


@http.route("POST", "/api/v1/users/{user_id}/deliveries/{delivery_id}/retry")
def handler(request: http.Request) -> http.Answer:
    """Answer with the round that begins; a body is not looked at."""
    return http.Answer(202, wiring.rounds().retry(request.user_id, request.delivery_id))
