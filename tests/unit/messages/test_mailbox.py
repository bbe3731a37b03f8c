"""Mailboxes: pages of waiting messages, and acknowledgement."""

from __future__ import annotations

import pytest

from dispatcher.delivery.rows import MailboxRow
from dispatcher.errors import FieldError, InvalidInputError, NotFoundError
from tests.world import USER

DAY = 86_400


def message_id(number: int) -> str:
    """Return the ID of a message."""
    return f"01a3185c-0000-7000-8000-{number:012d}"


class Box:
    """A user's mailboxes in memory, and a way to fill them."""

    def __init__(self, world) -> None:
        self.world = world
        self.mailbox = world.mailbox

    def put(self, number, integration_type="CLI", user_id=USER, **fields):
        """Put a message into a mailbox."""
        now = self.world.clock.now()
        row = {
            "user_id": user_id,
            "integration_type": integration_type,
            "message_id": message_id(number),
            "request_id": f"r-{number}",
            "session_id": None,
            "agent_id": None,
            "subject": None,
            "content": f"message {number}",
            "created_at": now,
            "ttl": int(now) + 30 * DAY,
        }
        self.world.table.put(MailboxRow(**row | fields))

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
    """All named fields are always present, null if unknown."""
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
    """A page has the cursor of the next one; the last page has none."""
    for number in (3, 1, 5, 2, 4):
        box.put(number)

    first, cursor = box.numbers(limit="2")
    second, cursor = box.numbers(limit="2", after=cursor)
    third, end = box.numbers(limit="2", after=cursor)

    assert (first, second, third, end) == ([1, 2], [3, 4], [5], None)


def test_a_full_last_page_has_no_cursor(box):
    """The page holds exactly what is left."""
    for number in (1, 2):
        box.put(number)

    assert box.numbers(limit="2") == ([1, 2], None)


def test_a_cursor_outlives_its_message(box):
    """A caller that acknowledges page by page continues where it was."""
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
def test_each_integration_has_its_own_mailbox(box, params, expected):
    """CLI is the default; other users' messages are never shown."""
    box.put(1)
    box.put(2, "TEST")
    box.put(3, user_id="eve")

    assert box.numbers(**params) == (expected, None)


@pytest.mark.parametrize(("late", "is_shown"), [(0, True), (0.001, False)])
def test_a_message_is_kept_until_its_ttl(box, late, is_shown):
    """An expired row is neither shown nor acknowledged, even if DynamoDB still stores it."""
    box.put(1)

    box.world.clock.advance(30 * DAY + late)

    assert box.numbers() == ([1] if is_shown else [], None)
    if is_shown:
        box.mailbox.acknowledge(USER, message_id(1))
    else:
        with pytest.raises(NotFoundError):
            box.mailbox.acknowledge(USER, message_id(1))


@pytest.mark.parametrize("integration_type", ["CLI", "TEST"])
def test_an_acknowledged_message_is_gone(box, integration_type):
    """A second acknowledgement finds no message."""
    box.put(1, integration_type)

    box.mailbox.acknowledge(USER, message_id(1))

    assert box.numbers(integration_type=integration_type) == ([], None)
    with pytest.raises(NotFoundError, match=f"^User {USER} has no message {message_id(1)}.$"):
        box.mailbox.acknowledge(USER, message_id(1))


def test_a_user_acknowledges_only_own_messages(box):
    """Another user's message is not found, and stays."""
    box.put(1)

    with pytest.raises(NotFoundError):
        box.mailbox.acknowledge("eve", message_id(1))

    assert box.numbers() == ([1], None)


def test_large_messages_make_short_pages(box):
    """Lambda returns at most 6 MB; the page ends early and has a cursor."""
    for number in range(1, 12):
        box.put(number, content=f"message {number} " + "x" * 120 * 1024)

    first, cursor = box.numbers()
    second, end = box.numbers(after=cursor)

    assert (first, second, end) == ([1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 11], None)


def test_a_page_holds_at_least_one_message(box):
    """A message larger than a page is a page by itself."""
    for number in (1, 2):
        box.put(number, content=f"message {number} " + "x" * 1100 * 1024)

    first, cursor = box.numbers()
    second, end = box.numbers(after=cursor)

    assert (first, second, end) == ([1], [2], None)


CURSOR = "must be the next_cursor of the page before"


@pytest.mark.parametrize(
    ("params", "field_error"),
    [
        *(
            ({"limit": text}, FieldError("/limit", "must be a whole number from 1 to 200"))
            for text in ("0", "201", "\u0661")
        ),
        (
            {"offset": "1"},
            FieldError(
                "/offset",
                "is not a known parameter; the known ones are integration_type, after, limit",
            ),
        ),
        *(
            (
                {"integration_type": text},
                FieldError("/integration_type", "must be one of CLI, TEST"),
            )
            for text in ("SLACK", "", "te\u017ft")
        ),
        *(
            ({"after": text}, FieldError("/after", CURSOR))
            for text in ("", "x" * 32, "\u00e9", message_id(1).upper(), message_id(1) + "0")
        ),
    ],
)
def test_an_invalid_query_is_rejected(box, params, field_error):
    """The error names the parameter and its rule."""
    with pytest.raises(InvalidInputError) as caught:
        box.mailbox.page(USER, params)

    assert caught.value.field_errors == (field_error,)


@pytest.mark.parametrize(
    ("user_id", "integration_type"), [("eve", "CLI"), (USER, "TEST")], ids=["user", "box"]
)
def test_a_cursor_is_a_place_in_time(box, user_id, integration_type):
    """In another mailbox it shows that mailbox's later messages, never the first one's."""
    for number in (1, 3, 5):
        box.put(number)
    for number in (2, 4):
        box.put(number, integration_type, user_id)
    _, cursor = box.numbers(limit="2")

    assert cursor == message_id(3)
    assert box.numbers(user_id, integration_type=integration_type, after=cursor) == ([4], None)
