"""Any other request: a path that does not exist, or one that exists with other verbs."""

from dispatcher.edges import http, routes
from dispatcher.errors import NotFoundError


@http.route("ANY", "/{proxy+}")
def handler(request: http.Request) -> http.Response:
    """Answer 405 with the verbs that the path knows, or 404 if it knows none."""
    if verbs := routes.allowed(request.path):
        raise http.MethodNotAllowedError(verbs)
    raise NotFoundError("There is no such path.")
