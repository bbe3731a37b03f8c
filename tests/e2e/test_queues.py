"""The queues: messages may be lost, doubled, or not ours."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.system import doorbell, until


def unstored(user):
    """Return a well-formed doorbell of a message that is not stored."""
    return doorbell(user, str(uuid.uuid4()), "r-0")


def test_poison_doorbells_harm_no_other_message(system, user):
    """Each unreadable queue message is parked with its reason; a doorbell among them rings once."""
    good = unstored(user)
    poison = {
        f"garbage {user}": "not JSON",
        json.dumps([user]): "not a JSON object",
        json.dumps({**good, "v": 1}): "unknown version",
        json.dumps({**good, "kind": "dance"}): "unknown kind",
        json.dumps({**good, "due_at": "soon"}): "wrong type",
        json.dumps({**good, "message_id": str(uuid.uuid4())[:-2] + "01"}): "message_id",
        json.dumps({**good, "padding": "x" * 5000}): "longer",
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
        assert poison[body] in reason
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


def test_a_doorbell_without_its_row(system, user):
    """A doorbell or a dead letter of a message that is not stored is dropped, not parked."""
    dead_letter = {
        "v": 2,
        "kind": "redrive",
        "user_id": user,
        "delivery_id": str(uuid.uuid4())[:-2] + "01",
        "round": 2,
    }

    for queue in ("Delivery", "Retry"):
        for body in (unstored(user), dead_letter):
            system.ring(queue, body)

    for queue in ("Delivery", "Retry"):
        until(lambda queue=queue: not system.waiting(queue, user))
    assert parked(system, user) == {}


def test_doubled_doorbells(system, user):
    """A message whose doorbell rings ten times is delivered once."""
    accepted = system.send(user)
    (delivery,) = accepted["deliveries"]

    for _ in range(9):
        system.ring("Delivery", doorbell(user, delivery["delivery_id"], accepted["request_id"]))

    ended = system.ended(user, delivery["delivery_id"])
    until(lambda: not system.waiting("Delivery", user))
    assert (ended["status"], ended["attempts"]) == ("success", 1)
    assert len(system.mailbox(user)) == 1


def test_queue_is_lost(system, user):
    """If a queue loses all its messages, every accepted message is delivered within two sweeps."""
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
    contents = sorted(one.content for one in system.mailbox(user))
    assert contents == ["Number 0", "Number 1", "Number 2"]


def test_both_queues_are_lost(system, receiver, user):
    """After the loss of both queues, one sweep rings for every delivery that failed once."""
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
    """Break a setting of the worker; the value is a function that repairs it."""
    before = system.variables("DeliverMessagesFunction")

    def configure(**wrong):
        system.set_variables("DeliverMessagesFunction", before | wrong)

    configure(INTEGRATION_DEFAULTS_SMS_ENABLED="perhaps")
    yield configure
    configure()


def test_worker_with_a_broken_setting(system, user, broken_worker):
    """A worker with a broken setting leaves messages in the queue and claims nothing."""
    delivery_id = system.sent(user)
    until(lambda: "INTEGRATION_DEFAULTS_SMS_ENABLED" in system.log("DeliverMessages"))
    untouched = system.stored(user, delivery_id)

    broken_worker()
    system.hasten(user, delivery_id)
    system.sweep()

    assert (untouched.status, untouched.tries) == ("pending", 0)
    ended = system.ended(user, delivery_id)
    assert (ended["status"], ended["attempts"]) == ("success", 1)


def test_the_sweeper_does_not_ring_early(system, user):
    """A delivery for next week is not rung for."""
    due = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    delivery_id = system.sent(user, deliver_at=due)

    system.sweep()

    assert system.message_row(user, delivery_id).rings == 0
    assert user not in str([system.messages("Delivery"), system.messages("Retry")])
