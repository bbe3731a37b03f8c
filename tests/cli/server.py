"""The functions behind a real HTTP server on loopback, which replaces API Gateway."""

from __future__ import annotations

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.contract import routed
from tests.functions.service import OPERATOR, asked_by, sample
from tools.loopback import LoopbackServer


class Gateway:
    """A server; ``requests`` holds method, path, headers and body of each request."""

    def __init__(self, respond):
        self.respond = respond
        self.requests = []
        self._server = LoopbackServer(self._handler())
        self.url = self._server.origin

    def __enter__(self):
        """Start the server."""
        self._server.start()
        return self

    def __exit__(self, *_):
        """Stop the server."""
        self._server.stop()

    def _handler(gateway):  # noqa: N805 - the handler inside has its own self
        class Handler(BaseHTTPRequestHandler):
            def handle_request(self):
                """Record the request and send the response."""
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                gateway.requests.append((self.command, self.path, dict(self.headers), body))
                status, headers, text = gateway.respond(self.command, self.path, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_PUT = do_DELETE = handle_request  # noqa: N815 - the library's names

            def log_message(self, *_):
                """Log nothing."""

        return Handler


def behind(service):
    """Return a responder that calls the functions."""

    def respond(method, target, body):
        parts = urlsplit(target)
        route, parameters = routed(method, parts.path)
        event = asked_by(OPERATOR, sample(route.function))
        event |= {
            "httpMethod": method,
            "path": parts.path,
            "pathParameters": parameters or None,
            "multiValueQueryStringParameters": parse_qs(parts.query) or None,
            "multiValueHeaders": {"Content-Type": ["application/json"]},
            "body": body or None,
        }
        response = service.invoke(route.function, event)
        return response["statusCode"], response["headers"], response["body"] or ""

    return respond


@contextmanager
def always(status, text="", **headers):
    """Serve the same response to every request."""
    with Gateway(lambda *_: (status, headers, text)) as gateway:
        yield gateway
