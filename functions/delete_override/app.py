"""DELETE /api/v1/users/{user_id}/integrations/{integration_type}: delete an override."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("DELETE", "/api/v1/users/{user_id}/integrations/{integration_type}")
def handler(request: http.Request) -> http.Response:
    """Delete the override; the system defaults apply again."""
    wiring.configurations().delete(request.user_id, request.integration_type)
    return http.Response(204)
