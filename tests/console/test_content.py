"""Content of callers and users is shown as text, however long and strange it is."""

from __future__ import annotations

import json
import time

import boto3
import pytest
from playwright.sync_api import expect

from tests.console.people import rehearse, sent
from tests.console.visitor import sideways, violations
from tests.console.whole import WIDTHS, only_whole

ATTACK = '<img src=x onerror="document.title=1">{{7*7}}<script>alert(1)</script>'
HEBREW = "שלום עולם: נכשל הבנייה"


@pytest.mark.parametrize("width", WIDTHS)
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


def rows_of(cloud, user, integration_type):
    """Return the two rows of a new message over one integration, after its end."""
    sent(cloud, user, subject="Newest", content="x", integration_types=[integration_type])
    found = boto3.client("dynamodb").query(
        TableName="DeliveriesTable",
        KeyConditionExpression="user_id = :user",
        ExpressionAttributeValues={":user": {"S": user}},
    )
    kinds = ("MESSAGE#", "REQUEST#")
    return [row for row in found["Items"] if row["sk"]["S"].startswith(kinds)]


def older(row, number):
    """Return a row as that of a message which is ``number`` minutes older."""
    kind, _, own = row["sk"]["S"].partition("#")
    # An ID begins with the milliseconds of its time, as 12 digits and a hyphen.
    moment = f"{int(own[:8] + own[9:13], 16) - number * 60_000:012x}"
    other = f"{moment[:8]}-{moment[8:]}{own[13:]}"
    body = json.loads(row["body"]["S"].replace(own, other))
    body |= {"subject": f"Number {number}", "created_at": body["created_at"] - number * 60}
    changed = {"sk": {"S": f"{kind}#{other}"}, "body": {"S": json.dumps(body)}}
    return row | changed | ({"message": {"S": other}} if "message" in row else {})


@only_whole
def test_ten_thousand_deliveries_are_usable(visit, cloud):
    """The first view takes two calls, *More* one, and a search for the two oldest is bounded."""
    usual = rows_of(cloud, "vast", "CLI")
    rehearse(cloud, "other", retry_count=0, config={"failure": "permanent"})
    failed = rows_of(cloud, "other", "TEST")
    # The row of a request is read when its message is opened: here, only among the first.
    rows = [
        older(row, number)
        for row in usual
        for number in range(1, 9_998 if row["sk"]["S"].startswith("MESSAGE#") else 200)
    ]
    rows += [older(row | {"user_id": {"S": "vast"}}, n) for n in (9_998, 9_999) for row in failed]
    for start in range(0, len(rows), 25):
        puts = [{"PutRequest": {"Item": row}} for row in rows[start : start + 25]]
        left = boto3.client("dynamodb").batch_write_item(RequestItems={"DeliveriesTable": puts})
        assert not left["UnprocessedItems"]
    base = "/api/v1/users/vast"
    cloud.calls.clear()

    page = visit("#/u/vast/history")
    subjects = page.locator(".subject")
    expect(subjects).to_have_count(50)
    assert subjects.first.text_content() == "Newest"
    assert sorted(path for _, path, _ in cloud.calls) == [
        f"{base}/deliveries?limit=50",
        f"{base}/preferences",
    ]
    assert cloud.ask("GET", f"{base}/deliveries?limit=50")[0] == 200
    assert cloud.service.called == [("dynamodb:Query", "DeliveriesTable")]

    more = page.get_by_role("button", name="More")
    for count in (100, 150):
        more.click()
        expect(subjects).to_have_count(count)
    assert len(cloud.calls) == 4
    page.locator("summary").last.click()
    expect(page.locator(".events")).to_contain_text("Delivered")

    cloud.calls.clear()
    page.get_by_label("Status").select_option(label="failed")
    expect(page.locator("main")).to_contain_text("None of the newest messages fits these filters.")
    assert len(cloud.calls) == 10
    for searched in (20, 30, 40):
        more.click()
        while len(cloud.calls) < searched:
            page.evaluate("null")
        expect(more).to_have_attribute("aria-disabled", "false")
        assert (len(cloud.calls), subjects.count()) == (searched, 0)
    more.click()
    expect(subjects).to_have_count(2)
    assert len(cloud.calls) <= 50
    assert subjects.all_text_contents() == ["Number 9998", "Number 9999"]


@only_whole
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
