"""What the queues may do to us: lose everything, or bring nonsense."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.system import until


def test_poison_doorbells_hurt_nobody(system, user):
    """What is no doorbell is parked with its reason; the good ones around it ring once."""
    nowhere = {"user_id": user, "delivery_id": str(uuid.uuid4()), "due_at": 1}
    poison = {
        f"garbage {user}": "not JSON",
        json.dumps([user]): "not a JSON object",
        json.dumps({"v": 2, "kind": "delivery", **nowhere}): "unknown version",
        json.dumps({"v": 1, "kind": "dance", **nowhere}): "unknown kind",
        json.dumps({"v": 1, "kind": "delivery", **nowhere, "due_at": "soon"}): "due_at",
        json.dumps({"v": 1, "kind": "request", "user_id": user, "padding": "x" * 5000}): "longer",
    }
    url = system.stack["DeliveryQueueUrl"]
    bodies = list(poison)

    # In one call, so that they come in one batch with the doorbell of the send.
    system.sqs.send_message_batch(
        QueueUrl=url,
        Entries=[{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)],
    )
    delivery_id = system.sent(user)

    ended = system.ended(user, delivery_id)
    assert (ended["status"], ended["attempts"]) == ("success", 1)
    until(lambda: parked(system, user).keys() == poison.keys())
    for body, (source, reason) in parked(system, user).items():
        assert source.startswith("integration-dispatcher-local-DeliveryQueue")
        assert poison[body] in reason or "wrong type" in reason
    until(lambda: not system.waiting("Delivery", user))
    assert len(system.mailbox(user)) == 1


def parked(system, user):
    """Return source and reason of the parked messages that hold the user, by their bodies."""
    return {
        one["Body"]: tuple(
            one["MessageAttributes"][name]["StringValue"] for name in ("source", "reason")
        )
        for one in system.messages("Parked")
        if user in one["Body"]
    }


def test_doorbell_for_nothing(system, user):
    """A doorbell for a request or delivery that does not exist is forgotten, not parked."""
    request = {"v": 1, "kind": "request", "user_id": user, "request_id": "r-0"}
    delivery = {
        "v": 1,
        "kind": "delivery",
        "user_id": user,
        "delivery_id": str(uuid.uuid4()),
        "due_at": 1,
    }

    for queue in ("Delivery", "Retry"):
        for doorbell in (request, delivery):
            system.ring(queue, doorbell)

    for queue in ("Delivery", "Retry"):
        until(lambda queue=queue: not system.waiting(queue, user))
    assert parked(system, user) == {}


def test_doubled_doorbells(system, user):
    """A doorbell that rings ten times delivers once."""
    accepted = system.send(user)
    doorbell = {
        "v": 1,
        "kind": "request",
        "user_id": user,
        "request_id": accepted["request_id"],
    }

    for _ in range(9):
        system.ring("Delivery", doorbell)

    (delivery,) = accepted["deliveries"]
    ended = system.ended(user, delivery["delivery_id"])
    until(lambda: not system.waiting("Delivery", user))
    assert (ended["status"], ended["attempts"]) == ("success", 1)
    assert len(system.mailbox(user)) == 1


def test_queue_is_lost(system, user):
    """A queue that loses all its messages delays what was accepted, and loses none of it."""
    later = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    ids = [system.sent(user, content=f"Number {number}", deliver_at=later) for number in range(3)]

    system.sqs.purge_queue(QueueUrl=system.stack["DeliveryQueueUrl"])
    assert user not in str(system.messages("Delivery"))
    for one in ids:
        system.hasten(user, one)
    system.sweep()
    system.sweep()

    ended = [system.ended(user, one) for one in ids]
    assert [(one["status"], one["attempts"]) for one in ended] == [("success", 1)] * 3
    contents = sorted(one["content"] for one in system.mailbox(user))
    assert contents == ["Number 0", "Number 1", "Number 2"]


def test_both_queues_are_lost(system, receiver, user):
    """With the retries of what had failed once: one sweep rings for each of them."""
    receiver.script = [(503, {})] * 3
    system.override(user, "WEBHOOK", retry_delay_seconds=600, config={"url": receiver.url})
    ids = [system.sent(user, integration_types=["WEBHOOK"]) for _ in range(3)]
    for one in ids:
        until(lambda one=one: system.delivery(user, one)["attempts"] == 1)
    until(lambda: str(system.messages("Retry")).count(user) == 3)

    for queue in ("Delivery", "Retry"):
        system.sqs.purge_queue(QueueUrl=system.stack[f"{queue}QueueUrl"])
    assert user not in str(system.messages("Retry"))
    for one in ids:
        system.hasten(user, one)
    system.sweep()

    ended = [system.ended(user, one) for one in ids]
    assert [(one["status"], one["attempts"]) for one in ended] == [("success", 2)] * 3
    assert len(receiver.arrivals) == 6


@pytest.fixture
def broken_worker(system):
    """Break a setting of the worker; the value is a function that mends it."""
    before = system.variables("DeliverMessagesFunction")

    def configure(**wrong):
        system.set_variables("DeliverMessagesFunction", before | wrong)

    configure(INTEGRATION_DEFAULTS_SMS_ENABLED="perhaps")
    yield configure
    configure()


def test_worker_with_a_broken_setting(system, user, broken_worker):
    """A worker that cannot know its settings leaves messages in the queue, and costs no try."""
    delivery_id = system.sent(user)
    until(lambda: "INTEGRATION_DEFAULTS_SMS_ENABLED" in system.log("DeliverMessages"))
    untouched = system.row(user, delivery_id)

    broken_worker()
    system.hasten(user, delivery_id)
    system.sweep()

    assert (untouched["status"], untouched["tries"]) == ("pending", 0)
    ended = system.ended(user, delivery_id)
    assert (ended["status"], ended["attempts"]) == ("success", 1)


def test_sweeper_leaves_alone_what_is_not_due(system, user):
    """A delivery for next week is not rung for, however often the sweeper passes."""
    due = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    delivery_id = system.sent(user, deliver_at=due)

    system.sweep()

    assert system.row(user, delivery_id)["rings"] == 0
    assert user not in str([system.messages("Delivery"), system.messages("Retry")])
