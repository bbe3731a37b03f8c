"""The real functions behind an HTTP server on loopback, which replaces API Gateway for a browser.

Every request passes the authorizer, as on AWS; every message that is sent is delivered immediately.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from dispatcher import wiring
from dispatcher.configuration import health
from dispatcher.edges.routes import PAGES, ROUTES
from tests.fake_servers.slack_server import TOKEN, FakeSlackServer
from tests.fake_servers.smtp_server import FakeSmtpServer
from tests.functions.service import running, sample
from tools.loopback import LoopbackServer

ON = ("SLACK", "EMAIL", "CLI", "TEST")
PEOPLE = {
    "ada@example.com": "U0ADALOVELACE",
    "ada@company.com": "U0ADACOMPANY",
    "john.doe@example.com": "U0JOHNDOE",
}

PARKED = "/parked"
"""An empty page, at which a page of the browser waits for the next test."""
EMPTY = '<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Parked</title>'


class Hooks:
    """A receiver of webhooks: it returns the next of ``statuses``, and 204 after the last."""

    def __init__(self):
        self.statuses = []
        self.server = LoopbackServer(self._handler())
        self.url = self.server.origin

    def _handler(hooks):  # noqa: N805 - the handler inside has its own self
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                """Accept or fail."""
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(hooks.statuses.pop(0) if hooks.statuses else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                """Log nothing."""

        return Handler


class Cloud:
    """A deployed service; ``calls`` holds method, path and status of each request to the API."""

    def __init__(self, service, hooks, mails):
        self.service = service
        self.mails = mails
        self.hooks = hooks
        self.calls = []
        self.is_down = False
        self.lock = threading.RLock()
        self.server = LoopbackServer(self._handler())
        self.url = self.server.origin.replace("127.0.0.1", "localhost")

    def ask(self, method, path, body=None, *, bearer=None, headers=None):
        """Send a request to the API and return status and JSON, as a program would."""
        text = "" if body is None else json.dumps(body)
        given = {"Content-Type": "application/json", **(headers or {})}
        if bearer:
            given["Authorization"] = f"Bearer {bearer}"
        status, _, answer = self.respond(method, path, given, text)
        return status, json.loads(answer) if answer else None

    def respond(self, method, target, headers, body):
        """Return status, headers and body for a request, after its authorization."""
        parts = urlsplit(target)
        route, parameters = routed(method, parts.path)
        event = {
            "resource": route.path,
            "path": parts.path,
            "httpMethod": method,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "multiValueQueryStringParameters": parse_qs(parts.query) or None,
            "pathParameters": parameters or None,
            "requestContext": dict(sample("get_docs")["requestContext"]),
            "body": body or None,
            "isBase64Encoded": False,
        }
        with self.lock:
            if route.scopes is not None:
                arn = sample("authorize_request")["methodArn"]
                try:
                    asked = {**event, "methodArn": arn}
                    known = self.service.invoke("authorize_request", asked)
                except Exception as error:  # noqa: BLE001 - as API Gateway: its text decides
                    return (401 if str(error) == "Unauthorized" else 503), {}, ""
                event["requestContext"]["authorizer"] = known["context"]
            answer = self.service.invoke(route.function, event)
            if method != "GET":
                self.deliver()
        return answer["statusCode"], answer["headers"], answer["body"] or ""

    def restart(self):
        """Begin with new containers, which have nothing in their caches."""
        with self.lock:
            wiring.reset()

    def deliver(self):
        """Let the worker have all messages that can be seen now."""
        for queue in ("DeliveryQueue", "RetryQueue"):
            bodies = self.service.messages(queue)
            for start in range(0, len(bodies), 10):
                self.service.deliver(*bodies[start : start + 10], queue=queue)

    def _handler(cloud):  # noqa: N805 - the handler inside has its own self
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_request(self):
                """Record the request and send the response."""
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                is_api = self.path.startswith("/api/")
                if is_api and cloud.is_down:
                    self.close_connection = True
                    return
                if self.path == PARKED:
                    status, headers, text = 200, {"Content-Type": "text/html"}, EMPTY
                else:
                    status, headers, text = cloud.respond(
                        self.command, self.path, dict(self.headers), body
                    )
                if is_api:
                    cloud.calls.append((self.command, self.path, status))
                content = text.encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 304:
                    self.send_header("Content-Length", str(len(content)))
                try:
                    self.end_headers()
                    self.wfile.write(content)
                except ConnectionError:
                    # The page went on and no longer waits for it.
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = handle_request  # noqa: N815 - the library's names

            def log_message(self, *_):
                """Log nothing."""

        return Handler


def routed(method, path):
    """Return a request's route and path parameters, encoded as on AWS."""
    asked = path.split("/")
    for route in (*ROUTES, *PAGES):
        template = route.path.split("/")
        if template[-1] == "{proxy+}":
            given = [*asked[: len(template) - 1], "/".join(asked[len(template) - 1 :])]
        else:
            given = asked
        if route.method == method and len(template) == len(given):
            pairs = list(zip(template, given, strict=True))
            if all(part == one or (part.startswith("{") and one) for part, one in pairs):
                return route, {part.strip("{+}"): one for part, one in pairs if part[:1] == "{"}
    fallback = next(one for one in PAGES if one.path == "/console/{proxy+}")
    return fallback, {"proxy": path.lstrip("/")}


@contextmanager
def deployed(session, **environ):
    """Run a service whose receivers are on loopback; ``environ`` adds to its settings."""
    slack, hooks = FakeSlackServer(users=PEOPLE), Hooks()
    with (
        slack,
        hooks.server,
        FakeSmtpServer() as mail,
        running(session) as service,
        pytest.MonkeyPatch.context() as patch,
    ):
        settings = {
            "AUTH_MODE": "none",
            "SLACK_BOT_TOKEN_SECRET": "SlackBotTokenSecret",
            "SLACK_API_URL": slack.url,
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(mail.port),
            "SMTP_TLS": "none",
            "EMAIL_SENDER": "Dispatcher <dispatcher@example.com>",
            "DEFAULT_EMAIL_DOMAIN": "example.com",
            "SMS_ENABLED": "true",
            "WEBHOOK_ALLOW_HTTP": "true",
            "WEBHOOK_ALLOWED_CIDRS": "127.0.0.0/8",
            "DEFAULT_TIME_ZONE": "Europe/Berlin",
            **{f"INTEGRATION_DEFAULTS_{name}_ENABLED": "true" for name in ON},
            **environ,
        }
        for name, value in settings.items():
            patch.setenv(name, value)
        # On a busy machine the emulated queues can take longer than the 2 s of a real probe.
        patch.setattr(health, "PROBE_LIMIT", 60.0)
        wiring.reset()
        boto3.client("secretsmanager").create_secret(Name="SlackBotTokenSecret", SecretString=TOKEN)
        cloud = Cloud(service, hooks, mail.mails)
        cloud.server.start()
        yield cloud
        cloud.server.stop()
