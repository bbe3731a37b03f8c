"""The unsubscribe page in a real Chromium, under the policy that its response sets.

The functions respond to the browser's requests; any other request fails the test.
"""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from tests.functions.test_unsubscribe import category, preferences, token
from tools.paths import ROOT

AXE = ROOT / "tests" / "console" / "vendor" / "axe.min.js"
SITE = "https://api.example.com/prod"
WIDTHS = (320, 1280)


@contextmanager
def visiting(service, chromium, **options):
    """Open a page that the functions serve; fail on complaints and other requests."""
    context = chromium.new_context(**options)
    page, wrong = context.new_page(), []
    page.on("console", lambda said: wrong.append(said.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))

    def answer(route):
        request = route.request
        base, _, link = request.url.rpartition("/")
        if base != f"{SITE}/u":
            wrong.append(f"asks {request.url}")
            route.abort()
            return
        headers = {"Accept-Language": [request.headers.get("accept-language", "")]}
        if request.method == "POST":
            headers["Content-Type"] = [request.headers["content-type"]]
            response = service.response(
                "unsubscribe", request.post_data, token=link, headers=headers
            )
        else:
            response = service.response("show_unsubscribe", token=link, headers=headers)
        route.fulfill(
            status=response["statusCode"], headers=response["headers"], body=response["body"]
        )

    page.route("**/*", answer)
    yield page
    context.close()
    # Chromium also reports every response above 399 as an error.
    assert [one for one in wrong if "Failed to load resource" not in one] == []


def violations(page):
    """Return what axe finds, rule and element."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run().then(result => result.violations)")
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en-US", "de-DE"])
def test_every_state_is_accessible(service, chromium, scheme, language):
    """No violation of axe, nothing wider than the window, at 320 and 1280 px."""
    category(service, "news", title="A title that is as long as titles of categories get here")
    category(service, "security", title="Security", locked=True, reach_by=["EMAIL"])
    states = {
        "asks": token(),
        "locked": token(c="security"),
        "removed": token(c="gone"),
        "not valid": "nonsense",
    }
    found = {}
    options = {"color_scheme": scheme, "locale": language}
    with visiting(service, chromium, **options) as page:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            for name, link in states.items():
                page.goto(f"{SITE}/u/{link}")
                found[name, width] = violations(page), sideways(page)
            for name in ("ended", "undone"):
                page.goto(f"{SITE}/u/{states['asks']}")
                page.get_by_role("button").click()
                if name == "undone":
                    page.get_by_role("button").click()
                found[name, width] = violations(page), sideways(page)

    assert found == dict.fromkeys(found, ([], 0))
    assert len(found) == 12


def sideways(page):
    """Return by how many pixels the page is wider than its window."""
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def test_it_works_without_javascript_and_by_keyboard(service, chromium):
    """Unsubscribe, undo, and reload what was posted."""
    category(service, "news", title="News")
    with visiting(service, chromium, java_script_enabled=False, locale="en-US") as page:
        page.goto(f"{SITE}/u/{token()}")
        expect(page.get_by_role("heading", name="Unsubscribe from News")).to_be_visible()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="You are unsubscribed from News")).to_be_visible()
        ended = preferences(service)
        page.reload()
        expect(page.get_by_role("heading", name="You are unsubscribed from News")).to_be_visible()
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_role("heading", name="You get News by email again")).to_be_visible()

    assert ended == ({"news": {"integrations": {"EMAIL": False}}}, "unsubscribe")
    assert preferences(service) == (None, None)


def test_the_page_is_german_for_a_german_browser(service, chromium):
    """By the browser's own Accept-Language."""
    category(service, "news", title="News")
    with visiting(service, chromium, locale="de-DE") as page:
        page.goto(f"{SITE}/u/{token()}")
        page.get_by_role("button", name="Abbestellen").click()
        expect(page.get_by_role("heading", name="News ist abbestellt")).to_be_visible()


def test_the_link_leads_to_the_console_of_the_same_stage(service, chromium):
    """It is relative, so it holds behind a stage and behind a domain."""
    category(service, "news", title="News")
    with visiting(service, chromium, locale="en-US") as page:
        page.goto(f"{SITE}/u/{token()}")
        link = page.get_by_role("link", name="Change what you get")
        href = link.evaluate("one => one.href")

    assert href == f"{SITE}/console"
