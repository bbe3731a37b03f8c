"""Every page in every width, theme and language: accessible, quiet, and without sideways scroll."""

from __future__ import annotations

import itertools

import pytest
from playwright.sync_api import expect

from tests.console.visitor import sideways, violations
from tests.console.whole import IS_WHOLE, WIDTHS

pytestmark = pytest.mark.usefixtures("furnished")

PAGES = {
    "#/u/ada/what": "What you get",
    "#/u/ada/when": "When",
    "#/u/ada/where": "Where",
    "#/u/ada/history": "History",
    "#/u/ada/mailbox": "Mailbox",
    "#/u/ada/preview": "What if",
    "#/find": "Find",
    "#/overview": "Overview",
    "#/categories": "Categories",
}
LOOKS = [*itertools.product((320, 768, 1280), ("light", "dark"), ("en", "de", "pseudo"))]


def cells():
    """Return page and look of each test: all with ``CONSOLE_MATRIX``, else each page once."""
    if IS_WHOLE:
        return [(page, *look) for page in PAGES for look in LOOKS]
    # Another look for every page, so that each width, theme and language occurs.
    return [(page, *LOOKS[place * 7 % len(LOOKS)]) for place, page in enumerate(PAGES)]


@pytest.mark.parametrize(("address", "width", "scheme", "language"), cells())
def test_a_page_is_accessible(visit, address, width, scheme, language):
    """Axe finds nothing, the browser reports nothing, and nothing has to be scrolled sideways."""
    page = visit(address, width=width, scheme=scheme, language=language)
    if address.endswith("history"):
        page.locator("ol.messages summary").first.click()
        expect(page.locator(".story h2").first).to_be_visible()
    if address.endswith("where"):
        page.locator(".channels summary").first.click()

    assert violations(page) == []
    assert sideways(page) <= 0
    if address.endswith("when"):
        page.locator("input[value=weekly]").check()
        expect(page.locator(".week fieldset")).to_have_count(7)
        assert violations(page) == []
        assert sideways(page) <= 0
        field = page.locator(".week input[type=time]").first.bounding_box()
        assert field["width"] > 80
    if language == "en":
        expect(page.get_by_role("heading", level=1)).to_have_text(PAGES[address])


@pytest.mark.parametrize("width", WIDTHS)
def test_an_empty_page_says_what_to_do(visit, cloud, width):
    """A user without anything finds a sentence and a next step, not an empty page."""
    for name, text in {
        "when": "You can be disturbed at any time.",
        "history": "No message yet.",
        "mailbox": "The mailbox is empty.",
    }.items():
        page = visit(f"#/u/nobody/{name}", width=width)

        expect(page.locator("main")).to_contain_text(text)
        assert violations(page) == []


def test_text_of_twice_the_size_fits(visit):
    """With a font of 200 % the page is as usable as in half the width."""
    page = visit.context(width=640).new_page()
    page.goto(f"{visit.cloud.url}/console#/u/ada/what")
    visit.wait(page)
    cdp = page.context.new_cdp_session(page)
    cdp.send(
        "Emulation.setDeviceMetricsOverride",
        {
            "width": 320,
            "height": 450,
            "deviceScaleFactor": 2,
            "mobile": False,
        },
    )

    expect(page.get_by_role("group").first).to_be_visible()

    assert sideways(page) <= 0


def test_an_unknown_address_leads_back(visit):
    """The page says that the address is wrong, and links to the first page."""
    page = visit("#/nowhere/at/all")

    expect(page.get_by_role("heading", level=1)).to_have_text("No such page")
    page.get_by_role("link", name="To the first page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What you get")


def test_the_console_opens_john_doe_first_and_remembers_the_last_users(visit):
    """Without authentication there is a field for the user, with the last five as proposals."""
    page = visit("/console")
    expect(page).to_have_url(f"{visit.cloud.url}/console#/u/john.doe/what")

    for name in ("a", "b", "c", "d", "e", "f"):
        page.get_by_label("User").fill(name)
        page.get_by_role("button", name="Open").click()
        expect(page).to_have_url(f"{visit.cloud.url}/console#/u/{name}/what")

    names = page.locator("#users option").evaluate_all("all => all.map((one) => one.value)")
    assert names == ["f", "e", "d", "c", "b"]


def test_the_users_language_decides(visit, cloud):
    """Before those of the browser; the buttons at the end of the page change it for a visit."""
    assert cloud.ask("PUT", "/api/v1/users/heidi/preferences", {"language": "de"})[0] == 200
    page = visit("#/u/heidi/what")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Was Sie bekommen")
    expect(page.locator("html")).to_have_attribute("lang", "de")

    page.get_by_role("button", name="English").click()

    expect(heading).to_have_text("What you get")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_navigation_moves_the_focus_to_the_heading(visit):
    """So a screen reader begins with the new page; the title changes too."""
    page = visit("#/u/ada/what")

    page.get_by_role("link", name="History").click()

    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("History")
    expect(heading).to_be_focused()
    expect(page).to_have_title("History · ada · Messages")
