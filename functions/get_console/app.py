"""GET /, /console, /console/{proxy+} and /p/{token}: the web console."""

from pathlib import Path

from dispatcher.edges import console, http

STATIC = Path(__file__).parent / "static"


@http.pages(
    *("/console", "/console/{proxy+}", "/p/{token}", "/"), headers=lambda: console.headers(STATIC)
)
def handler(request: http.Request) -> http.Response:
    """Return the shell, one of its files, or the way to the shell."""
    return console.respond(request, STATIC)
