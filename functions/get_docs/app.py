"""GET /docs: this description, for people."""

from dispatcher import explorer, http, wiring
from dispatcher.errors import NotFoundError


@http.route("GET", "/docs")
def handler(_request: http.Request) -> http.Answer:
    """Answer with a page on which every operation can be tried."""
    if not wiring.docs_are_public():
        raise NotFoundError("There is no such path.")
    page = explorer.page()
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": page.policy,
        "Cache-Control": "max-age=300",
    }
    return http.Answer(200, page.html, headers)
