"""GET /u/{token}: the page that asks whether to end a category by email."""

from dispatcher.edges import http, unsubscribe_page


@http.page("GET", "/u/{token}", unsubscribe_page.problem)
def handler(request: http.Request) -> http.Response:
    """Return the page; nothing changes, no matter which client requests it."""
    return unsubscribe_page.show(request)
