"""The delivery history: pages, filters, one delivery."""

from __future__ import annotations

import uuid

import pytest

from dispatcher.delivery.rows import (
    Delivery,
    MessageRow,
    PlannedDelivery,
    RequestRow,
)
from dispatcher.delivery.rows import delivery_id as id_at
from dispatcher.integrations.integration import Recipient
from tests.e2e.system import answered

COUNT = 120
FIRST = 1_700_000_000
TYPES = ("TEST", "WEBHOOK")
STATUSES = ("success", "failed", "skipped")


def message_id(number: int) -> str:
    """Return a message ID whose order is that of the numbers."""
    moment = (FIRST + number) * 1000
    return str(uuid.UUID(int=(moment << 80) | (0x7 << 76) | (0b10 << 62) | (number << 8)))


def delivery_id(number: int) -> str:
    """Return the ID of one of all deliveries: each message has two."""
    return id_at(message_id(number // 2), number % 2)


def message_row(user: str, number: int) -> MessageRow:
    """Return a message whose deliveries have ended."""
    return MessageRow(
        user_id=user,
        message_id=message_id(number),
        rev=b"revision",
        request_id=f"r-{number}",
        session_id=None,
        subject=None,
        mode="all",
        forced=False,
        created_at=FIRST + number + 0.125,
        expires_at=None,
        keep_until=FIRST,
        deliveries=tuple(
            Delivery(
                type=name,
                status=STATUSES[(2 * number + place) % 3],
                priority=5,
                max_attempts=2,
                retry_delay_seconds=10,
                due_at=FIRST + number,
            )
            for place, name in enumerate(TYPES)
        ),
    )


def request_row(message: MessageRow) -> RequestRow:
    """Return the request that a message belongs to."""
    return RequestRow(
        user_id=message.user_id,
        request_id=message.request_id,
        message_id=message.message_id,
        fingerprint=b"fingerprint",
        ttl=4_000_000_000,
        subject=message.subject,
        content="Hello",
        agent_id=None,
        session_id=message.session_id,
        recipient=Recipient(),
        mode=message.mode,
        forced=message.forced,
        created_at=message.created_at,
        due_at=message.created_at,
        expires_at=message.expires_at,
        deliveries=tuple(
            PlannedDelivery(
                type=one.type,
                priority=one.priority,
                max_attempts=one.max_attempts,
                retry_delay_seconds=one.retry_delay_seconds,
            )
            for one in message.deliveries
        ),
        skipped=(),
    )


@pytest.fixture(scope="module")
def past(system):
    """Return a user with more deliveries than one page holds, and their IDs, newest first."""
    user = f"user-{uuid.uuid4().hex[:12]}"
    for number in range(COUNT // 2):
        message = message_row(user, number)
        # The requests are neighbors in the table that no page may show.
        system.table.put_request(request_row(message), now=message.created_at)
        system.table.create(message)
    system.deliveries.put_item(Item={"user_id": user, "sk": "MAILBOX#TEST#1"})
    return user, [delivery_id(number) for number in reversed(range(COUNT))]


def ids(page):
    """Return the IDs of a page in its order."""
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
    """A page behind the end is empty."""
    user, _ = past

    page = system.history(user, offset=120)

    assert (ids(page), page["next_cursor"]) == ([], None)


@pytest.mark.parametrize(
    ("filters", "chosen"),
    [
        ({"status": "failed"}, lambda number: number % 3 == 1),
        ({"integration_type": "webhook"}, lambda number: number % 2 == 1),
        ({"request_id": "r-7"}, lambda number: number // 2 == 7),
        ({"request_id": "r-7", "status": "success"}, lambda number: number == 15),
        (
            {"status": "success", "integration_type": "TEST"},
            lambda number: number % 3 == 0 and number % 2 == 0,
        ),
    ],
)
def test_filters(system, past, filters, chosen):
    """A filtered listing holds exactly the matching deliveries, however short its pages are."""
    user, _ = past

    seen, cursor = [], None
    while True:
        page = system.history(user, limit=50, **filters, **({"cursor": cursor} if cursor else {}))
        seen += ids(page)
        if (cursor := page["next_cursor"]) is None:
            break

    assert seen == [delivery_id(number) for number in reversed(range(COUNT)) if chosen(number)]


def test_a_cursor_is_a_delivery_id(system, past):
    """The deliveries after any one of them are listed by its ID, and `next_cursor` is the last."""
    user, expected = past

    page = system.history(user, limit=10, cursor=expected[6])

    assert ids(page) == expected[7:17]
    assert page["next_cursor"] == expected[16]


def test_a_cursor_of_another_user(system, past, user):
    """A cursor of another user's history shows nothing of that history."""
    cursor = system.history(past[0])["next_cursor"]
    own = system.sent(user)

    older = system.history(user, cursor=cursor)

    assert ids(older) == []
    assert ids(system.history(user)) == [own]


def test_a_malformed_cursor_is_rejected(api, user):
    """A cursor that is not an ID is invalid."""
    rejected = api.get(f"/api/v1/users/{user}/deliveries", params={"cursor": "nonsense"})

    assert [one["pointer"] for one in answered(rejected, 422)["errors"]] == ["/cursor"]


def test_one_delivery(system, past):
    """A delivery is shown with its attempts; times are RFC 3339 in UTC with milliseconds."""
    user, expected = past

    shown = system.delivery(user, expected[-1])

    assert shown == {
        "delivery_id": expected[-1],
        "request_id": "r-0",
        "session_id": None,
        "subject": None,
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
        "category": None,
        "locked": False,
        "held": None,
        "receipt": None,
        "error_code": None,
        "error_message": None,
        "metadata": {},
        "attempt_log": [],
    }


def test_deliveries_of_others_are_not_found(api, past, user):
    """An unknown delivery, another user's, a message's ID and a malformed ID are not found."""
    mine, theirs = past[1][0], delivery_id(COUNT)

    whole, third = message_id(0), id_at(message_id(0), 2)
    asked = [(user, mine), *((past[0], one) for one in (theirs, whole, third, "nonsense"))]
    paths = [f"/api/v1/users/{name}/deliveries/{one}" for name, one in asked]
    statuses = [
        response.status_code
        for path in paths
        for response in (api.get(path), api.delete(path), api.post(f"{path}/retry"))
    ]

    assert statuses == [404] * 15
