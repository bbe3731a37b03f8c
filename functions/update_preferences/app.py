"""PUT /api/v1/users/{user_id}/preferences: change a user's preferences."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("PUT", "/api/v1/users/{user_id}/preferences")
def handler(request: http.Request) -> http.Response:
    """Change the fields that the body names; the others keep their values.

    An explicit null restores a default. ``hours`` is replaced as a whole; ``categories`` is merged
    by name. A change of hours, mute or time zone moves the held deliveries. Returns 409 if a locked
    category is to be disabled, and 412 if the preferences have another tag than ``If-Match`` names.
    """
    via = "link" if request.caller.kind == "link" else "api"
    changed = wiring.preferences().update(
        request.user_id, request.body, request.header("If-Match"), via=via
    )
    return http.tagged(changed)
