"""Mailboxes: what is in them, page by page, and what is taken out."""

from __future__ import annotations

import pytest

from dispatcher.errors import InvalidInputError, NotFoundError
from dispatcher.messages.mailbox import Mailbox
from tests.world import USER

DAY = 86_400


def message_id(number: int) -> str:
    """Return the id of a message."""
    return f"01a3185c-0000-7000-8000-{number:012d}"


class Box:
    """A user's mailboxes in memory, and a way to fill them."""

    def __init__(self, world) -> None:
        self.world = world
        self.mailbox = Mailbox(deliveries=world.deliveries, clock=world.clock)

    def put(self, number, integration_type="CLI", user_id=USER, **fields):
        """Put a message in as the channels do."""
        now = self.world.clock.now()
        sk = f"MAILBOX#{integration_type}#{message_id(number)}"
        row = {
            "user_id": user_id,
            "sk": sk,
            "delivery_id": message_id(number),
            "request_id": f"r-{number}",
            "content": f"message {number}",
            "created_at": now,
            "ttl": int(now) + 30 * DAY,
        }
        self.world.deliveries.rows[user_id, sk] = row | fields

    def numbers(self, user_id=USER, **params):
        """Return what a page holds, and its cursor."""
        page = self.mailbox.page(user_id, params)
        texts = [one["content"] for one in page["messages"]]
        return [int(text.split()[1]) for text in texts], page["next_cursor"]


@pytest.fixture
def box(world):
    """Empty mailboxes."""
    return Box(world)


def test_a_message_is_shown_whole(box):
    """Every field is there, null where nothing is known."""
    box.put(1, session_id="s-1", agent_id="weather", subject="Rain")
    box.put(2)

    page = box.mailbox.page(USER, {})

    empty = {"session_id": None, "agent_id": None, "subject": None}
    assert page == {
        "user_id": USER,
        "integration_type": "CLI",
        "messages": [
            {
                "message_id": message_id(1),
                "integration_type": "CLI",
                "delivery_id": message_id(1),
                "request_id": "r-1",
                "session_id": "s-1",
                "agent_id": "weather",
                "subject": "Rain",
                "content": "message 1",
                "created_at": "2027-01-15T08:00:00.000Z",
            },
            {
                **empty,
                "message_id": message_id(2),
                "integration_type": "CLI",
                "delivery_id": message_id(2),
                "request_id": "r-2",
                "content": "message 2",
                "created_at": "2027-01-15T08:00:00.000Z",
            },
        ],
        "limit": 50,
        "next_cursor": None,
    }


def test_pages_go_from_old_to_new(box):
    """The cursor leads on; the last page has none."""
    for number in (3, 1, 5, 2, 4):
        box.put(number)

    first, cursor = box.numbers(limit="2")
    second, cursor = box.numbers(limit="2", after=cursor)
    third, end = box.numbers(limit="2", after=cursor)

    assert (first, second, third, end) == ([1, 2], [3, 4], [5], None)


def test_a_cursor_outlives_its_message(box):
    """Whoever reads and acknowledges page by page does not start again."""
    for number in (1, 2, 3):
        box.put(number)
    _, cursor = box.numbers(limit="2")

    for number in (1, 2):
        box.mailbox.acknowledge(USER, message_id(number))

    assert box.numbers(after=cursor) == ([3], None)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, [1]),
        ({"integration_type": "cli"}, [1]),
        ({"integration_type": "TEST"}, [2]),
    ],
)
def test_each_integration_has_a_box_of_its_own(box, params, expected):
    """CLI's is meant where none is named; other users' are never seen."""
    box.put(1)
    box.put(2, "TEST")
    box.put(3, user_id="eve")

    assert box.numbers(**params) == (expected, None)


def test_a_message_is_kept_for_30_days(box):
    """What DynamoDB has not yet deleted is neither shown nor found."""
    box.put(1)

    box.world.clock.advance(30 * DAY + 1)

    assert box.numbers() == ([], None)
    with pytest.raises(NotFoundError):
        box.mailbox.acknowledge(USER, message_id(1))


@pytest.mark.parametrize("integration_type", ["CLI", "TEST"])
def test_an_acknowledged_message_is_gone(box, integration_type):
    """Once: a second time there is nothing to acknowledge."""
    box.put(1, integration_type)

    box.mailbox.acknowledge(USER, message_id(1))

    assert box.numbers(integration_type=integration_type) == ([], None)
    with pytest.raises(NotFoundError, match=f"^user {USER} has no message {message_id(1)}$"):
        box.mailbox.acknowledge(USER, message_id(1))


def test_nobody_acknowledges_for_another(box):
    """The key begins with the user."""
    box.put(1)

    with pytest.raises(NotFoundError):
        box.mailbox.acknowledge("eve", message_id(1))

    assert box.numbers() == ([1], None)


def test_large_messages_make_short_pages(box):
    """Lambda returns 6 MB at most; the cursor leads on, and a page is never empty."""
    for number in range(1, 12):
        box.put(number, content=f"message {number} " + "x" * 120 * 1024)

    first, cursor = box.numbers()
    second, end = box.numbers(after=cursor)

    assert (first, second, end) == ([1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 11], None)


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"limit": "0"}, "/limit"),
        ({"limit": "201"}, "/limit"),
        ({"limit": "\u0661"}, "/limit"),
        ({"offset": "1"}, "/offset"),
        ({"integration_type": "SLACK"}, "/integration_type"),
        ({"integration_type": ""}, "/integration_type"),
        ({"after": ""}, "/after"),
        ({"after": "x" * 32}, "/after"),
        ({"after": "\u00e9"}, "/after"),
    ],
)
def test_a_query_that_makes_no_sense_is_invalid(box, params, pointer):
    """Each field_error is told at its parameter."""
    with pytest.raises(InvalidInputError) as caught:
        box.mailbox.page(USER, params)

    assert [field_error.pointer for field_error in caught.value.field_errors] == [pointer]


@pytest.mark.parametrize(
    ("user_id", "integration_type"), [("eve", "CLI"), (USER, "TEST")], ids=["user", "box"]
)
def test_a_cursor_holds_where_it_was_given_out(box, user_id, integration_type):
    """Neither another user's box nor another box of the same user takes it."""
    box.put(1)
    box.put(2)
    _, cursor = box.numbers(limit="1")

    with pytest.raises(InvalidInputError) as caught:
        box.numbers(user_id, integration_type=integration_type, after=cursor)

    assert [field_error.pointer for field_error in caught.value.field_errors] == ["/after"]
