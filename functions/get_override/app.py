"""GET /api/v1/users/{user_id}/integrations/{integration_type}: one override."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/users/{user_id}/integrations/{integration_type}")
def handler(request: http.Request) -> http.Response:
    """Answer with the override, its secrets concealed."""
    override = wiring.configurations().override(request.user_id, request.integration_type)
    return http.Response(200, override)
