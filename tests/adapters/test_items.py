"""Rows as DynamoDB items: round trips, unknown keys and sizes."""

from __future__ import annotations

import json
import zlib
from dataclasses import fields, replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.adapters.items import (
    body_of,
    item_size,
    key,
    mailbox_row,
    message_item,
    message_row,
    request_item,
    request_row,
)
from dispatcher.delivery import transitions
from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.delivery.rows import (
    Delivery,
    LogEntry,
    MailboxRow,
    MessageRow,
    PlannedDelivery,
    Receipt,
    RequestRow,
    SkippedType,
    Status,
    shard_of,
)
from dispatcher.delivery.transitions import Attempted, Ending, GivenBack, RetryPolicy
from dispatcher.integrations.integration import Recipient
from tests.rows import DELIVERY, FAILED, ID_1, MESSAGE_ID, NOW, SOON, claimed, message

REQUEST = RequestRow(
    user_id="ada",
    request_id="r-1",
    message_id=MESSAGE_ID,
    fingerprint=bytes(range(32)),
    ttl=1_800_001_400,
    subject="Grüße",
    content="Hello",
    agent_id=None,
    session_id="s-1",
    recipient=Recipient(email="ada@example.com"),
    mode="first_success",
    forced=False,
    created_at=NOW,
    due_at=NOW + 0.125,
    expires_at=None,
    deliveries=(
        PlannedDelivery(type="WEBHOOK", priority=3, max_attempts=4, retry_delay_seconds=30),
    ),
    skipped=(SkippedType(type="SMS", reason="no_address"),),
)


# Exactly what is stored ---------------------------------------------------------------------------


def test_a_message_item():
    """Fields that conditions and queries name are attributes; a default takes no space."""
    row = message(DELIVERY, replace(SOON, round=2), sweep_at=NOW + 60, ttl=1_800_005_000)

    assert message_item(row) == {
        "user_id": {"S": "ada"},
        "sk": {"S": f"MESSAGE#{MESSAGE_ID}"},
        "rev": {"B": b"rev-1"},
        "n": {"N": "2"},
        "sweep_shard": {"S": str(shard_of(MESSAGE_ID))},
        "sweep_at": {"N": "1800000060.0"},
        "ttl": {"N": "1800005000"},
        "body": {
            "S": '{"request_id":"r-1","session_id":"s-1","subject":"Subject","mode":"all",'
            '"forced":false,"created_at":1799999500.0,"keep_until":1800005000.0,"deliveries":['
            '{"type":"WEBHOOK","status":"pending","priority":3,"max_attempts":4,'
            '"retry_delay_seconds":30,"due_at":1799999993.0},'
            '{"type":"WEBHOOK","status":"pending","priority":3,"max_attempts":4,'
            '"retry_delay_seconds":30,"due_at":1800000100.0,"round":2}]}'
        },
    }


@pytest.mark.parametrize(
    ("fields_", "absent"),
    [
        ({"sweep_at": None, "ttl": None}, {"sweep_at", "ttl"}),
        ({"sweep_at": 0.0, "ttl": 0}, set()),
        ({"sweep_at": NOW, "ttl": None}, {"ttl"}),
        ({"sweep_at": None, "ttl": 5}, {"sweep_at"}),
    ],
)
def test_the_sweep_index_is_sparse(fields_, absent):
    """Without ``sweep_at`` a row is in no index, and without ``ttl`` it is never deleted."""
    item = message_item(message(**fields_))

    assert {"sweep_at", "ttl"} - item.keys() == absent
    assert message_row(item) == message(**fields_)


@pytest.mark.parametrize("count", range(1, 8))
def test_a_message_item_counts_its_deliveries(count):
    """The attribute ``n`` is the number of deliveries, so the history counts without a body."""
    assert message_item(message(*[DELIVERY] * count))["n"] == {"N": str(count)}


