"""Content of callers and users is shown as text, however long and strange it is."""

from __future__ import annotations

import os
import time

import pytest
from playwright.sync_api import expect

from tests.console.people import sent
from tests.console.visitor import sideways, violations

ATTACK = '<img src=x onerror="document.title=1">{{7*7}}<script>alert(1)</script>'
HEBREW = "שלום עולם: נכשל הבנייה"


@pytest.mark.parametrize("width", [320, 1280])
def test_content_is_text(visit, cloud, width):
    """Markup, text from right to left, and a subject of 998 characters leave the page intact."""
    user = f"content{width}"
    for subject in (ATTACK, HEBREW, "x" * 998):
        sent(
            cloud, user, subject=subject, content=f"{ATTACK}\n{subject}", integration_types=["CLI"]
        )

    page = visit(f"#/u/{user}/mailbox", width=width)
    expect(page.get_by_role("heading", name=ATTACK)).to_be_visible()
    assert page.locator("main img, main script").count() == 0
    assert (
        page.locator("h2", has_text=HEBREW).evaluate("one => getComputedStyle(one).direction")
        == "rtl"
    )
    assert sideways(page) <= 0
    assert violations(page) == []
    page = visit(f"#/u/{user}/history", width=width)
    expect(page.locator(".subject", has_text=ATTACK)).to_be_visible()

    assert sideways(page) <= 0
    assert page.title() == f"History · {user} · Messages"


def test_the_longest_message_is_cut_until_it_is_asked_for(visit, cloud):
    """128 KiB of content do not slow the page down."""
    sent(cloud, "long", subject="Long", content="word " * 26_000, integration_types=["CLI"])
    page = visit("#/u/long/mailbox")
    assert len(page.locator("pre").text_content()) < 2100

    page.get_by_role("button", name="Show all").click()

    expect(page.get_by_role("button", name="Show all")).to_have_count(0)
    assert len(page.locator("pre").text_content()) > 129_000


def test_a_long_history_is_loaded_page_by_page(visit, cloud):
    """*More* follows the cursor, and each message is there once."""
    for number in range(60):
        sent(cloud, "many", subject=f"Number {number}", content="x", integration_types=["CLI"])
    page = visit("#/u/many/history")
    expect(page.locator(".subject")).to_have_count(50)

    page.get_by_role("button", name="More").click()

    expect(page.locator(".subject")).to_have_count(60)
    assert len(set(page.locator(".subject").all_text_contents())) == 60
    expect(page.get_by_role("status")).to_have_text("10 more loaded")
    expect(page.get_by_role("button", name="More")).to_have_count(0)


@pytest.mark.skipif(not os.environ.get("CONSOLE_MATRIX"), reason="make console-test runs it")
def test_a_hundred_categories_are_usable(visit, cloud, record_property):
    """The first view is reported, not asserted: this machine is busy."""
    for number in range(95):
        body = {"title": f"Category {number}", "group": f"Group {number % 7}", "order": 900}
        assert cloud.ask("PUT", f"/api/v1/categories/many-{number}", body)[0] == 201
    cloud.restart()
    started = time.monotonic()
    page = visit("#/u/fresh/what")
    record_property("first_view_seconds", round(time.monotonic() - started, 2))

    expect(page.get_by_role("switch", name="Builds, Email")).to_be_visible()
    for number in range(95):
        cloud.ask("DELETE", f"/api/v1/categories/many-{number}")
    cloud.restart()
