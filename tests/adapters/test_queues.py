"""Doorbells, dead letters and parked messages as they are in the queues."""

from __future__ import annotations

import json

import pytest

from dispatcher.adapters.sqs import Queues, SqsDoorbells
from dispatcher.delivery.doorbells import DeadLetter, Doorbell
from dispatcher.errors import UnavailableError

MESSAGE = "01a3185c-5000-7002-9944-c9c3269e0d00"
DELIVERY = "01a3185c-5000-7002-9944-c9c3269e0d01"
DOORBELL = Doorbell("ada", MESSAGE, "r-1", 1_800_000_000.125)


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


OF_THE_DOORBELL = {
    "v": 2,
    "kind": "message",
    "user_id": "ada",
    "message_id": MESSAGE,
    "request_id": "r-1",
    "due_at": 1_800_000_000.125,
}


@pytest.mark.parametrize(
    ("send", "queue", "body"),
    [
        (lambda bells: bells.ring_first(DOORBELL), "delivery", OF_THE_DOORBELL),
        (lambda bells: bells.ring(DOORBELL), "retry", OF_THE_DOORBELL),
        (
            lambda bells: bells.send_dead_letter(DeadLetter("ada", DELIVERY, 2)),
            "dead_letter",
            {"v": 2, "kind": "redrive", "user_id": "ada", "delivery_id": DELIVERY, "round": 2},
        ),
    ],
)
def test_each_kind_of_message_goes_to_its_queue(sqs, doorbells, send, queue, body):
    """A message carries IDs alone, and is grouped by a hash of the user."""
    send(doorbells)

    (message,) = messages(sqs, queue)
    assert json.loads(message["Body"]) == body
    group = message["Attributes"]["MessageGroupId"]
    assert len(group) == 32
    assert "ada" not in group
    others = {"delivery", "retry", "dead_letter", "parked"} - {queue}
    assert [messages(sqs, other) for other in others] == [[], [], []]


@pytest.mark.parametrize(("ring", "queue"), [("ring_first", "delivery"), ("ring", "retry")])
def test_a_delayed_ring_is_invisible_until_its_time(sqs, doorbells, ring, queue):
    """SQS delays the message itself, by 900 s at most."""
    getattr(doorbells, ring)(DOORBELL, delay=900)

    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    waiting = sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesDelayed"]
    )
    assert messages(sqs, queue) == []
    assert waiting["Attributes"] == {"ApproximateNumberOfMessagesDelayed": "1"}


def test_a_parked_message_is_kept_as_it_came(sqs, doorbells):
    """Body, reason (500 characters at most) and source are stored for the operator."""
    doorbells.park("{what?", reason="x" * 600, source="IntakeQueue")

    (message,) = messages(sqs, "parked")
    attributes = {k: v["StringValue"] for k, v in message["MessageAttributes"].items()}
    assert message["Body"] == "{what?"
    assert attributes == {"reason": "x" * 500, "source": "IntakeQueue"}


def test_a_queue_out_of_reach_is_unavailability(sqs):
    """Every method raises; the caller decides what a lost message means."""
    nowhere = "https://sqs.eu-central-1.amazonaws.com/123456789012/nowhere"
    doorbells = SqsDoorbells(
        sqs, Queues(delivery=nowhere, retry=nowhere, dead_letter=nowhere, parked=nowhere)
    )

    for send in (
        lambda: doorbells.ring_first(DOORBELL),
        lambda: doorbells.ring(DOORBELL),
        lambda: doorbells.send_dead_letter(DeadLetter("ada", DELIVERY, 2)),
        lambda: doorbells.park("{", reason="not JSON", source="DeliveryQueue"),
    ):
        with pytest.raises(UnavailableError, match="SendMessage failed"):
            send()