def test_a_request_item():
    """A request item has no key for a value that was not given."""
    assert request_item(REQUEST) == {
        "user_id": {"S": "ada"},
        "sk": {"S": "REQUEST#r-1"},
        "message": {"S": MESSAGE_ID},
        "fingerprint": {"B": bytes(range(32))},
        "ttl": {"N": "1800001400"},
        "body": {
            "S": '{"subject":"Grüße","content":"Hello","session_id":"s-1",'
            '"recipient":{"email":"ada@example.com"},"mode":"first_success","forced":false,'
            '"created_at":1800000000.0,"due_at":1800000000.125,"deliveries":[{"type":"WEBHOOK",'
            '"priority":3,"max_attempts":4,"retry_delay_seconds":30}],'
            '"skipped":[{"type":"SMS","reason":"no_address"}]}'
        },
    }


def test_a_request_without_deliveries():
    """Empty lists and an empty recipient survive a round trip."""
    row = replace(REQUEST, deliveries=(), skipped=(), recipient=Recipient())

    assert request_row(request_item(row)) == row


def test_the_key_of_a_row():
    """A key consists of the user ID and the sort key."""
    assert key("ada", "REQUEST#r-1") == {"user_id": {"S": "ada"}, "sk": {"S": "REQUEST#r-1"}}


def test_an_id_may_look_like_a_sort_key():
    """Only the prefix of the sort key is removed when an ID is read."""
    row = replace(REQUEST, request_id="REQUEST#MESSAGE#1")

    assert request_row(request_item(row)).request_id == "REQUEST#MESSAGE#1"


MAILBOX_ITEM = {
    "user_id": {"S": "ada"},
    "sk": {"S": f"MAILBOX#CLI#{ID_1}"},
    "request_id": {"S": "r-1"},
    "session_id": {"S": "s-1"},
    "agent_id": {"S": "a-1"},
    "subject": {"S": "Subject"},
    "content": {"S": "Hello"},
    "created_at": {"N": "1800000000.125"},
    "ttl": {"N": "1800005000"},
}
MAILBOX_ROW = MailboxRow(
    user_id="ada",
    integration_type="CLI",
    message_id=ID_1,
    request_id="r-1",
    session_id="s-1",
    agent_id="a-1",
    subject="Subject",
    content="Hello",
    created_at=NOW + 0.125,
    ttl=1_800_005_000,
)


def test_a_mailbox_item():
    """A mailbox item may lack attributes that were not given, and may have unknown ones."""
    optional = ("session_id", "agent_id", "subject")
    without = {name: value for name, value in MAILBOX_ITEM.items() if name not in optional}

    assert mailbox_row(MAILBOX_ITEM) == MAILBOX_ROW
    assert mailbox_row({**MAILBOX_ITEM, "category": {"S": "x"}}) == MAILBOX_ROW
    assert mailbox_row(without) == replace(MAILBOX_ROW, **dict.fromkeys(optional))


# Round trips --------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)
TIMES = st.floats(0, 10**10).map(lambda seconds: round(seconds, 3))
COUNTS = st.integers(0, 10**6)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def extras(row_type):
    """Return any keys that are not the row's own."""
    own = {field.name for field in fields(row_type)} - {"extra"}
    return st.dictionaries(TEXTS.filter(lambda name: name not in own), JSON, max_size=2)


def optional(strategy):
    """Return a value or none."""
    return st.none() | strategy


def whole(row_type, **strategies):
    """Return rows with a value for every field: a new field fails here until it is generated."""
    names = {field.name for field in fields(row_type)}
    if "extra" in names:
        strategies["extra"] = extras(row_type)
    assert strategies.keys() == names
    return st.builds(row_type, **strategies)


