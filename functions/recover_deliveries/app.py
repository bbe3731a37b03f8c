"""POST /api/v1/users/{user_id}/deliveries/recover: attempt failed deliveries again."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("POST", "/api/v1/users/{user_id}/deliveries/recover")
def handler(request: http.Request) -> http.Response:
    """Start a new round of each failed delivery of a time; a dry run only shows them."""
    page = wiring.recovery().recover(request.user_id, request.body)
    return http.Response(200 if page.is_dry_run else 202, page.response)
