"""The other entrance: events on the bus, and messages in the intake queue."""

from __future__ import annotations

import json

import pytest

from tests.e2e.system import until


@pytest.fixture
def delivered(system, user):
    """Return a wait for the one delivery of the test's user."""

    def wait():
        found = until(lambda: system.history(user)["deliveries"])
        return [system.ended(user, one["delivery_id"]) for one in found]

    return wait


def test_event_on_the_bus(aws, system, user, delivered):
    """An event agent.response-ready becomes a message to its user, named by the event's ID."""
    detail = {"user_id": user, "content": "From $who", "template_variables": {"who": "the bus"}}

    answer = aws.client("events").put_events(
        Entries=[
            {
                "Source": "agents",
                "DetailType": "agent.response-ready",
                "Detail": json.dumps(detail),
            },
            {"Source": "agents", "DetailType": "agent.other", "Detail": json.dumps(detail)},
        ]
    )

    (delivery,) = delivered()
    assert delivery["status"] == "success"
    assert delivery["request_id"] == answer["Entries"][0]["EventId"]
    assert [one.content for one in system.mailbox(user)] == ["From the bus"]


def test_message_in_the_intake_queue(system, user, delivered):
    """A message put into the queue is a send body with its user, and sent twice it counts once."""
    message = {"user_id": user, "content": "Hello", "request_id": "r-1"}

    system.ring("Intake", message)
    system.ring("Intake", message)

    until(lambda: not system.waiting("Intake", user))
    (delivery,) = delivered()
    assert (delivery["status"], delivery["request_id"]) == ("success", "r-1")
    assert len(system.mailbox(user)) == 1


def test_cloud_event(system, user, delivered):
    """A structured CloudEvent carries the send body as data; source and ID are its identity."""
    event = {
        "specversion": "1.0",
        "type": "agent.response-ready",
        "source": "/agents/laptop",
        "id": "e-1",
        "data": {"user_id": user, "content": "Hello"},
    }

    system.ring("Intake", event)
    system.ring("Intake", event)

    until(lambda: not system.waiting("Intake", user))
    (delivery,) = delivered()
    assert delivery["status"] == "success"
    assert len(system.mailbox(user)) == 1


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("{} and more", "not valid JSON"),
        ({"content": "Hello"}, "/user_id"),
        ({"user_id": "*", "content": "Hello"}, "/user_id"),
        ({"content": "Hello", "priority": 1}, "/priority"),
        ({"content": ""}, "/content"),
    ],
    ids=["no JSON", "no user", "bad user", "unknown field", "no content"],
)
def test_malformed_event_is_parked(system, user, wrong, reason):
    """An unreadable event is parked with its reason, and never tried again."""
    body = wrong
    if isinstance(wrong, dict):
        # A session that marks this test's message, whatever is wrong with it.
        body = {"session_id": user, **wrong}
        if reason != "/user_id":
            body["user_id"] = user
    else:
        body = f"{wrong} {user}"

    system.ring("Intake", body)

    parked = until(lambda: [one for one in system.messages("Parked") if user in one["Body"]])
    (message,) = parked
    attributes = {name: one["StringValue"] for name, one in message["MessageAttributes"].items()}
    assert attributes["source"] == "IntakeQueue"
    assert reason in attributes["reason"]
    until(lambda: not system.waiting("Intake", user))
    assert system.history(user)["deliveries"] == []
