"""GET /api/v1/users/{user_id}/messages: a user's mailbox."""

from dispatcher import http, wiring


@http.route("GET", "/api/v1/users/{user_id}/messages")
def handler(request: http.Request) -> http.Answer:
    """Answer with one page, oldest first."""
    return http.Answer(200, wiring.mailbox().page(request.user_id, request.query))
