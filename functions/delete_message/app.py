"""DELETE /api/v1/users/{user_id}/messages/{message_id}: acknowledge a message."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("DELETE", "/api/v1/users/{user_id}/messages/{message_id}")
def handler(request: http.Request) -> http.Response:
    """Remove the message from the mailbox."""
    wiring.mailbox().acknowledge(request.user_id, request.message_id)
    return http.Response(204)
