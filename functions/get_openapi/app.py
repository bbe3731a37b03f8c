"""GET /openapi.json: this description, for programs."""

from pathlib import Path

from dispatcher import wiring
from dispatcher.edges import http
from dispatcher.errors import NotFoundError

DOCUMENT = Path(__file__).with_name("openapi.json")


@http.route("GET", "/openapi.json")
def handler(_request: http.Request) -> http.Response:
    """Answer with the file that was made from the code."""
    if not wiring.docs_are_public():
        raise NotFoundError("There is no such path.")
    return http.Response(200, DOCUMENT.read_text(), {"Cache-Control": "max-age=300"})
