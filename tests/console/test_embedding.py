"""The console in a frame: for the listed origins alone, with a session from the page around it."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest
from playwright.sync_api import expect

from tests.console.cloud import deployed
from tests.console.issuer import CLIENT, SignInServer
from tests.issuer import AUDIENCE
from tools.loopback import LoopbackServer

AROUND = """<!doctype html><html lang="en"><title>Around</title><h1>Around</h1>
<iframe title="Messages" width="1000" height="700" src="{console}"></iframe>"""


class Around:
    """A page of another origin with the console in a frame."""

    def __init__(self):
        self.page = ""
        self.server = LoopbackServer(self._handler())
        self.origin = self.server.origin

    def _handler(around):  # noqa: N805 - the handler inside has its own self
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                """Serve the page."""
                content = around.page.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                """Log nothing."""

        return Handler


@pytest.fixture(scope="module")
def listed():
    """A page whose origin the operator has listed."""
    around = Around()
    with around.server:
        yield around


@pytest.fixture(scope="module")
def issuer():
    """The issuer of the token that the page has."""
    with SignInServer() as server:
        yield server


@pytest.fixture(scope="module")
def cloud(session, listed, issuer):
    """A service that may be framed by one page."""
    environ = {
        "AUTH_MODE": "required",
        "OIDC_ISSUER": issuer.origin,
        "OIDC_AUDIENCE": AUDIENCE,
        "OIDC_JWKS_URI": f"{issuer.origin}/keys",
        "USER_CLAIM": "sub",
        "CONSOLE_CLIENT_ID": CLIENT,
        "CONSOLE_EMBED_ORIGINS": listed.origin,
    }
    with deployed(session, **environ) as cloud:
        listed.page = AROUND.format(console=f"{cloud.url}/console#/u/ada/what")
        cloud.peers = [one.origin.removeprefix("http://") for one in (listed, issuer)]
        yield cloud


def give(page, token, language="de"):
    """Post a session to the frame, as the page around it does."""
    page.evaluate(
        "([access_token, language]) => frames[0].postMessage("
        "{ type: 'dispatch:session', access_token, language }, '*')",
        [token, language],
    )


def test_a_listed_page_gives_the_session(visit, listed, issuer):
    """The frame asks for it, uses it, and speaks the page's language; it never redirects."""
    context = visit.context()
    context.add_init_script(
        "addEventListener('message', (event) => (window.got ??= []).push(event.data))"
    )
    page = context.new_page()
    page.goto(listed.origin)
    frame = page.frame_locator("iframe")
    expect(frame.locator("main")).to_contain_text("Waiting for the page around this one")
    assert page.evaluate("window.got") == [{"type": "dispatch:ready"}]

    give(page, issuer.token())

    expect(frame.get_by_role("heading", level=1)).to_have_text("Was Sie bekommen")
    assert not [path for path, _ in issuer.asked if path.startswith("/authorize")]


def test_another_page_cannot_frame_it(visit, cloud):
    """The browser refuses: the policy names the listed origin alone."""
    visit.expect_error("frame-ancestors")
    visit.expect_error("net::ERR_BLOCKED_BY_RESPONSE")
    other = Around()
    other.page = AROUND.format(console=f"{cloud.url}/console")
    with other.server:
        cloud.peers.append(other.origin.removeprefix("http://"))
        page = visit.context().new_page()
        page.goto(other.origin)

        expect(page.locator("h1")).to_have_text("Around")
        expect(page.frame_locator("iframe").locator("#app")).to_have_count(0)


def test_a_message_from_another_origin_is_ignored(visit, cloud, issuer, listed):
    """Neither the console's origin nor any other one that is not listed can give it a session."""
    page = visit.context().new_page()
    page.goto(listed.origin)
    frame = page.frame_locator("iframe")
    expect(frame.locator("main")).to_contain_text("Waiting for the page around this one")

    cloud.calls.clear()
    page.frames[1].evaluate(
        "(token) => postMessage({ type: 'dispatch:session', access_token: token }, '*')",
        issuer.token(),
    )

    # Messages are delivered in order: after the second one, the first has been handled.
    page.frames[1].evaluate("new Promise((done) => { onmessage = done; postMessage(0, '*'); })")
    assert cloud.calls == []
    give(page, issuer.token(), "en")
    expect(frame.get_by_role("heading", level=1)).to_have_text("What you get")
