"""The proxy of the local service keeps out web pages that are open on the same machine."""

from __future__ import annotations

import gzip
import http.client
import json
import time
from http.server import BaseHTTPRequestHandler

import pytest

from tools.local_cloud import wait_for
from tools.loopback import LoopbackServer
from tools.paths import CADDY, ROOT
from tools.processes import Background, free_port

POLICY = "default-src 'none'"


@pytest.fixture(scope="module")
def cloud():
    """A server behind the proxy that accepts every request and shows it."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if self.path.endswith("/broken"):
                return  # the connection ends without a response
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("X-Path", self.path)
            self.send_header("X-Names", ",".join(self.headers))
            self.send_header("X-None-Match", self.headers.get("If-None-Match", ""))
            self.send_header("X-Match", self.headers.get("If-Match", ""))
            content = b"x" * 2048 if "/console" in self.path else b""
            if content:
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Security-Policy", POLICY)
                self.send_header("ETag", '"0123"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_OPTIONS = answer  # noqa: N815 - so http.server calls them

        def log_message(self, *_):
            """Say nothing."""

    server = LoopbackServer(Handler)
    server.start()
    yield server.server_port
    server.stop()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    """The process of the proxy."""
    return Background("proxy", tmp_path_factory.mktemp("proxy"))


@pytest.fixture(scope="module")
def port(cloud, proxy):
    """The proxy's port."""
    home, port = proxy.home, free_port()
    variables = {
        "HOME": str(home),
        "PORT": str(port),
        "CLOUD_PORT": str(cloud),
        "API_ID": "a1b2",
        "STAGE": "local",
    }
    command = [str(CADDY), "run", "--config", str(ROOT / "tools" / "Caddyfile")]
    proxy.start(command, variables)
    wait_for(proxy, f"http://127.0.0.1:{port}/health", "The proxy")
    yield port
    proxy.stop()


@pytest.fixture
def ask(port):
    """Return a function that sends a request and returns status and headers of the response."""

    def ask(method="GET", host="localhost:{port}", path="/api/v1/x?y=1", body=None, **headers):
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        named = {name.replace("_", "-"): text.format(port=port) for name, text in headers.items()}
        line.request(method, path, body, headers={"Host": host.format(port=port), **named})
        own_port = line.sock.getsockname()[1]
        answer = line.getresponse()
        answer.body, answer.own_port = answer.read(), own_port
        line.close()
        return answer

    return ask


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("POST", {}),
        ("GET", {"host": "127.0.0.1:{port}"}),
        ("POST", {"Origin": "http://localhost:{port}"}),
        ("POST", {"Origin": "http://127.0.0.1:{port}", "host": "127.0.0.1:{port}"}),
        ("POST", {"Sec_Fetch_Site": "same-origin", "Origin": "http://localhost:{port}"}),
        # A form on the page to unsubscribe.
        ("POST", {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "navigate", "Origin": "null"}),
        ("GET", {"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate"}),
        (
            "GET",
            {
                "Sec_Fetch_Site": "cross-site",
                "Sec_Fetch_Mode": "navigate",
                "Sec_Fetch_Dest": "document",
            },
        ),
    ],
    ids=str,
)
def test_programs_our_own_pages_and_people_get_through(ask, method, headers):
    """To the API, at the root, as programs; no response allows another page to read along."""
    answer = ask(method, **headers)

    assert answer.status == 200
    assert answer.headers["X-Path"] == "/_aws/execute-api/a1b2/local/api/v1/x?y=1"
    assert "Origin" not in answer.headers["X-Names"]
    assert "Sec-" not in answer.headers["X-Names"]
    assert answer.headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize(
    ("path", "forwarded"),
    [
        ("/users/a%40b.com?q=%2F", "/users/a%2540b.com?q=%2F"),
        ("/users/a@b.com", "/users/a@b.com"),
        ("/requests/a%2Fb", "/requests/a%252Fb"),
        ("/requests/a%252Fb", "/requests/a%25252Fb"),
        ("/requests/%2E%2E", "/requests/%252E%252E"),
        ("/requests/100%25", "/requests/100%2525"),
        ("/users/%C3%A9", "/users/%25C3%25A9"),
        ("/a//b", "/a//b"),
    ],
)
def test_a_path_reaches_the_functions_as_it_was_encoded(ask, path, forwarded):
    """The local cloud decodes a path once before it routes; API Gateway does not."""
    answer = ask(path=path)

    assert answer.headers["X-Path"] == f"/_aws/execute-api/a1b2/local{forwarded}"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"Origin": "https://evil.example.com"}),
        ("GET", {"Origin": "https://evil.example.com"}),
        ("OPTIONS", {"Origin": "https://evil.example.com"}),
        ("POST", {"Origin": "null"}),
        ("POST", {"Origin": "null", "Sec_Fetch_Site": "cross-site"}),
        ("POST", {"Origin": "null", "Sec_Fetch_Site": "none"}),
        ("POST", {"Origin": "https://evil.example.com", "Sec_Fetch_Site": "same-origin"}),
        ("POST", {"Origin": "http://localhost:1"}),
        ("POST", {"Origin": "https://localhost:{port}"}),
        ("POST", {"Origin": "http://localhost:{port}.example.com"}),
        ("POST", {"Sec_Fetch_Site": "cross-site"}),
        ("POST", {"Sec_Fetch_Site": "same-site"}),
        ("POST", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}),
        (
            "GET",
            {
                "Sec_Fetch_Site": "cross-site",
                "Sec_Fetch_Mode": "navigate",
                "Sec_Fetch_Dest": "iframe",
            },
        ),
        ("GET", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}),
        ("GET", {"host": "evil.example.com"}),
        ("GET", {"host": "evil.example.com:{port}"}),
        ("GET", {"host": "localhost.example.com:{port}"}),
        ("POST", {"host": "rebound.example.com:{port}", "Origin": "http://localhost:{port}"}),
    ],
    ids=str,
)
def test_pages_of_others_are_refused(ask, method, headers):
    """By where they come from, or by the name under which they call this machine."""
    answer = ask(method, **headers)

    assert answer.status == 403
    assert problem_of(answer)["status"] == 403
    assert answer.headers["X-Path"] is None


