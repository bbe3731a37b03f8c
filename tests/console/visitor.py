"""A person with a browser: opens pages, and notes what the browser complains about."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import expect

from tests.console.cloud import PARKED

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()

#: WCAG 2.2 AA and axe's own good practices, among them landmarks and one h1.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

#: Pixels of a window.
HEIGHT = 900

#: Keeps the announcements for screen readers, and reports violations of the policy as errors.
LISTEN = """
window.said = [];
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.effectiveDirective} ${event.blockedURI}`);
});
addEventListener("DOMContentLoaded", () => {
  new MutationObserver(() => {
    const text = document.querySelector("[role=status]")?.textContent;
    if (text && text !== window.said.at(-1)) window.said.push(text);
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
});
"""

#: All storage of a page.
STORAGE = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"


class Visitor:
    """Opens the console, always in the same page.

    A new context and page take a second of processor time, which is five times as long as a page
    that is there already. It begins each time without storage, routes and earlier complaints. Tests
    whose subject is isolation, or the first view of a browser, take a new ``context``.
    """

    def __init__(self, browser, cloud=None):
        self.browser = browser
        self.cloud = cloud
        self.tabs = {}
        self.contexts = []
        self.wrong = []
        self.expected = []

    def __call__(self, address, *, width=1280, scheme="light", language="en", tab=1, ready=True):
        """Open an address of the console, ``#/…`` or a path, and wait until it is there."""
        tabs = self.tabs.setdefault(language, {})
        if tab not in tabs:
            context = tabs[1].context if tabs else self._context(language=language)
            tabs[tab] = context.new_page()
        page = tabs[tab]
        self._park(page)
        if page.viewport_size != {"width": width, "height": HEIGHT}:
            page.set_viewport_size({"width": width, "height": HEIGHT})
        page.emulate_media(color_scheme=scheme)
        path = f"/console{address}" if address.startswith("#") else address
        if language == "pseudo":
            path += "?lang=pseudo"
        page.goto(f"{self.cloud.url}{path}")
        if ready:
            self.wait(page)
        return page

    def context(self, **look):
        """Return a new browser context, which is a person with an empty storage."""
        context = self._context(**look)
        self.contexts.append(context)
        return context

    def _context(self, *, width=1280, scheme="light", language="en"):
        context = self.browser.new_context(
            viewport={"width": width, "height": HEIGHT},
            color_scheme=scheme,
            locale="de-DE" if language == "de" else "en-GB",
            timezone_id="Europe/Berlin",
            reduced_motion="reduce",
        )
        context.add_init_script(LISTEN)
        context.on("page", self.watch)
        return context

    def _park(self, page):
        """End what runs in a page, and clear its storage."""
        parked = f"{self.cloud.url}{PARKED}"
        if page.url == parked:
            return
        page.unroute_all()
        page.goto(parked)
        page.evaluate("localStorage.clear(); sessionStorage.clear();")

    def watch(self, page):
        """Note errors of the console, and requests to other hosts."""
        page.on("console", lambda said: said.type == "error" and self.note(said.text))
        page.on("pageerror", lambda error: self.note(str(error)))
        page.on("request", lambda asked: self.judge(asked.url))

    def judge(self, url):
        """Note a request to another host."""
        parts = urlsplit(url)
        allowed = urlsplit(self.cloud.url).netloc, *getattr(self.cloud, "peers", ())
        if parts.scheme.startswith("http") and parts.netloc not in allowed:
            self.note(f"asks {url}")

    def note(self, text):
        """Keep a complaint, unless the test expects it."""
        if not any(part in text for part in self.expected):
            self.wrong.append(text)

    def expect_error(self, text):
        """Allow complaints with this text, such as that of a refused request."""
        self.expected.append(text)

    @staticmethod
    def wait(page):
        """Wait until the page shows its content."""
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator(".loading")).to_have_count(0)

    def leave(self):
        """End the visit, and fail if the browser complained."""
        for context in self.contexts:
            for page in context.pages:
                page.evaluate("null")  # after its complaints
            context.close()
        for tabs in self.tabs.values():
            for page in tabs.values():
                self._park(page)
        wrong = self.wrong
        self.contexts, self.wrong, self.expected = [], [], []
        assert not wrong, wrong


def violations(page):
    """Return the rules of axe that a page breaks, each with the elements."""
    # Scripts of the developer tools are not subject to the page's policy.
    page.evaluate(AXE)
    options = json.dumps({"runOnly": {"type": "tag", "values": RULES}})
    found = page.evaluate(f"axe.run(document, {options}).then((found) => found.violations)")
    return [
        (one["id"], [node["html"][:200] + " " + node["failureSummary"] for node in one["nodes"]])
        for one in found
    ]


def sideways(page):
    """Return by how many pixels a page is wider than its window."""
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def said(page):
    """Return the announcements for screen readers, in order."""
    return page.evaluate("window.said")
