"""DELETE /api/v1/users/{user_id}/integrations/{integration_type}: drop an override."""

from dispatcher import http, wiring


@http.route("DELETE", "/api/v1/users/{user_id}/integrations/{integration_type}")
def handler(request: http.Request) -> http.Answer:
    """Answer with nothing: the default holds again."""
    wiring.configurations().delete(request.user_id, request.integration_type)
    return http.Answer(204)
