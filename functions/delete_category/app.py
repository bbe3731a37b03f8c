"""DELETE /api/v1/categories/{category}: delete a category."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("DELETE", "/api/v1/categories/{category}")
def handler(request: http.Request) -> http.Response:
    """Delete the category; the users' settings for it stay stored and have no effect.

    Pending messages of the category are delivered as messages without a category.
    """
    wiring.categories().delete(request.category)
    return http.Response(204)
