"""Sign-in with OpenID Connect: code flow with PKCE, and a token that is in memory alone."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from playwright.sync_api import expect

from tests.console.cloud import deployed
from tests.console.issuer import CLIENT, SignInServer
from tests.console.people import categorize
from tests.console.visitor import STORAGE
from tests.issuer import AUDIENCE


@pytest.fixture(scope="module")
def issuer():
    """An issuer at which Ada is signed in."""
    with SignInServer() as server:
        yield server


@pytest.fixture(scope="module")
def cloud(session, issuer):
    """A service that requires a token of the issuer."""
    environ = {
        "AUTH_MODE": "required",
        "OIDC_ISSUER": issuer.origin,
        "OIDC_AUDIENCE": AUDIENCE,
        "OIDC_JWKS_URI": f"{issuer.origin}/keys",
        "USER_CLAIM": "sub",
        "CONSOLE_CLIENT_ID": CLIENT,
    }
    with deployed(session, **environ) as cloud:
        cloud.peers = (issuer.origin.removeprefix("http://"),)
        issuer.redirects.add(f"{cloud.url}/console")
        admin = issuer.token(scope="dispatch:admin")
        categorize(cloud, admin)
        yield cloud


@pytest.fixture(autouse=True)
def usual(issuer):
    """Each test begins with Ada, an hour and an honest issuer."""
    issuer.person, issuer.lifetime, issuer.wrong = "ada", 3600, {}
    issuer.scopes = "dispatch:read dispatch:write dispatch:send"
    issuer.asked.clear()


def what_you_get(page):
    """Wait for the first page."""
    expect(page.get_by_role("heading", level=1)).to_have_text("What you get")


def test_a_living_session_signs_in_without_a_question(visit, cloud, issuer):
    """The first attempt is silent, and a reload is one more; the page of the address opens."""
    page = visit("#/u/ada/when", ready=False)
    expect(page.get_by_role("heading", level=1)).to_have_text("When")

    page.reload()

    expect(page.get_by_role("heading", level=1)).to_have_text("When")
    expect(page).to_have_url(f"{cloud.url}/console#/u/ada/when")
    silent = [path for path, _ in issuer.asked if path.startswith("/authorize")]
    assert len(silent) == 2
    assert all("prompt=none" in path for path in silent)


def test_without_a_session_there_is_a_button(visit, issuer):
    """One silent attempt, then *Sign in*; no loop."""
    issuer.person = None
    page = visit("/console", ready=False)
    button = page.get_by_role("button", name="Sign in")
    expect(button).to_be_visible()
    assert len([path for path, _ in issuer.asked if path.startswith("/authorize")]) == 1

    issuer.person = "ada"
    button.click()

    what_you_get(page)
    expect(page.locator(".who")).to_have_text("ada")


@pytest.mark.parametrize("part", ["state", "nonce"])
def test_an_answer_to_another_question_is_refused(visit, issuer, part):
    """A wrong state or nonce opens nothing."""
    issuer.wrong = {part: "of-somebody-else"}

    page = visit("/console", ready=False)

    expect(page.locator("main")).to_contain_text("The sign-in was refused")
    expect(page.get_by_role("navigation")).to_have_count(0)


def test_an_answer_that_nobody_asked_for_is_refused(visit, cloud):
    """A code from an attacker's link is not exchanged."""
    page = visit("/console?code=stolen&state=guessed", ready=False)

    expect(page.locator("main")).to_contain_text("The sign-in was refused")
    expect(page).to_have_url(f"{cloud.url}/console")


def test_the_token_is_in_memory_alone(visit, cloud, issuer):
    """No address, no storage, no cookie, no referrer and no log line holds it."""
    page = visit.context().new_page()
    sent = []
    page.on("request", lambda request: sent.append((request.url, dict(request.headers))))
    page.goto(f"{cloud.url}/console#/u/ada/what")
    what_you_get(page)
    page.reload()
    what_you_get(page)

    tokens = {
        headers["authorization"].removeprefix("Bearer ")
        for _, headers in sent
        if "authorization" in headers
    }
    kept = page.evaluate(STORAGE)
    assert tokens
    for token in tokens:
        assert not [url for url, _ in sent if token in url]
        assert not [headers for _, headers in sent if token in headers.get("referer", "")]
        assert token not in kept
        assert token not in page.url
        assert not [line for line in cloud.service.lines if token in str(vars(line))]
    assert not [headers for _, headers in issuer.asked if "Referer" in headers]
    assert json.loads(kept) == [{}, {}, ""]


