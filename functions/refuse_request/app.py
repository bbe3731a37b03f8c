"""Any other request: an unknown path, or a method that the path does not support."""

from dispatcher.edges import http, routes
from dispatcher.errors import NotFoundError


@http.route("ANY", "/{proxy+}")
def handler(request: http.Request) -> http.Response:
    """Refuse with 405 and the path's methods, or with 404 for an unknown path."""
    if verbs := routes.allowed(request.path):
        raise http.MethodNotAllowedError(verbs)
    raise NotFoundError("There is no such path.")