ENTRIES = whole(
    LogEntry,
    number=COUNTS,
    round=COUNTS,
    started_at=TIMES,
    duration_ms=optional(COUNTS),
    outcome=TEXTS,
    code=optional(TEXTS),
    detail=TEXTS,
)
DELIVERIES = whole(
    Delivery,
    type=TEXTS,
    status=st.sampled_from(Status),
    priority=COUNTS,
    max_attempts=COUNTS,
    retry_delay_seconds=COUNTS,
    due_at=TIMES,
    round=COUNTS,
    tries=COUNTS,
    unknown=COUNTS,
    attempts=COUNTS,
    opened_by=optional(TEXTS),
    dead_letter_owed=st.booleans(),
    first_attempt_at=optional(TIMES),
    last_attempt_at=optional(TIMES),
    delivered_at=optional(TIMES),
    error_code=optional(TEXTS),
    error_message=optional(TEXTS),
    metadata=st.dictionaries(TEXTS, TEXTS | st.integers(), max_size=3),
    attempt_log=st.lists(ENTRIES, max_size=3).map(tuple),
    held=optional(TEXTS),
    not_before=optional(TIMES),
    ignores_hours=st.booleans(),
    by_lock=st.booleans(),
    receipt=optional(whole(Receipt, state=TEXTS, at=TIMES, detail=TEXTS)),
)
MESSAGES = whole(
    MessageRow,
    user_id=TEXTS,
    message_id=st.uuids().map(str),
    rev=st.binary(min_size=8, max_size=8),
    request_id=TEXTS,
    session_id=optional(TEXTS),
    subject=optional(TEXTS),
    mode=st.sampled_from(["all", "first_success"]),
    forced=st.booleans(),
    created_at=TIMES,
    expires_at=optional(TIMES),
    keep_until=TIMES,
    deliveries=st.lists(DELIVERIES, min_size=1, max_size=3).map(tuple),
    owner=optional(TEXTS),
    lease_until=optional(TIMES),
    current=optional(st.integers(0, 6)),
    last_owner=optional(TEXTS),
    rings=COUNTS,
    sweep_at=optional(TIMES),
    ttl=optional(COUNTS),
    category=optional(TEXTS),
    urgent=st.booleans(),
    locked=st.booleans(),
    hold_end=optional(TIMES),
    hold_zone=TEXTS,
)
REQUESTS = whole(
    RequestRow,
    user_id=TEXTS,
    request_id=TEXTS,
    message_id=st.uuids().map(str),
    fingerprint=st.binary(min_size=32, max_size=32),
    ttl=COUNTS,
    subject=optional(TEXTS),
    content=TEXTS,
    agent_id=optional(TEXTS),
    session_id=optional(TEXTS),
    recipient=whole(
        Recipient,
        email=optional(TEXTS),
        phone_number=optional(TEXTS),
        slack_user_id=optional(TEXTS),
        slack_channel=optional(TEXTS),
    ),
    mode=st.sampled_from(["all", "first_success"]),
    forced=st.booleans(),
    created_at=TIMES,
    due_at=TIMES,
    expires_at=optional(TIMES),
    deliveries=st.lists(
        whole(
            PlannedDelivery,
            type=TEXTS,
            priority=COUNTS,
            max_attempts=COUNTS,
            retry_delay_seconds=COUNTS,
            due_at=optional(TIMES),
            held=optional(TEXTS),
            by_lock=st.booleans(),
        ),
        max_size=3,
    ).map(tuple),
    skipped=st.lists(whole(SkippedType, type=TEXTS, reason=TEXTS), max_size=3).map(tuple),
    category=optional(TEXTS),
    urgent=st.booleans(),
    locked=st.booleans(),
    hold_zone=TEXTS,
)


@given(MESSAGES)
def test_a_message_row_reads_back_whole(row):
    """Every field of a row survives a round trip, with the keys of later editions."""
    item = message_item(row)

    assert message_row(item) == row
    assert message_item(message_row(item)) == item


@given(REQUESTS)
def test_a_request_row_reads_back_whole(row):
    """Every field of a row survives a round trip, with the keys of later editions."""
    item = request_item(row)

    assert request_row(item) == row
    assert request_item(request_row(item)) == item


# Unknown keys -------------------------------------------------------------------------------------

LATER = {"digest": "alert", "nested": {"list": [1, None, 2.5, {"x": "é"}]}, "null": None}
"""Keys of a later edition, with all kinds of values."""

LOGGED = {
    "number": 1,
    "round": 1,
    "started_at": NOW - 90,
    "outcome": "retry",
    "code": "http_503",
    "detail": "x" * 300,
    **LATER,
}


