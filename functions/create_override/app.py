"""POST /api/v1/users/{user_id}/integrations: create an override."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("POST", "/api/v1/users/{user_id}/integrations")
def handler(request: http.Request) -> http.Response:
    """Create an override; ``Location`` is its path.

    Missing fields follow the system defaults, except ``enabled``, which is true if it is missing.
    Returns 409 if the override exists. Only the response to a new WEBHOOK override contains the
    ``signing_secret``.
    """
    override = wiring.configurations().create(request.user_id, request.body)
    return http.Response(
        201, override, {"Location": f"integrations/{override['integration_type']}"}
    )
