"""GET /api/v1/users/{user_id}/messages: a user's mailbox."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/users/{user_id}/messages")
def handler(request: http.Request) -> http.Response:
    """Return a page of messages, oldest first.

    Messages are kept for 30 days or until they are acknowledged.
    """
    return http.Response(200, wiring.mailbox().page(request.user_id, request.query))
