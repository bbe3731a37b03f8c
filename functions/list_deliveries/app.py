"""GET /api/v1/users/{user_id}/deliveries: a user's delivery history."""

from dispatcher import http, wiring


@http.route("GET", "/api/v1/users/{user_id}/deliveries")
def handler(request: http.Request) -> http.Answer:
    """Answer with one page, newest first."""
    return http.Answer(200, wiring.history().page(request.user_id, request.query))
