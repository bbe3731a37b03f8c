"""PUT /api/v1/users/{user_id}/integrations/{integration_type}: change an override."""

from dispatcher import http, wiring


@http.route("PUT", "/api/v1/users/{user_id}/integrations/{integration_type}")
def handler(request: http.Request) -> http.Answer:
    """Answer with the override as it is now; what the body leaves out stays."""
    override = wiring.configurations().update(
        request.user_id, request.integration_type, request.body
    )
    return http.Answer(200, override)
