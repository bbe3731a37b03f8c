"""Every field of a send reaches a row, and every field of a row reaches the receiver.

A field that is added to ``SendBody`` or to ``RequestRow`` without a sample here fails, and so does
one that is accepted and then lost.
"""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from dispatcher.configuration.rows import Category, Policy
from dispatcher.delivery import perform
from dispatcher.delivery.rows import PlannedDelivery, RequestRow, SkippedType
from dispatcher.integrations.integration import Recipient
from dispatcher.messages.bodies import RecipientBody, SendBody
from tests.world import USER, World

BODY = {
    "request_id": "r-1",
    "subject": "For $who",
    "content": "Hello $who",
    "integration_types": ["TEST", "SMS"],
    "recipient": {"phone_number": "+14155552671"},
}
DELIVER_AT = "2027-01-15T09:00:00Z"
EXPIRES_AT = "2027-01-16T08:00:00Z"

SAMPLES: dict[str, tuple[object, set[str]]] = {
    "request_id": ("r-2", {"request_id"}),
    "session_id": ("s-1", {"session_id"}),
    "agent_id": ("a-1", {"agent_id"}),
    "category": ("news", {"category", "urgent", "locked"}),
    "subject": ("Rain", {"subject"}),
    "content": ("Bye", {"content"}),
    "template_variables": ({"who": "Ada"}, {"subject", "content"}),
    "recipient": ({"phone_number": "+14155552672"}, {"recipient"}),
    "integration_types": (["TEST"], {"deliveries", "ttl"}),
    "mode": ("first_success", {"mode", "ttl"}),
    "deliver_at": (DELIVER_AT, {"due_at", "ttl"}),
    "expires_at": (EXPIRES_AT, {"expires_at"}),
}
"""For each field of a send: another value, and the fields of the request row that change with it,
beside the fingerprint."""

ADDRESSES = {
    "email": "ada@example.com",
    "phone_number": "+14155552672",
    "slack_user_id": "U024BE7LH",
    "slack_channel": "C024BE91L",
}

OF_THE_ROW: dict[str, object] = {
    "user_id": "grace",
    "request_id": "r-2",
    "message_id": "01a3185c-0000-7000-8000-000000000100",
    "ttl": 1_900_000_000,
    "subject": "Rain",
    "content": "Bye",
    "agent_id": "a-1",
    "session_id": "s-1",
    "recipient": Recipient(phone_number="+14155552672"),
    "mode": "first_success",
    "forced": True,
    "created_at": 1_799_999_999.0,
    "due_at": 1_799_999_999.0,
    "expires_at": 1_900_000_000.0,
    "deliveries": (
        PlannedDelivery(type="TEST", priority=5, max_attempts=2, retry_delay_seconds=10),
    ),
    "category": "news",
    "urgent": True,
    "locked": True,
    "hold_zone": "Asia/Tokyo",
}
"""For each field of a request row: another value, which changes the message."""

OF_THE_REQUEST_ALONE = {
    "fingerprint": b"f" * 32,
    "skipped": (SkippedType(type="TOOL", reason="disabled_by_user"),),
    "extra": {"digest": "news"},
}
"""Fields without content: the identity, what gets no delivery, and keys of a later version."""


def accepting() -> World:
    """Return a world, the same each time, whose user gets SMS."""
    world = World(SMS_ENABLED="true")
    world.override("SMS", enabled=True)
    news = Category(name="news", title="News", urgent=True, locked=True)
    world.policies.policy = Policy({"news": news}, version=1)
    return world


def request_of(body: dict[str, object]) -> RequestRow:
    """Return the request row that a send becomes."""
    world = accepting()
    accepted = world.acceptance.accept(USER, body)
    return world.table.request(USER, accepted.response["request_id"])


def changed(one: RequestRow, other: RequestRow) -> set[str]:
    """Return the fields in which two requests differ."""
    return {
        field.name
        for field in fields(RequestRow)
        if getattr(one, field.name) != getattr(other, field.name)
    }


def reached(request: RequestRow) -> tuple[object, ...]:
    """Return the message row of a request after its delivery, and what the channels got."""
    world = accepting()
    for user in ("grace", USER):
        world.override("SMS", user, enabled=True)
    world.table.put(request)
    perform.admit(world.context, request)
    world.run()
    row = world.table.message(request.user_id, request.message_id)
    return row, [world.channels[name].messages for name in ("TEST", "SMS")]


def test_every_field_has_a_sample():
    """A new field fails here until this module says where it goes."""
    assert set(SAMPLES) == set(SendBody.model_fields)
    assert set(ADDRESSES) == set(RecipientBody.model_fields)
    assert set(OF_THE_ROW) | set(OF_THE_REQUEST_ALONE) == {
        field.name for field in fields(RequestRow)
    }


@pytest.mark.parametrize("name", SAMPLES)
def test_every_field_of_a_send_is_stored(name):
    """Another value leads to another request row, not only to another fingerprint."""
    value, expected = SAMPLES[name]

    differing = changed(request_of(BODY), request_of({**BODY, name: value}))

    assert differing - {"fingerprint"} == expected
    # The identity is not part of what it identifies.
    assert ("fingerprint" in differing) == (name != "request_id")


@pytest.mark.parametrize("name", ADDRESSES)
def test_every_address_of_a_send_is_stored(name):
    """The recipient of the request row holds it."""
    request = request_of({**BODY, "recipient": {name: ADDRESSES[name]}})

    assert request.recipient == Recipient(**{name: ADDRESSES[name]})


@pytest.mark.parametrize("name", OF_THE_ROW)
def test_every_field_of_a_request_reaches_the_message(name):
    """Another value changes the message row or the message that a channel gets."""
    request = request_of(BODY)

    assert reached(replace(request, **{name: OF_THE_ROW[name]})) != reached(request)


@pytest.mark.parametrize("name", OF_THE_REQUEST_ALONE)
def test_the_other_fields_of_a_request_change_no_message(name):
    """They have no place in a message, so each of them is named here."""
    request = request_of(BODY)

    assert reached(replace(request, **{name: OF_THE_REQUEST_ALONE[name]})) == reached(request)
