"""PUT /api/v1/categories/{category}: create or replace a category."""

from dispatcher import wiring
from dispatcher.edges import http


@http.route("PUT", "/api/v1/categories/{category}")
def handler(request: http.Request) -> http.Response:
    """Create the category, or replace it as a whole.

    The body replaces the whole category; missing fields get their defaults. Returns 409 above 100
    categories or 64 KiB.
    """
    category, is_new = wiring.categories().put(request.category, request.body)
    return http.Response(201 if is_new else 200, category)