def test_a_body_above_the_limit_of_api_gateway_is_refused(ask):
    """As API Gateway refuses it, with problem details."""
    answer = ask("POST", body=b"x" * 10_000_001)

    assert answer.status == 413
    assert problem_of(answer)["title"] == "Body too large"


def test_a_cloud_that_does_not_respond_is_an_outage(ask):
    """As API Gateway tells of a function that does not respond."""
    answer = ask(path="/broken")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert problem_of(answer)["type"] == "urn:integration-dispatcher:problem:unavailable"


def problem_of(answer):
    """Return problem details whose form is that of the API."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body.endswith(b"}\n")
    problem = json.loads(answer.body)
    assert set(problem) == {"type", "title", "status", "detail", "instance"}
    assert problem["status"] == answer.status
    return problem


def test_the_console_is_compressed_under_its_own_policy(ask):
    """Its headers pass unchanged, its ETag too: a client may compare it with the version."""
    plain = ask(path="/console")
    answer = ask(path="/console", Accept_Encoding="gzip")
    tag = answer.headers["ETag"]
    again = ask(path="/console", Accept_Encoding="gzip", If_None_Match=tag, If_Match=tag)

    assert "Content-Encoding" not in plain.headers
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.body) == plain.body
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert (tag, plain.headers["ETag"]) == ('"0123"', '"0123"')
    assert (again.headers["X-None-Match"], again.headers["X-Match"]) == (tag, tag)


@pytest.mark.parametrize(
    "path",
    [
        *("/p/{}", "/u/{}", "/u/{}?x=1", "/p/{}/broken", "/u/{}/broken"),
        # Other spellings of a path that may lead to the same function.
        *("/u/{}/", "/u//{}", "//u/{}", "/u/./{}", "/./u/{}", "/p/x/../{}", "/u/%2e/{}"),
        *("/%75/{}", "/%70/{}", "/u%2F{}", "/U/{}", "/u;x/{}", "/u\\{}", "/local/u/{}"),
        *("/console?code={}", "/console?next=/p/{}", "/{}"),
    ],
)
def test_no_token_is_logged(ask, proxy, path):
    """Links and headers hold bearer tokens; requests without a response are logged, too."""
    token = "eyJ1IjoiYWRhIn0.AbC-_123"
    path = path.format(token)

    answer = ask(path=path, Authorization=f"Bearer dps_{token}", Referer=f"http://localhost/{path}")

    assert answer.status == (503 if path.endswith("broken") else 200)
    # The line is written after the response.
    until = time.monotonic() + 10
    while answer.own_port not in logged_ports(text := proxy.log.read_text()):
        assert time.monotonic() < until, text
        time.sleep(0.01)
    assert token not in text
    assert "dps_" not in text


def logged_ports(text):
    """Return the ports of the clients whose requests have been logged."""
    lines = [json.loads(line) for line in text.splitlines() if '"handled request"' in line]
    return {int(line["request"]["remote_port"]) for line in lines}
