"""Find: pages of another user, read-only at first, and messages that failed."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from tests.console.people import sent


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


def test_failed_messages_are_counted_before_they_are_sent(visit):
    """A dry run first; then the same request for real, page by page."""
    asked = []
    page = visit("#/find")

    def recover(route):
        body = json.loads(route.request.post_data)
        asked.append((body["dry_run"], body.get("cursor")))
        rest = {"delivery_id": "x", "reason": "content_expired"}
        answer = {
            "examined": 100,
            "opened": ["a", "b"],
            "not_opened": [] if body.get("cursor") else [rest],
            "next_cursor": None if body.get("cursor") else "next",
        }
        route.fulfill(status=200, body=json.dumps(answer), content_type="application/json")

    page.route("**/deliveries/recover", recover)
    page.get_by_label("User ID").fill("ada")

    page.get_by_role("button", name="Count them").click()
    expect(page.locator("main")).to_contain_text("4 messages would be sent again.")
    expect(page.locator("main")).to_contain_text("1 not: content expired")
    assert asked == [(True, None), (True, "next")]
    page.get_by_role("button", name="Recover failed messages of ada").click()

    expect(page.locator("main")).to_contain_text("4 messages are sent again.")
    assert asked[2:] == [(False, None), (False, "next")]


def test_what_was_counted_for_one_user_recovers_nobody_else(visit):
    """Another user or another time needs another count, which may still be on its way."""
    page = visit("#/find")
    answer = {"examined": 1, "opened": ["a"], "not_opened": [], "next_cursor": None}
    held = []
    # Playwright keeps its wrapper as an attribute, which a built-in method does not take.
    page.route("**/deliveries/recover", lambda route: held.append(route))  # noqa: PLW0108 - see above
    user, main = page.get_by_label("User ID"), page.locator("main")
    count = page.get_by_role("button", name="Count them")
    recover = page.get_by_role("button", name="Recover failed messages of")

    def ask():
        count.click()
        while not held:
            page.evaluate("null")  # lets the route's event in

    def respond():
        held.pop().fulfill(status=200, body=json.dumps(answer), content_type="application/json")

    user.fill("ada")
    ask()
    respond()
    expect(recover).to_be_visible()
    user.fill("grace")
    expect(recover).to_have_count(0)
    ask()
    respond()
    expect(recover).to_be_visible()
    page.locator("#since").fill("2026-01-01T00:00")
    expect(recover).to_have_count(0)

    page.evaluate("window.said = []")
    ask()
    user.fill("linus")
    respond()
    page.wait_for_function("window.said.some((text) => text.includes('would be sent again'))")
    expect(main).not_to_contain_text("would be sent again")
    expect(recover).to_have_count(0)
