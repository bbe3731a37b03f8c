"""PUT /api/v1/users/{user_id}/integrations/{integration_type}: change an override."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("PUT", "/api/v1/users/{user_id}/integrations/{integration_type}")
def handler(request: http.Request) -> http.Response:
    """Change the settings that the body names; the others keep their values.

    An explicit null restores the default of a setting. ``config`` replaces the override's whole
    config; a secret that is sent as ``***`` keeps its value.
    """
    override = wiring.configurations().update(
        request.user_id, request.integration_type, request.body
    )
    return http.Response(200, override)
