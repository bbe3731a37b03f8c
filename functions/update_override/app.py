"""PUT /api/v1/users/{user_id}/integrations/{integration_type}: change an override."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("PUT", "/api/v1/users/{user_id}/integrations/{integration_type}")
def handler(request: http.Request) -> http.Response:
    """Answer with the override as it is now; what the body leaves out stays."""
    override = wiring.configurations().update(
        request.user_id, request.integration_type, request.body
    )
    return http.Response(200, override)
