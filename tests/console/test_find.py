"""Find: pages of another user, read-only at first, and messages that failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from dispatcher.delivery import recover
from tests.console.people import override, rehearse, sent
from tests.console.visitor import said


def find(page, user, identifier=""):
    """Fill the form and send it."""
    page.get_by_label("User ID").fill(user)
    page.get_by_label("Delivery or request ID").fill(identifier)
    page.locator("main").get_by_role("button", name="Open").click()


def test_a_users_pages_are_read_only_until_it_is_said(visit):
    """A banner names the user; *Change on their behalf* makes the switches work."""
    page = visit("#/find")

    find(page, "grace")

    expect(page.get_by_role("heading", level=1)).to_have_text("What you get")
    expect(page.locator("main")).to_contain_text("You are looking at the pages of grace.")
    switch = page.get_by_role("switch", name="News, Email")
    expect(switch).to_have_attribute("aria-disabled", "true")
    page.get_by_role("button", name="Change on their behalf").click()
    expect(page.locator("main")).to_contain_text("You are changing the settings of grace.")
    expect(switch).not_to_have_attribute("aria-disabled", "true")


def test_what_was_typed_for_one_user_is_not_offered_for_another(visit):
    """A half-filled form is kept for its user alone."""
    page = visit("#/u/ada/when")
    zone, address = page.get_by_label("Time zone"), page.locator("#address-EMAIL")

    def go(fragment):
        page.evaluate("to => { location.hash = to; }", fragment)
        visit.wait(page)

    zone.fill("Asia/Kathmandu")
    go("#/u/ada/where")
    address.evaluate("one => { one.closest('details').open = true; }")
    address.fill("ada@private.example")
    go("#/u/grace/where")
    expect(address).not_to_have_value("ada@private.example")
    go("#/u/grace/when")
    expect(zone).not_to_have_value("Asia/Kathmandu")
    go("#/u/ada/when")
    expect(zone).to_have_value("Asia/Kathmandu")
    go("#/u/ada/where")
    expect(address).to_have_value("ada@private.example")


def test_a_message_is_found_by_both_ids(visit, cloud):
    """By the ID of a delivery and by that of its request; another user's is not found."""
    visit.expect_error("404")
    body = {"request_id": "ticket-1", "subject": "Ticket", "content": "x"}
    accepted = sent(cloud, "linus", integration_types=["CLI"], **body)
    for identifier in ("ticket-1", accepted["deliveries"][0]["delivery_id"]):
        page = visit("#/find")
        find(page, "linus", identifier)
        expect(page.get_by_role("heading", level=1)).to_have_text("History")
        expect(page.locator(".subject")).to_have_text("Ticket")
        expect(page.locator(".events")).to_contain_text("Delivered")

    page = visit("#/find")
    find(page, "grace", "ticket-1")

    expect(page.get_by_label("Delivery or request ID")).to_have_accessible_description(
        "Optional. It must belong to the user. This user has no delivery or request with this ID."
    )


@pytest.fixture
def failing(cloud, monkeypatch):
    """Return a function that gives a user failed messages; the route reads them in pairs."""
    monkeypatch.setattr(recover, "MOST_MESSAGES", 2)

    def failing(user, *integration_types):
        rehearse(cloud, user, retry_count=0, config={"failure": "permanent"})
        hooks = {"url": f"{cloud.hooks.url}/{user}"}
        override(cloud, user, "WEBHOOK", retry_count=0, config=hooks)
        for name in integration_types:
            cloud.hooks.statuses += [503] * (name == "WEBHOOK")
            sent(cloud, user, subject="Failed", content="x", integration_types=[name])
        cloud.ask("PUT", f"/api/v1/users/{user}/integrations/TEST", {"config": {}})

    return failing


def statuses(cloud, user):
    """Return the statuses of a user's deliveries, the oldest first."""
    _, page = cloud.ask("GET", f"/api/v1/users/{user}/deliveries")
    return [one["status"] for one in reversed(page["deliveries"])]


def test_failed_messages_are_counted_before_they_are_sent(visit, cloud, failing):
    """A dry run first, which changes nothing; then the same for real; both page by page."""
    failing("margaret", "TEST", "WEBHOOK", "TEST", "TEST", "TEST")
    cloud.ask("PUT", "/api/v1/users/margaret/integrations/WEBHOOK", {"enabled": False})
    page = visit("#/find")
    main = page.locator("main")
    page.get_by_label("User ID").fill("margaret")
    cloud.calls.clear()
    path = "/api/v1/users/margaret/deliveries/recover"

    page.get_by_role("button", name="Count them").click()
    expect(main).to_contain_text("4 messages would be sent again.")
    expect(main).to_contain_text("1 not: off for all messages")
    assert cloud.calls == [("POST", path, 200)] * 3
    assert statuses(cloud, "margaret") == ["failed"] * 5
    page.get_by_role("button", name="Recover failed messages of margaret").click()

    expect(main).to_contain_text("4 messages are sent again.")
    assert cloud.calls[3:] == [("POST", path, 202)] * 3
    assert statuses(cloud, "margaret") == ["success", "failed", *["success"] * 3]


def test_what_was_counted_for_one_user_recovers_nobody_else(visit, failing):
    """Another user or another time needs another count, which may still be on its way."""
    for user in ("hedy", "joan", "linus"):
        failing(user, "TEST")
    a_week_ago = f"{datetime.now(UTC) - timedelta(days=7):%Y-%m-%dT%H:%M}"
    page = visit("#/find")
    held = []
    # Playwright keeps its wrapper as an attribute, which a built-in method does not take.
    page.route("**/deliveries/recover", lambda route: held.append(route))  # noqa: PLW0108 - see above
    user, main = page.get_by_label("User ID"), page.locator("main")
    count = page.get_by_role("button", name="Count them")
    button = page.get_by_role("button", name="Recover failed messages of")

    def ask():
        count.click()
        while not held:
            page.evaluate("null")  # lets the route's event in

    def respond():
        held.pop().continue_()

    user.fill("hedy")
    ask()
    respond()
    expect(button).to_be_visible()
    user.fill("joan")
    expect(button).to_have_count(0)
    ask()
    respond()
    expect(button).to_be_visible()
    page.locator("#since").fill(a_week_ago)
    expect(button).to_have_count(0)

    page.evaluate("window.said = []")
    ask()
    user.fill("linus")
    respond()
    while not any("would be sent again" in text for text in said(page)):
        page.evaluate("null")  # lets the response in
    expect(main).not_to_contain_text("would be sent again")
    expect(button).to_have_count(0)


def test_a_time_too_long_ago_is_explained_beside_the_field(visit):
    """The API names the field, and the page ties its sentence to it."""
    visit.expect_error("422")
    page = visit("#/find")
    page.get_by_label("User ID").fill("ada")
    since = page.get_by_label("Failed messages since")
    since.fill("2026-01-01T00:00")

    page.get_by_role("button", name="Count them").click()

    expect(since).to_have_accessible_description("must be at most 30 days ago")
    expect(since).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("status")).to_contain_text("must be at most 30 days ago")
