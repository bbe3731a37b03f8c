"""POST /api/v1/users/{user_id}/integration-defaults/reset: back to the defaults."""

from dispatcher import http, wiring


@http.route("POST", "/api/v1/users/{user_id}/integration-defaults/reset")
def handler(request: http.Request) -> http.Answer:
    """Answer with the integrations whose overrides went; a body is not looked at."""
    return http.Answer(200, wiring.configurations().reset(request.user_id))