def later_item(row: MessageRow, *, compressed: bool):
    """Return an item that a later edition wrote: unknown keys in body, deliveries and log."""
    item = dict(message_item(row))
    body = {**body_of(item), **LATER}
    for delivery in body["deliveries"]:
        delivery.update(LATER, attempt_log=[LOGGED])
    text = json.dumps(body)
    item["body"] = {"B": zlib.compress(text.encode())} if compressed else {"S": text}
    return item


COMMON = {"now": NOW, "retention": 86_400.0}
CLAIMED = claimed(message(DELIVERY, DELIVERY))
DEAD = replace(CLAIMED, lease_until=NOW)
OWED = message(replace(FAILED, dead_letter_owed=True))
POLICY = RetryPolicy(2, 30)


def settled(settlement):
    """Return a transition that records how the claim ended, and claims again."""
    return lambda row: transitions.settle(row, "mine", settlement, next_token="next", **COMMON)


CHANGES = {
    "begin": (message(), lambda row: transitions.begin(row, token="t", **COMMON)),
    "take over": (DEAD, lambda row: transitions.begin(row, token="t", **COMMON)),
    "success": (CLAIMED, settled(Attempted(Delivered({"id": 1}), NOW, 1.0))),
    "retry": (CLAIMED, settled(Attempted(Retry("http_503", "busy"), NOW, 1.0))),
    "failure": (CLAIMED, settled(Attempted(Permanent("http_404", "no"), NOW, 1.0))),
    "first success": (
        replace(CLAIMED, mode="first_success"),
        settled(Attempted(Delivered(), NOW, 1.0)),
    ),
    "end": (CLAIMED, settled(Ending(Status.SKIPPED, "disabled_by_user"))),
    "give back": (CLAIMED, settled(GivenBack())),
    "cancel": (message(), lambda row: transitions.cancel(row, 0, **COMMON)),
    "reopen": (
        message(FAILED),
        lambda row: transitions.reopen(row, 0, round_number=1, policy=POLICY, token="t", now=NOW),
    ),
    "dead letters": (
        OWED,
        lambda row: transitions.dead_letters_sent(row, (DeadLetter("ada", ID_1, 2),), **COMMON),
    ),
    "stamp": (message(), lambda row: transitions.stamp(row, read=row.rev, **COMMON)),
    "tidy": (message(FAILED), lambda row: transitions.stamp(row, read=row.rev, **COMMON)),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_unknown_keys_survive_every_change(change, compressed):
    """An older edition reads, changes and writes a newer row, and loses nothing of it."""
    row, transition = CHANGES[change]
    item = later_item(row, compressed=compressed)
    read = message_row(item)
    step = transition(read)
    written = body_of(message_item(replace(step.row, rev=b"rev-2")))

    assert step.row != read or change == "tidy"
    assert {name: written[name] for name in LATER} == LATER
    for delivery in written["deliveries"]:
        assert {name: delivery[name] for name in LATER} == LATER
        assert {name: delivery["attempt_log"][0][name] for name in LATER} == LATER


def test_unknown_keys_of_a_request_survive():
    """A request row keeps the unknown keys of its body and of every list entry."""
    item = dict(request_item(REQUEST))
    body = {**body_of(item), **LATER}
    body["deliveries"][0].update(LATER)
    body["skipped"][0].update(LATER)
    item["body"] = {"S": json.dumps(body)}

    row = request_row(item)

    assert (row.extra, row.deliveries[0].extra, row.skipped[0].extra) == (LATER, LATER, LATER)
    assert body_of(request_item(row)) == body
    assert replace(
        row,
        extra={},
        deliveries=(replace(row.deliveries[0], extra={}),),
        skipped=(replace(row.skipped[0], extra={}),),
    ) == REQUEST  # fmt: skip


def test_a_row_of_an_earlier_edition_has_defaults():
    """A key that an earlier edition did not write means its default."""
    row = message()
    item = dict(message_item(row))
    body = body_of(item)
    assert body["deliveries"][0].keys() == {
        "type",
        "status",
        "priority",
        "max_attempts",
        "retry_delay_seconds",
        "due_at",
    }
    del body["session_id"], body["subject"]
    item["body"] = {"S": json.dumps(body)}

    assert message_row(item) == replace(row, session_id=None, subject=None)


# Size ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": ""}, 0),
        ({"S": "abc"}, 3),
        ({"S": "é€\N{PARTY POPPER}"}, 2 + 3 + 4),
        ({"B": b""}, 0),
        ({"B": b"\x00\xff"}, 2),
        ({"N": "0"}, 2),
        ({"N": "7"}, 2),
        ({"N": "10"}, 2),
        ({"N": "12"}, 2),
        ({"N": "123"}, 3),
        ({"N": "1200"}, 2),
        ({"N": "0.05"}, 2),
        ({"N": "10.50"}, 3),
        ({"N": "-12"}, 3),
        ({"N": "1800000060.0"}, 6),
        ({"N": "1800000060.125"}, 8),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"L": []}, 3),
        ({"L": [{"S": "a"}, {"S": "bc"}]}, 3 + 2 + 3),
        ({"M": {}}, 3),
        ({"M": {"k": {"S": "v"}, "n": {"N": "12"}}}, 3 + 1 + 1 + 1 + 1 + 1 + 2),
        ({"M": {"list": {"L": [{"NULL": True}]}}}, 3 + 1 + 4 + 3 + 2),
    ],
)
def test_the_size_of_a_value(value, size):
    """Sizes are those of the DynamoDB Developer Guide."""
    assert item_size({"name": value}) == 4 + size
    assert item_size({"é": value}) == 2 + size


