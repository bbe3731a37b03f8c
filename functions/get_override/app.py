"""GET /api/v1/users/{user_id}/integrations/{integration_type}: one override."""

from dispatcher import http, wiring


@http.route("GET", "/api/v1/users/{user_id}/integrations/{integration_type}")
def handler(request: http.Request) -> http.Answer:
    """Answer with the override, its secrets concealed."""
    override = wiring.configurations().override(request.user_id, request.integration_type)
    return http.Answer(200, override)
