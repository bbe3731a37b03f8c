"""What the queues may do to us: lose everything, or bring nonsense."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

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
    due = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    ids = [system.sent(user, content=f"Number {number}", deliver_at=due) for number in range(3)]

    system.sqs.purge_queue(QueueUrl=system.stack["DeliveryQueueUrl"])
    assert system.messages("Delivery") == []
    for one in ids:
        overdue(system, user, one)
    system.sweep()
    system.sweep()

    ended = [system.ended(user, one) for one in ids]
    assert [(one["status"], one["attempts"]) for one in ended] == [("success", 1)] * 3
    contents = sorted(one["content"] for one in system.mailbox(user))
    assert contents == ["Number 0", "Number 1", "Number 2"]


def test_sweeper_leaves_alone_what_is_not_due(system, user):
    """A delivery for next week is not rung for, however often the sweeper passes."""
    due = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    delivery_id = system.sent(user, deliver_at=due)

    system.sweep()

    assert system.row(user, delivery_id)["rings"] == 0
    assert user not in str([system.messages("Delivery"), system.messages("Retry")])


def overdue(system, user, delivery_id):
    """Let the sweeper look after a delivery now: the minute that a test does not wait."""
    system.deliveries.update_item(
        Key={"user_id": user, "sk": f"DELIVERY#{delivery_id}"},
        UpdateExpression="SET sweep_at = :past",
        ConditionExpression="attribute_exists(sweep_at)",
        ExpressionAttributeValues={":past": 1},
    )
