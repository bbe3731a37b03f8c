"""POST /api/v1/users/{user_id}/preview: preview the deliveries of a message."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("POST", "/api/v1/users/{user_id}/preview")
def handler(request: http.Request) -> http.Response:
    """Return the deliveries that a send would make now; nothing is stored or sent.

    The body is that of a send; ``content`` is optional and ``request_id`` is ignored. Metrics do
    not count previews.
    """
    return http.Response(200, wiring.preview().preview(request.user_id, request.body))
