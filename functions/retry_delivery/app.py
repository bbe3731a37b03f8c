"""POST /api/v1/users/{user_id}/deliveries/{delivery_id}/retry: retry a failed delivery."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("POST", "/api/v1/users/{user_id}/deliveries/{delivery_id}/retry")
def handler(request: http.Request) -> http.Response:
    """Start a new round of attempts; a body is ignored.

    Returns 409 unless the delivery has failed. The round respects the user's hours and mutes unless
    ``now`` is true.
    """
    round_ = wiring.rounds().retry(request.user_id, request.delivery_id, now=request.switch("now"))
    return http.Response(202, round_)
