"""GET /docs: this description, for people."""

from dispatcher import wiring
from dispatcher.edges import http, swagger_ui
from dispatcher.errors import NotFoundError


@http.route("GET", "/docs")
def handler(_request: http.Request) -> http.Response:
    """Answer with a page on which every operation can be tried."""
    if not wiring.docs_are_public():
        raise NotFoundError("There is no such path.")
    page = swagger_ui.page()
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": page.policy,
        "Cache-Control": "max-age=300",
    }
    return http.Response(200, page.html, headers)