def test_the_end_of_a_session_keeps_what_was_typed(visit, issuer):
    """Two minutes before the end a notice offers to renew; a half-filled form survives it."""
    issuer.lifetime = 100
    page = visit("#/u/ada/when", ready=False)
    expect(page.get_by_role("alert")).to_contain_text("Your session ends")
    page.get_by_label("Time zone").fill("Asia/Kathmandu")
    issuer.lifetime = 3600

    page.get_by_role("button", name="Renew the session").click()

    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_label("Time zone")).to_have_value("Asia/Kathmandu")
    assert page.evaluate("sessionStorage.length") == 0


def test_a_session_that_ended_is_offered_again(visit, issuer, cloud):
    """At its end a notice shows *Sign in* beside the page, and the page stays."""
    page = visit.context().new_page()
    page.clock.install(time=time.time())
    page.goto(f"{cloud.url}/console#/u/ada/what")
    what_you_get(page)
    page.clock.fast_forward("01:00:00")
    expect(page.get_by_role("alert")).to_contain_text("Your session has ended")
    what_you_get(page)
    issuer.lifetime = 7200

    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_have_count(0)
    what_you_get(page)


def test_a_refused_token_offers_the_sign_in(visit):
    """A 401 shows the same notice, also before the end that the page knows of."""
    visit.expect_error("401")
    page = visit("#/u/ada/what", ready=False)
    what_you_get(page)

    with time_machine.travel(datetime.now(UTC) + timedelta(hours=2)):
        page.get_by_role("link", name="When").click()
        expect(page.get_by_role("alert")).to_contain_text("Your session has ended")
        page.get_by_role("button", name="Sign in").click()

        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.get_by_role("heading", level=1)).to_have_text("When")


def test_a_link_works_where_a_sign_in_is_required(visit, cloud, issuer):
    """It asks the issuer for nothing, saves, and opens no page and no route beyond preferences."""
    visit.expect_error("403")
    base, token = "/api/v1/users/ada", issuer.token()
    _, link = cloud.ask("POST", f"{base}/preferences-link", {"expires_in": 3600}, bearer=token)
    cloud.calls.clear()
    page = visit("/p/" + link["url"].rpartition("/p/")[2])
    bearers = []
    page.on("request", lambda request: bearers.append(request.headers.get("authorization")))
    what_you_get(page)
    expect(page).to_have_url(f"{cloud.url}/console#/u/ada/what")
    names = page.get_by_role("navigation").get_by_role("link").all_text_contents()
    assert names == ["What you get", "When", "What if"]

    page.get_by_role("switch", name="Builds, Email").click()

    expect(page.get_by_role("status")).to_have_text("Saved: Builds, Email is off.")
    stored = cloud.ask("GET", f"{base}/preferences", bearer=token)[1]
    assert stored["updated_via"] == "link"
    assert issuer.asked == []
    assert cloud.calls[0] == ("POST", "/api/v1/session", 201)
    [bearer] = {one for one in bearers if one}
    assert bearer.startswith("Bearer dps_")
    assert page.evaluate(STORAGE) == '[{},{},""]'
    for path in (f"{base}/deliveries", "/api/v1/users/grace/preferences"):
        status = page.evaluate(
            "([path, Authorization]) =>"
            " fetch(path, { headers: { Authorization } }).then((response) => response.status)",
            [path, bearer],
        )
        assert status == 403, path
    page.evaluate("location.hash = '#/u/ada/history'")
    expect(page.locator("main")).to_contain_text("cannot be opened by a link from an email")
    cloud.ask("PUT", f"{base}/preferences", {"categories": None}, bearer=token)


def test_a_page_without_its_scope_is_not_offered(visit, issuer):
    """It is not in the navigation, and its address says which scope is missing."""
    page = visit("#/overview", ready=False)

    expect(page.locator("main")).to_contain_text("dispatch:admin")
    names = page.get_by_role("navigation").get_by_role("link").all_text_contents()
    assert names == ["What you get", "When", "Where", "History", "Mailbox", "What if"]


def test_another_users_pages_are_for_administrators(visit, issuer, cloud):
    """Others are refused; an administrator looks first and changes after saying so."""
    page = visit("#/u/grace/what", ready=False)
    expect(page.locator("main")).to_contain_text("You may not see the pages of grace")

    issuer.scopes = "dispatch:admin"
    page = visit("#/u/grace/what", ready=False)
    what_you_get(page)
    switch = page.get_by_role("switch", name="News, Email")
    expect(switch).to_have_attribute("aria-disabled", "true")
    switch.click(force=True)
    expect(switch).to_be_checked()
    page.get_by_role("button", name="Change on their behalf").click()
    switch.click()

    expect(page.get_by_role("status")).to_have_text("Saved: News, Email is off.")
    stored = cloud.ask("GET", "/api/v1/users/grace/preferences", bearer=issuer.token())[1]
    assert stored["categories"] == {"news": {"integrations": {"EMAIL": False}}}
