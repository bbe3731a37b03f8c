"""The messages in the queues: what is ours, and why the rest is not."""

from __future__ import annotations

import json

import pytest

from dispatcher.delivery.doorbells import (
    LARGEST_BODY,
    DeliveryBell,
    RequestBell,
    Ticket,
    UnreadableError,
    decode,
    encode,
)

ID = "01a0c2d4-9f3b-7abc-8def-0123456789ab"
REQUEST = {"v": 1, "kind": "request", "user_id": "ada", "request_id": "r-1"}
DELIVERY = {"v": 1, "kind": "delivery", "user_id": "ada", "delivery_id": ID, "due_at": 5.25}
TICKET = {"v": 1, "kind": "ticket", "user_id": "ada", "delivery_id": ID, "round": 2}


@pytest.mark.parametrize(
    ("doorbell", "message"),
    [
        (RequestBell("ada", "r-1"), REQUEST),
        (DeliveryBell("ada", ID, 5.25), DELIVERY),
        (DeliveryBell("ada", ID, 5), {**DELIVERY, "due_at": 5}),
        (Ticket("ada", ID, 2), TICKET),
    ],
)
def test_a_doorbell_is_written_and_read(doorbell, message):
    """The three kinds have the fields of the contract, and come back as they were."""
    assert json.loads(encode(doorbell)) == message
    assert decode(encode(doorbell)) == doorbell


def test_the_largest_doorbell_is_readable():
    """Ids of full length with every character escaped stay below the limit."""
    doorbell = RequestBell("a" * 128, '"' * 256)

    assert decode(encode(doorbell)) == doorbell


def test_what_a_later_version_of_ours_adds_is_passed_over():
    """The version number tells what is not compatible."""
    assert decode(json.dumps({**REQUEST, "priority": 1})) == RequestBell("ada", "r-1")


MISSING = "a field is missing or of the wrong type"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("{", "not JSON"),
        ("[" * 4000, "not JSON"),
        ("1" * 4096, "not a JSON object"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ('"x"', "not a JSON object"),
        (" " * (LARGEST_BODY + 1), "longer than 4096 characters"),
        ({}, "unknown version"),
        ({**REQUEST, "v": 2}, "unknown version"),
        ({**REQUEST, "v": "1"}, "unknown version"),
        ({**REQUEST, "v": True}, "unknown version"),
        ({**REQUEST, "v": 1.0}, "unknown version"),
        ({**REQUEST, "kind": "letter"}, "unknown kind"),
        ({**REQUEST, "kind": None}, "unknown kind"),
        ({**REQUEST, "kind": ["request"]}, "unknown kind"),
        ({"v": 1}, "unknown kind"),
        ({"v": 1, "kind": "request"}, MISSING),
        ({**REQUEST, "user_id": 5}, MISSING),
        ({**REQUEST, "request_id": None}, MISSING),
        ({**DELIVERY, "delivery_id": ["d"]}, MISSING),
        ({**TICKET, "user_id": {}}, MISSING),
        ({**REQUEST, "user_id": ""}, "user_id out of shape"),
        ({**REQUEST, "user_id": "../x"}, "user_id out of shape"),
        ({**REQUEST, "user_id": "ada\n"}, "user_id out of shape"),
        ({**REQUEST, "request_id": ""}, "request_id out of shape"),
        ({**REQUEST, "request_id": "a b"}, "request_id out of shape"),
        ({**REQUEST, "request_id": "r" * 257}, "request_id out of shape"),
        ({**DELIVERY, "delivery_id": ID.upper()}, "delivery_id out of shape"),
        ({**DELIVERY, "delivery_id": f"{ID}\n"}, "delivery_id out of shape"),
        ({**TICKET, "delivery_id": "d-1"}, "delivery_id out of shape"),
        ({**DELIVERY, "due_at": "5"}, "due_at out of range"),
        ({**DELIVERY, "due_at": True}, "due_at out of range"),
        ({**DELIVERY, "due_at": None}, "due_at out of range"),
        ({**DELIVERY, "due_at": -1}, "due_at out of range"),
        ({**DELIVERY, "due_at": 10**11}, "due_at out of range"),
        ({**DELIVERY, "due_at": float("nan")}, "due_at out of range"),
        ({**DELIVERY, "due_at": float("inf")}, "due_at out of range"),
        ({**TICKET, "round": 1}, "round out of range"),
        ({**TICKET, "round": 2.0}, "round out of range"),
        ({**TICKET, "round": True}, "round out of range"),
        ({**TICKET, "round": 10**9}, "round out of range"),
    ],
)
def test_what_is_not_ours_is_told_apart(message, reason):
    """A message that is not exactly a doorbell is refused with a reason that quotes nothing."""
    body = message if isinstance(message, str) else json.dumps(message)

    with pytest.raises(UnreadableError) as caught:
        decode(body)

    assert str(caught.value) == reason
