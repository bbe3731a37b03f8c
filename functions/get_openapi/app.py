"""GET /openapi.json: the OpenAPI document."""

from pathlib import Path

from dispatcher.edges import http
from dispatcher.errors import NotFoundError
from dispatcher.settings import settings

DOCUMENT = Path(__file__).with_name("openapi.json")


@http.route("GET", "/openapi.json")
def handler(_request: http.Request) -> http.Response:
    """Return the document that was generated from the code.

    Returns 404 if the operator set ``PublicDocs=false``.
    """
    if not settings().docs_are_public:
        raise NotFoundError("There is no such path.")
    return http.Response(200, DOCUMENT.read_text(), {"Cache-Control": "max-age=300"})
