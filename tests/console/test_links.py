"""Preference links: a session with the narrow rights of one user's preferences."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import expect

from tests.console.visitor import STORAGE, violations

ADA = "/api/v1/users/ada"


@pytest.fixture
def link(cloud):
    """A link of Ada's, as a path."""
    status, answer = cloud.ask("POST", f"{ADA}/preferences-link", {"expires_in": 3600})
    assert status == 201
    return "/p/" + answer["url"].rpartition("/p/")[2]


def test_a_link_opens_the_preferences_and_leaves_the_address(visit, cloud, link):
    """The token is not in the address afterwards, and in no storage."""
    page = visit(link)

    expect(page).to_have_url(f"{cloud.url}/console#/u/ada/what")
    names = page.get_by_role("navigation").get_by_role("link").all_text_contents()
    assert names == ["What you get", "When", "What if"]
    assert page.evaluate(STORAGE) == '[{},{},""]'
    assert violations(page) == []


def test_a_change_by_a_link_is_told(visit, cloud, link):
    """It is saved, and the page says that the last change came by a link."""
    page = visit(link)

    page.get_by_role("switch", name="Builds, Email").click()

    expect(page.get_by_role("status")).to_have_text("Saved: Builds, Email is off.")
    expect(page.locator("main")).to_contain_text("Last changed by a link from an email")
    assert cloud.ask("GET", f"{ADA}/preferences")[1]["updated_via"] == "link"
    cloud.ask("PUT", f"{ADA}/preferences", {"categories": None})


def test_the_first_row_is_read_only(visit, link):
    """It would write overrides, which a link may not."""
    page = visit(link)

    row = page.get_by_role("row").filter(has_text="Everything without a category")
    expect(row).to_contain_text("Sign in to change this.")
    assert row.get_by_role("switch").count() == 0


def test_other_pages_are_not_for_links(visit, cloud, link):
    """Their addresses say so, and ask the API for nothing."""
    page = visit(link)
    cloud.calls.clear()

    page.goto(f"{cloud.url}/console#/u/ada/history")

    expect(page.locator("main")).to_contain_text("cannot be opened by a link from an email")
    assert cloud.calls == []


def test_an_invalid_link_says_what_to_do(visit):
    """Expired, cut off or forged: the same sentence."""
    visit.expect_error("404")
    page = visit("/p/not-a-token", ready=False)

    expect(page.locator("main")).to_contain_text("This link is not valid, or it has ended.")


def test_a_session_is_renewed_while_the_page_is_open(visit, cloud, link):
    """A minute before the bearer ends, the link gives another one, without a notice."""
    context = visit.context()
    page = context.new_page()
    page.clock.install(time=time.time())
    page.goto(f"{cloud.url}{link}")
    expect(page.get_by_role("heading", level=1)).to_have_text("What you get")
    cloud.calls.clear()

    with page.expect_response("**/api/v1/session"):
        page.clock.fast_forward("14:30")
    assert ("POST", "/api/v1/session", 201) in cloud.calls
    expect(page.get_by_role("alert")).to_have_count(0)
