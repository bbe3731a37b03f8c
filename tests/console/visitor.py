"""A person with a browser: opens pages, and notes what the browser complains about."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import expect

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()

#: WCAG 2.2 AA and axe's own good practices, among them landmarks and one h1.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

#: Keeps the announcements for screen readers, and the reports of the policy.
LISTEN = """
window.said = [];
window.reports = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.reports.push(`${event.effectiveDirective} ${event.blockedURI}`);
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
    """Opens pages in new browser contexts."""

    def __init__(self, browser, cloud):
        self.browser = browser
        self.cloud = cloud
        self.contexts = []
        self.wrong = []
        self.expected = []

    def __call__(
        self, address, *, width=1280, scheme="light", language="en", ready=True, origin=None
    ):
        """Open an address of the console, ``#/…`` or a path, and wait until it is there."""
        context = self.context(width=width, scheme=scheme, language=language)
        page = context.new_page()
        path = f"/console{address}" if address.startswith("#") else address
        if language == "pseudo":
            path += "?lang=pseudo"
        page.goto(f"{origin or self.cloud.url}{path}")
        if ready:
            self.wait(page)
        return page

    def context(self, *, width=1280, scheme="light", language="en"):
        """Return a new browser context, which is a person with an empty storage."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            locale="de-DE" if language == "de" else "en-GB",
            timezone_id="Europe/Berlin",
            reduced_motion="reduce",
        )
        context.add_init_script(LISTEN)
        context.on("page", self.watch)
        self.contexts.append(context)
        return context

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
        """Close everything, and fail if the browser complained."""
        reports = [
            report
            for context in self.contexts
            for page in context.pages
            for report in page.evaluate("window.reports ?? []")
        ]
        for context in self.contexts:
            context.close()
        assert self.wrong == []
        assert reports == []


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
