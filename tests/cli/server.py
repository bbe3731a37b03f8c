"""The functions behind a real HTTP server on loopback, as API Gateway stands in front of them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from dispatcher.routes import ROUTES
from tests.functions.service import OPERATOR, asked_by, sample


class Gateway:
    """Serves until its block ends; ``asked`` holds verb, path, headers and body of each request."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []
        self._server = HTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        """Begin to serve."""
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        """Serve no longer."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(gateway):  # noqa: N805 - the handler's own self stands inside
        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                """Hand the request over, and the answer back."""
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                gateway.asked.append((self.command, self.path, dict(self.headers), body))
                status, headers, text = gateway.answer(self.command, self.path, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the library's names

            def log_message(self, *_):
                """Say nothing."""

        return Handler


def behind(service):
    """Return what answers requests with the functions."""

    def answer(method, target, body):
        parts = urlsplit(target)
        route, parameters = routed(method, parts.path)
        event = asked_by(OPERATOR, sample(route.function))
        event |= {
            "httpMethod": method,
            "path": parts.path,
            "pathParameters": parameters,
            "multiValueQueryStringParameters": parse_qs(parts.query) or None,
            "multiValueHeaders": {"Content-Type": ["application/json"]},
            "body": body or None,
        }
        response = service.invoke(route.function, event)
        return response["statusCode"], response["headers"], response["body"] or ""

    return answer


def routed(method, path):
    """Find the route of a path, and the parameters in it."""
    asked = path.split("/")
    for route in ROUTES:
        template = route.path.split("/")
        pairs = list(zip(template, asked, strict=False))
        if (
            route.method == method
            and len(template) == len(asked)
            and all(segment == part or segment.startswith("{") for segment, part in pairs)
        ):
            named = {a[1:-1]: unquote(b) for a, b in pairs if a.startswith("{")}
            return route, named or None
    raise AssertionError(f"no route for {method} {path}")


@contextmanager
def always(status, text="", **headers):
    """Serve one answer to everything."""
    with Gateway(lambda *_: (status, headers, text)) as gateway:
        yield gateway
