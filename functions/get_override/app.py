"""GET /api/v1/users/{user_id}/integrations/{integration_type}: an override."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/users/{user_id}/integrations/{integration_type}")
def handler(request: http.Request) -> http.Response:
    """Return the override; its secrets read ``***``."""
    override = wiring.configurations().override(request.user_id, request.integration_type)
    return http.Response(200, override)
