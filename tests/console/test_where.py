"""The channels of a user: addresses, what became of them, and one action for each."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.console.people import bounced, override, sent
from tests.console.visitor import violations
from tests.console.whole import WIDTHS


@pytest.mark.parametrize("width", WIDTHS)
def test_a_bounced_address_is_struck_out_and_can_be_used_again(visit, cloud, width):
    """History says that it bounced, and *Where* offers to use the address again."""
    user = f"bounce{width}"
    accepted = sent(cloud, user, subject="Lost", content="x", integration_types=["EMAIL"])
    bounced(cloud, user, accepted, f"{user}@example.com")
    page = visit(f"#/u/{user}/history", width=width)
    message = page.locator("main summary")
    expect(message).to_contain_text("failed: bounced")
    message.click()
    expect(page.locator(".events")).to_contain_text("It came back as undeliverable")
    page = visit(f"#/u/{user}/where", width=width)
    channel = page.locator("li[data-type=EMAIL]")
    expect(channel.locator("del").first).to_contain_text("@example.com")
    assert violations(page) == []

    channel.get_by_role("button", name="Use this address again").click()

    expect(page.get_by_role("status")).to_contain_text("The address is used again.")
    expect(channel.locator("del")).to_have_count(0)
    expect(channel.get_by_role("heading")).to_be_focused()
    assert cloud.ask("GET", f"/api/v1/users/{user}/suppressions")[1]["suppressions"] == []


def test_an_address_is_saved_and_an_invalid_one_is_explained(visit, cloud):
    """The error is beside the field; a valid address replaces it, and can be tested then."""
    visit.expect_error("422")
    override(cloud, "moves", "SMS", enabled=False)
    page = visit("#/u/moves/where")
    channel = page.locator("li[data-type=SMS]")
    test = channel.get_by_role("button", name="Send a test")
    expect(test).to_have_count(0)
    channel.locator("summary").click()
    field = channel.get_by_label("Phone number")
    field.fill("0123")
    channel.get_by_role("button", name="Save").click()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(
        re.compile("^must be a phone number in international form")
    )

    field.fill("+12065550100")
    channel.get_by_role("button", name="Save").click()

    expect(page.get_by_role("status")).to_have_text("Saved")
    expect(channel.locator("dd").first).to_have_text("+12065550100")
    expect(test).to_be_visible()


def test_a_test_is_sent(visit, cloud):
    """It arrives in the mailbox, and the page says where to look."""
    page = visit("#/u/tester/where")

    page.get_by_role("button", name="Send a test CLI").click()

    expect(page.get_by_role("status")).to_have_text("Sent. See History.")
    letters = cloud.ask("GET", "/api/v1/users/tester/messages")[1]["messages"]
    assert len(letters) == 1


def test_a_receiver_that_fails_is_named(visit, cloud):
    """The channel says how often its receiver failed, and when it did so last."""
    override(cloud, "fails", "WEBHOOK", retry_count=0, config={"url": f"{cloud.hooks.url}/fails"})
    cloud.hooks.statuses.append(503)
    sent(cloud, "fails", subject="Lost", content="x", integration_types=["WEBHOOK"])

    page = visit("#/u/fails/where")

    channel = page.locator("li[data-type=WEBHOOK]")
    expect(channel).to_contain_text("1 message failed, last")
    assert violations(page) == []
