"""GET /docs: the interactive API reference."""

from dispatcher.edges import http, swagger_ui
from dispatcher.errors import NotFoundError
from dispatcher.settings import settings


@http.route("GET", "/docs")
def handler(_request: http.Request) -> http.Response:
    """Return a page that describes every operation and can call it.

    Returns 404 if the operator set ``PublicDocs=false``.
    """
    if not settings().docs_are_public:
        raise NotFoundError("There is no such path.")
    page = swagger_ui.page()
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": page.policy,
        "Cache-Control": "max-age=300",
    }
    return http.Response(200, page.html, headers)
