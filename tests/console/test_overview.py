"""The overview for operators, with the numbers of AWS and without them."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.console.visitor import violations

pytestmark = pytest.mark.usefixtures("furnished")


def test_queues_are_real_and_the_last_hour_is_missing_locally(visit):
    """The local cloud computes no metrics, and the page says so."""
    page = visit("#/overview")

    rows = page.get_by_role("table", name="Queues").get_by_role("row")
    expect(rows.filter(has_text="Dead letters")).to_contain_text("Needs a look")
    expect(page.locator("main")).to_contain_text("The local cloud has none")


def test_the_last_hour_is_shown_by_channel(visit, cloud):
    """With CloudWatch there are numbers; an unreachable queue is said to be so."""
    _, overview = cloud.ask("GET", "/api/v1/overview")
    slack = {"delivered": 900, "failed": 3, "skipped": 12, "held": 40}
    overview["last_hour"] |= {"available": True, "accepted": 1200, "oldest_due_seconds": 2}
    overview["last_hour"]["by_integration"]["SLACK"] = slack
    overview["queues"]["retry"] = None
    page = visit("#/find")
    page.route(
        "**/api/v1/overview",
        lambda route: route.fulfill(body=json.dumps(overview), content_type="application/json"),
    )
    page.get_by_role("link", name="Overview").click()

    table = page.get_by_role("table", name="The last hour")
    expect(table.get_by_role("row", name="Slack 900 3 12 40")).to_be_visible()
    expect(page.locator("main")).to_contain_text("1,200")
    expect(page.get_by_role("row").filter(has_text="Retries")).to_contain_text("Cannot be read")
    assert violations(page) == []