@given(st.dictionaries(TEXTS, st.decimals(-(10**12), 10**12, places=3), max_size=4))
def test_numbers_are_counted_by_their_significant_digits(numbers):
    """A number takes a byte per two significant digits, one more, and one for a minus sign."""
    expected = 0
    for name, number in numbers.items():
        digits = number.normalize().as_tuple().digits
        expected += len(name.encode()) + (len(digits) + 1) // 2 + 1 + (number < 0)

    assert item_size({name: {"N": f"{number:f}"} for name, number in numbers.items()}) == expected
    assert item_size({"x": {"N": f"{Decimal(-1):f}"}}) == 1 + 3


def test_the_size_of_an_item_counts_names_and_values():
    """The size of an item is that of all names and values, keys included."""
    assert item_size({"user_id": {"S": "ada"}, "n": {"N": "2"}, "rev": {"B": b"12345678"}}) == (
        7 + 3 + 1 + 2 + 3 + 8
    )


def padded(row, size, character="x"):
    """Return a row whose item is as large as that while its body is text."""
    missing = size - item_size(message_item(row))
    width = len(character.encode())
    return replace(row, request_id=row.request_id + character * (missing // width)
                   + "x" * (missing % width))  # fmt: skip


@pytest.mark.parametrize("character", ["x", "é", "\N{PARTY POPPER}"])
@pytest.mark.parametrize(("size", "compressed"), [(1023, False), (1024, False), (1025, True)])
def test_a_body_is_text_while_its_item_fits_one_write_unit(size, compressed, character):
    """The body is JSON text up to 1,024 bytes of the whole item, and compressed above."""
    row = padded(message(sweep_at=NOW + 60), size, character)
    item = message_item(row)
    text = {**item, "body": {"S": json.dumps(body_of(item), ensure_ascii=False,
                                             separators=(",", ":"))}}  # fmt: skip

    assert item_size(text) == size
    assert [*item["body"]] == (["B"] if compressed else ["S"])
    assert item == text or zlib.decompress(item["body"]["B"]).decode() == text["body"]["S"]
    assert item_size(item) <= 1024
    assert message_row(item) == row


def test_an_attribute_can_make_the_difference():
    """An attribute outside the body can make the item too large for a text body."""
    row = padded(message(), 1024)

    assert [*message_item(row)["body"]] == ["S"]
    assert [*message_item(replace(row, ttl=1))["body"]] == ["B"]
    assert message_row(message_item(replace(row, ttl=1))) == replace(row, ttl=1)


def test_a_large_request_is_compressed():
    """Compression saves write units of large content."""
    row = replace(REQUEST, content="Hello, world. " * 9000)
    item = request_item(row)

    assert [*item["body"]] == ["B"]
    assert item_size(item) < 2048
    assert request_row(item) == row
