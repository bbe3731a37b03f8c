"""Photograph every page of the console: part of `make screenshots`.

    python -m tests.console.pictures

The functions are the real ones, at a fixed time. Two things differ from run to run and are replaced
in the responses: the duration of an attempt, and the port of the receiver. The command fails if the
browser reports a violated policy or an error, or asks another host.
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime, timedelta

import boto3
import time_machine
from playwright.sync_api import sync_playwright

from tests.browser import NAMES, program
from tests.console.cloud import deployed
from tests.console.people import categorize, furnish
from tests.console.visitor import Visitor
from tests.functions.service import needed_rights
from tools.paths import ROOT

IMAGES = ROOT / "docs" / "images"
NOW = datetime(2026, 11, 26, 21, 40, tzinfo=UTC)
HOURS = {"windows": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00"}]}
PAGES = {
    **{name: f"#/u/ada/{name}" for name in ("what", "when", "where", "history", "mailbox")},
    "preview": "#/u/ada/preview?category=builds",
    "find": "#/find",
    "overview": "#/overview",
    "categories": "#/categories",
}
DURATIONS = (240, 181, 96, 41, 28)
LARGEST = 120 * 1024
"""Bytes of a picture."""


def settled(route):
    """Pass a response on with the durations and the host that every run has."""
    response = route.fetch()
    durations = iter(DURATIONS * 50)
    text = re.sub(r'(?<="duration_ms":)\d+', lambda _: str(next(durations)), response.text())
    text = re.sub(r"http://127\.0\.0\.1:\d+", "https://hooks.example.com", text)
    text = text.replace("127.0.0.1", "hooks.example.com")
    route.fulfill(response=response, body=text)


def photograph(visit, name, address, scheme):
    """Save the picture of a page."""
    context = visit.context(scheme=scheme)
    context.route("**/api/**", settled)
    page = context.new_page()
    page.clock.set_fixed_time(datetime.now(UTC))
    page.goto(f"{visit.cloud.url}/console{address}")
    visit.wait(page)
    if name == "history":
        page.locator("ol.messages summary").first.click()
        page.locator(".story h2").first.wait_for()
    if name == "preview":
        page.locator(".outlook li").first.wait_for()
    file = IMAGES / f"console-{name}-{scheme}.png"
    page.screenshot(path=file)
    if file.stat().st_size > LARGEST:
        visit.note(f"{file.name} has {file.stat().st_size} bytes")


def main():
    """Photograph all pages in light and dark."""
    logging.disable(logging.CRITICAL)
    called = []
    session = boto3.Session("testing", "testing", region_name="eu-central-1")
    session.events.register(
        "provide-client-params",
        lambda params, model, **_: called.extend(needed_rights(params, model)),
    )
    session.called = called
    found = program()
    if found is None:
        print(f"There is no Chromium here; it is one of {', '.join(NAMES)}.", file=sys.stderr)  # noqa: T201 - a command
        return 1
    with time_machine.travel(NOW, tick=False) as clock, deployed(session) as cloud:
        categorize(cloud)
        furnish(cloud, wait=lambda: clock.shift(timedelta(seconds=47)), hours=HOURS)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
            visit = Visitor(browser, cloud)
            for name, address in PAGES.items():
                for scheme in ("light", "dark"):
                    photograph(visit, name, address, scheme)
            visit.leave()
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
