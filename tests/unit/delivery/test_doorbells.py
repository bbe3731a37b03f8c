"""Doorbells and dead letters, and the reasons why other queue messages are unreadable."""

from __future__ import annotations

import json

import pytest

from dispatcher.delivery.doorbells import (
    LARGEST_BODY,
    DeadLetter,
    Doorbell,
    UnreadableError,
    decode,
    encode,
)

MESSAGE_ID = "01a0c2d4-9f3b-7abc-8def-012345678900"
DELIVERY_ID = "01a0c2d4-9f3b-7abc-8def-012345678901"
DOORBELL = {
    "v": 2,
    "kind": "message",
    "user_id": "ada",
    "message_id": MESSAGE_ID,
    "request_id": "r-1",
    "due_at": 5.25,
}
DEAD_LETTER = {
    "v": 2,
    "kind": "redrive",
    "user_id": "ada",
    "delivery_id": DELIVERY_ID,
    "round": 2,
}


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (Doorbell("ada", MESSAGE_ID, "r-1", 5.25), DOORBELL),
        (Doorbell("ada", MESSAGE_ID, "r-1", 0), {**DOORBELL, "due_at": 0}),
        (Doorbell("ada", MESSAGE_ID, "r-1", 10**11 - 1), {**DOORBELL, "due_at": 10**11 - 1}),
        (DeadLetter("ada", DELIVERY_ID, 2), DEAD_LETTER),
        (DeadLetter("ada", DELIVERY_ID, 10**9 - 1), {**DEAD_LETTER, "round": 10**9 - 1}),
        (
            DeadLetter("ada", MESSAGE_ID[:-2] + "ff", 2),
            {**DEAD_LETTER, "delivery_id": MESSAGE_ID[:-2] + "ff"},
        ),
    ],
)
def test_a_queue_message_is_written_and_read(message, fields):
    """Both kinds of queue message have the fields of the contract and survive a round trip."""
    assert json.loads(encode(message)) == fields
    assert decode(encode(message)) == message


def test_a_body_is_compact():
    """A body is JSON without spaces, with its fields in a fixed order."""
    assert encode(DeadLetter("ada", DELIVERY_ID, 2)) == (
        f'{{"v":2,"kind":"redrive","user_id":"ada","delivery_id":"{DELIVERY_ID}","round":2}}'
    )


def test_the_largest_doorbell_is_readable():
    """IDs of full length with every character escaped stay below the limit."""
    doorbell = Doorbell("a" * 128, MESSAGE_ID, '"' * 256, 1_800_000_000.125)

    assert decode(encode(doorbell)) == doorbell


def test_a_body_of_the_largest_size_is_readable():
    """A body of 4,096 characters is readable."""
    body = json.dumps(DOORBELL)

    assert decode(body + " " * (LARGEST_BODY - len(body))) == Doorbell(
        "ada", MESSAGE_ID, "r-1", 5.25
    )


def test_keys_of_a_later_edition_are_ignored():
    """Unknown keys are ignored: only an incompatible change gets a new version number."""
    assert decode(json.dumps({**DOORBELL, "priority": 1})) == Doorbell(
        "ada", MESSAGE_ID, "r-1", 5.25
    )


MISSING = "a field is missing or of the wrong type"
NOT_AN_OBJECT = "not a JSON object"


def without(name, fields):
    """Return a message that lacks a field."""
    return {key: value for key, value in fields.items() if key != name}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("{", "not JSON"),
        (json.dumps(DOORBELL) + "x", "not JSON"),
        ("[" * 4000, "not JSON"),
        ("1" * 4096, NOT_AN_OBJECT),
        ("[]", NOT_AN_OBJECT),
        ("null", NOT_AN_OBJECT),
        ('"x"', NOT_AN_OBJECT),
        (" " * (LARGEST_BODY + 1), "longer than 4096 characters"),
        ({}, "unknown version"),
        (without("v", DOORBELL), "unknown version"),
        ({**DOORBELL, "v": 1}, "unknown version"),
        ({**DOORBELL, "v": 3}, "unknown version"),
        ({**DOORBELL, "v": "2"}, "unknown version"),
        ({**DOORBELL, "v": True}, "unknown version"),
        ({**DOORBELL, "v": 2.0}, "unknown version"),
        ({**DOORBELL, "v": None}, "unknown version"),
        ({"v": 1, "kind": "ticket", "user_id": "ada"}, "unknown version"),
        (without("kind", DOORBELL), "unknown kind"),
        ({**DOORBELL, "kind": "delivery"}, "unknown kind"),
        ({**DOORBELL, "kind": "request"}, "unknown kind"),
        ({**DOORBELL, "kind": None}, "unknown kind"),
        ({**DOORBELL, "kind": ["message"]}, "unknown kind"),
        ({"v": 2}, "unknown kind"),
        ({"v": 2, "kind": "message"}, MISSING),
        ({"v": 2, "kind": "redrive"}, MISSING),
        *[(without(name, DOORBELL), MISSING) for name in list(DOORBELL)[2:]],
        *[(without(name, DEAD_LETTER), MISSING) for name in list(DEAD_LETTER)[2:]],
        *[
            ({**fields, name: wrong}, MISSING)
            for fields in (DOORBELL, DEAD_LETTER)
            for name in list(fields)[2:]
            for wrong in (None, {}, ["x"])
        ],
        ({**DOORBELL, "kind": "redrive"}, MISSING),
        ({**DEAD_LETTER, "kind": "message"}, MISSING),
        ({**DOORBELL, "user_id": 5}, MISSING),
        ({**DOORBELL, "due_at": "5"}, MISSING),
        ({**DEAD_LETTER, "round": "2"}, MISSING),
        ({**DEAD_LETTER, "round": 2.0}, MISSING),
        *[
            ({**fields, "user_id": wrong}, "user_id out of shape")
            for fields in (DOORBELL, DEAD_LETTER)
            for wrong in ("", "../x", "ada\n", "a" * 129)
        ],
        *[
            ({**DOORBELL, "message_id": wrong}, "message_id out of shape")
            for wrong in ("", "m-1", MESSAGE_ID.upper(), f"{MESSAGE_ID}\n", DELIVERY_ID)
        ],
        *[
            ({**DOORBELL, "request_id": wrong}, "request_id out of shape")
            for wrong in ("", "a b", "r-1\n", "r" * 257)
        ],
        *[
            ({**DEAD_LETTER, "delivery_id": wrong}, "delivery_id out of shape")
            for wrong in ("", "d-1", DELIVERY_ID.upper(), f"{DELIVERY_ID}\n", MESSAGE_ID)
        ],
        *[
            ({**DOORBELL, "due_at": wrong}, "due_at out of range")
            for wrong in (True, False, -0.001, 10**11, 10**400, float("nan"), float("inf"))
        ],
        *[
            ({**DEAD_LETTER, "round": wrong}, "round out of range")
            for wrong in (True, -2, 0, 1, 10**9, 10**400)
        ],
    ],
)
def test_a_malformed_message_is_refused(message, reason):
    """A message that is no valid doorbell or dead letter is refused; the reason quotes nothing."""
    body = message if isinstance(message, str) else json.dumps(message)

    with pytest.raises(UnreadableError) as caught:
        decode(body)

    assert str(caught.value) == reason
