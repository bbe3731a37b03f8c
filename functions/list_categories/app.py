"""GET /api/v1/categories: list the categories of messages."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("GET", "/api/v1/categories")
def handler(request: http.Request) -> http.Response:  # noqa: ARG001 - every handler has it
    """Return all categories in their order."""
    return http.Response(200, wiring.categories().listing())
