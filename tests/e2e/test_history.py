"""The delivery history: pages, filters, one delivery."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest

from tests.e2e.system import answered

COUNT = 120
FIRST = 1_700_000_000
STATUSES = ("success", "failed", "skipped")


def delivery_id(number: int) -> str:
    """Return an id of version 7 whose order is that of the numbers."""
    moment = (FIRST + number) * 1000
    return str(uuid.UUID(int=(moment << 80) | (0x7 << 76) | (0b10 << 62) | number))


@pytest.fixture(scope="module")
def past(system):
    """Return a user with more deliveries than one page holds, and their ids, newest first."""
    user = f"user-{uuid.uuid4().hex[:12]}"
    with system.deliveries.batch_writer() as batch:
        for number in range(COUNT):
            batch.put_item(
                Item={
                    "user_id": user,
                    "sk": f"DELIVERY#{delivery_id(number)}",
                    "delivery_id": delivery_id(number),
                    "request_id": f"r-{number // 2}",
                    "integration_type": ("TEST", "WEBHOOK")[number % 2],
                    "status": STATUSES[number % 3],
                    "priority": 5,
                    "max_attempts": 2,
                    "retry_delay_seconds": 10,
                    "created_at": Decimal(f"{FIRST + number}.125"),
                    "due_at": FIRST + number,
                    "fingerprint": "0" * 64,
                    "tries": 0,
                    "unknown": 0,
                    "attempts": 0,
                }
            )
        # Neighbours in the table that no page may show.
        batch.put_item(Item={"user_id": user, "sk": "REQUEST#r-1"})
        batch.put_item(Item={"user_id": user, "sk": "MAILBOX#TEST#1"})
    return user, [delivery_id(number) for number in reversed(range(COUNT))]


def ids(page):
    """Return the ids of a page in its order."""
    return [one["delivery_id"] for one in page["deliveries"]]


def test_first_page(system, past):
    """Without parameters a page holds the fifty newest."""
    user, expected = past

    page = system.history(user)

    assert ids(page) == expected[:50]
    assert (page["user_id"], page["limit"], page["offset"]) == (user, 50, 0)
    assert "attempt_log" not in page["deliveries"][0]


@pytest.mark.parametrize("limit", [1, 7, 119, 120, 200])
def test_pages_by_offset(system, past, limit):
    """Pages by offset cover the history without gap or overlap; the last one has no cursor."""
    user, expected = past

    offsets = [offset for offset in range(0, COUNT, limit) if limit > 1 or offset in {0, 60, 119}]
    pages = {offset: system.history(user, limit=limit, offset=offset) for offset in offsets}

    assert {offset: ids(page) for offset, page in pages.items()} == {
        offset: expected[offset : offset + limit] for offset in offsets
    }
    last = {offset for offset, page in pages.items() if page["next_cursor"] is None}
    assert last == {offsets[-1]}


def test_pages_by_cursor(system, past):
    """Cursors lead through the whole history, each delivery once, and end."""
    user, expected = past

    seen, cursor, sizes = [], None, []
    while True:
        page = system.history(user, limit=50, **({"cursor": cursor} if cursor else {}))
        seen += ids(page)
        sizes.append(len(page["deliveries"]))
        if (cursor := page["next_cursor"]) is None:
            break

    assert (seen, sizes) == (expected, [50, 50, 20])


def test_offset_behind_the_end(system, past):
    """Behind the end there is nothing, and no error."""
    user, _ = past

    page = system.history(user, offset=120)

    assert (ids(page), page["next_cursor"]) == ([], None)


@pytest.mark.parametrize(
    ("filters", "chosen"),
    [
        ({"status": "failed"}, lambda number: number % 3 == 1),
        ({"integration_type": "webhook"}, lambda number: number % 2 == 1),
        ({"request_id": "r-7"}, lambda number: number // 2 == 7),
        (
            {"status": "success", "integration_type": "TEST"},
            lambda number: number % 3 == 0 and number % 2 == 0,
        ),
    ],
)
def test_filters(system, past, filters, chosen):
    """A filtered listing shows what matches and nothing else, however short its pages are."""
    user, _ = past

    seen, cursor = [], None
    while True:
        page = system.history(user, limit=50, **filters, **({"cursor": cursor} if cursor else {}))
        seen += ids(page)
        if (cursor := page["next_cursor"]) is None:
            break

    assert seen == [delivery_id(number) for number in reversed(range(COUNT)) if chosen(number)]


def test_cursor_of_another_user(api, system, past, user):
    """A cursor serves the user for whom it was given out, and nobody else."""
    cursor = system.history(past[0])["next_cursor"]

    refused = api.get(f"/api/v1/users/{user}/deliveries", params={"cursor": cursor})

    assert [one["pointer"] for one in answered(refused, 422)["errors"]] == ["/cursor"]


def test_one_delivery(system, past):
    """A delivery is shown with its attempts; times are RFC 3339 in UTC with milliseconds."""
    user, expected = past

    shown = system.delivery(user, expected[-1])

    assert shown == {
        "delivery_id": expected[-1],
        "request_id": "r-0",
        "session_id": None,
        "user_id": user,
        "integration_type": "TEST",
        "status": "success",
        "priority": 5,
        "round": 1,
        "attempts": 0,
        "max_attempts": 2,
        "created_at": "2023-11-14T22:13:20.125Z",
        "first_attempt_at": None,
        "last_attempt_at": None,
        "delivered_at": None,
        "next_attempt_at": None,
        "error_code": None,
        "error_message": None,
        "metadata": {},
        "attempt_log": [],
    }


def test_deliveries_of_others_are_not_found(api, past, user):
    """An unknown delivery, somebody else's, and a name that is none are all not found."""
    mine, theirs = past[1][0], delivery_id(COUNT)

    asked = [(user, mine), (past[0], theirs), (past[0], "nonsense")]
    paths = [f"/api/v1/users/{name}/deliveries/{one}" for name, one in asked]
    told = [
        response.status_code
        for path in paths
        for response in (api.get(path), api.delete(path), api.post(f"{path}/retry"))
    ]

    assert told == [404] * 9
