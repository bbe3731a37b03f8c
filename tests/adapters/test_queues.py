"""Doorbells, tickets and parked messages as they stand in the queues."""

from __future__ import annotations

import json

import pytest

from dispatcher.adapters.sqs import Queues, SqsDoorbells
from dispatcher.delivery.doorbells import DeliveryBell, RequestBell, Ticket
from dispatcher.errors import UnavailableError

DELIVERY = "01a3185c-5000-7002-9944-c9c3269e0d37"


@pytest.fixture
def sqs(aws):
    """An SQS client with four queues."""
    client = aws("sqs")
    for name in ("delivery", "retry", "dead_letter", "parked"):
        client.create_queue(QueueName=name)
    return client


@pytest.fixture
def doorbells(sqs):
    """The adapter over them."""
    urls = {
        name: sqs.get_queue_url(QueueName=name)["QueueUrl"]
        for name in ("delivery", "retry", "dead_letter", "parked")
    }
    return SqsDoorbells(sqs, Queues(**urls))


def messages(sqs, queue: str) -> list[dict]:
    """Receive what a queue shows now."""
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    return sqs.receive_message(
        QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["All"]
    ).get("Messages", [])


@pytest.mark.parametrize(
    ("ring", "queue", "body"),
    [
        (
            lambda bells: bells.ring(RequestBell("ada", "r-1")),
            "delivery",
            {"v": 1, "kind": "request", "user_id": "ada", "request_id": "r-1"},
        ),
        (
            lambda bells: bells.ring_retry(DeliveryBell("ada", DELIVERY, 12.5)),
            "retry",
            {"v": 1, "kind": "delivery", "user_id": "ada", "delivery_id": DELIVERY, "due_at": 12.5},
        ),
        (
            lambda bells: bells.leave_ticket(Ticket("ada", DELIVERY, 2)),
            "dead_letter",
            {"v": 1, "kind": "ticket", "user_id": "ada", "delivery_id": DELIVERY, "round": 2},
        ),
    ],
)
def test_each_ring_goes_to_its_own_queue(sqs, doorbells, ring, queue, body):
    """The message carries ids alone, grouped by a digest of the user."""
    ring(doorbells)

    (message,) = messages(sqs, queue)
    assert json.loads(message["Body"]) == body
    group = message["Attributes"]["MessageGroupId"]
    assert len(group) == 32
    assert "ada" not in group


def test_a_delayed_ring_is_not_seen_before_its_time(sqs, doorbells):
    """The delay is the message's own."""
    doorbells.ring(RequestBell("ada", "r-1"), delay=900)

    assert messages(sqs, "delivery") == []


def test_a_parked_message_is_kept_as_it_came(sqs, doorbells):
    """Body, reason (cut to a readable length) and source are there for a person."""
    doorbells.park("{what?", reason="x" * 600, source="IntakeQueue")

    (message,) = messages(sqs, "parked")
    attributes = {k: v["StringValue"] for k, v in message["MessageAttributes"].items()}
    assert message["Body"] == "{what?"
    assert attributes == {"reason": "x" * 500, "source": "IntakeQueue"}


def test_a_queue_out_of_reach_is_unavailability(sqs):
    """The caller decides what a lost ring means."""
    nowhere = "https://sqs.eu-central-1.amazonaws.com/123456789012/nowhere"
    doorbells = SqsDoorbells(
        sqs, Queues(delivery=nowhere, retry=nowhere, dead_letter=nowhere, parked=nowhere)
    )

    with pytest.raises(UnavailableError, match="SendMessage failed"):
        doorbells.ring(RequestBell("ada", "r-1"))
