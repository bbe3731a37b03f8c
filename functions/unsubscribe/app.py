"""POST /u/{token}: end a category by email, or take that back."""

from dispatcher.edges import http, unsubscribe_page


@http.page("POST", "/u/{token}", unsubscribe_page.problem)
def handler(request: http.Request) -> http.Response:
    """Do what the form says: one click of a mailbox provider, or the button of the page."""
    return unsubscribe_page.change(request)
