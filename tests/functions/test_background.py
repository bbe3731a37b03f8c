"""The functions without a caller: the worker, the sweeper and the intake."""

from __future__ import annotations

import json
import time

import boto3
import pytest

from dispatcher.delivery.doorbells import DeadLetter, Doorbell, encode
from dispatcher.delivery.rows import SHARDS, message_id_of
from dispatcher.integrations import catalogue
from dispatcher.responses import rfc3339
from tests.functions.service import Like, batch, sample

DOORBELL = encode(
    Doorbell("john.doe", "019aae2c-8f00-7000-8a5b-3c1d2e4f5a00", "ticket-4711-answer", 1.0)
)
"""Of a message that is not stored."""


def history(service, user_id="john.doe"):
    """Return type, status and attempts of a user's deliveries."""
    _, body = service.ask("list_deliveries", user_id=user_id)
    shown = ("integration_type", "status", "attempts")
    return [tuple(one[name] for name in shown) for one in body["deliveries"]]


def test_the_worker_delivers_what_is_rung_for(service):
    """One doorbell leads to the first attempts of all deliveries of a message."""
    service.ask("send_message")

    answer = service.deliver()

    assert answer == {"batchItemFailures": []}
    assert history(service) == [("TEST", "success", 1)]


def test_a_doorbell_that_comes_twice_sends_once(service):
    """SQS delivers at least once; the copies may even be in one batch."""
    service.ask("send_message")
    [doorbell] = service.messages("DeliveryQueue")

    answer = service.deliver(*[doorbell] * 5)

    assert answer == {"batchItemFailures": []}
    assert history(service) == [("TEST", "success", 1)]


def test_a_retry_is_rung_for_after_its_delay(service):
    """The ring goes to the queue of retries, which shows it when the delay is over."""
    body = {
        "integration_type": "TEST",
        "retry_delay_seconds": 60,
        "config": {"fail_attempts": 1},
    }
    service.ask("create_override", body)
    service.ask("send_message")

    service.deliver()

    assert ("sqs:SendMessage", "RetryQueue") in service.called
    assert history(service) == [("TEST", "pending", 1)]
    assert service.messages("RetryQueue") == []


def test_an_unreadable_message_is_parked_and_the_others_are_delivered(service):
    """A parked message has its reason and its source, and does not come back."""
    service.ask("send_message")
    [doorbell] = service.messages("DeliveryQueue")
    unknown = '{"v":1,"kind":"request","user_id":"john.doe","request_id":"r-1"}'
    sqs = boto3.client("sqs")
    parked = sqs.get_queue_url(QueueName="ParkedQueue")["QueueUrl"]

    answer = service.deliver("not json", doorbell, unknown)

    messages = sqs.receive_message(
        QueueUrl=parked, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )["Messages"]
    told = {
        one["Body"]: {
            name: value["StringValue"] for name, value in one["MessageAttributes"].items()
        }
        for one in messages
    }
    assert answer == {"batchItemFailures": []}
    assert history(service) == [("TEST", "success", 1)]
    assert told == {
        "not json": {"reason": "not JSON", "source": "DeliveryQueue"},
        unknown: {"reason": "unknown version", "source": "DeliveryQueue"},
    }


def test_a_fault_of_ours_brings_its_record_back(service, monkeypatch):
    """If the table cannot be read, the doorbell stays in its queue and nothing is sent."""
    service.ask("send_message")
    [doorbell] = service.messages("DeliveryQueue")
    boto3.client("dynamodb").delete_table(TableName="DeliveriesTable")

    answer = service.deliver(doorbell)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-0"}]}


def test_a_doorbell_of_an_expired_message_is_acknowledged(service):
    """The row is gone, so nothing is left to deliver."""
    assert service.deliver(DOORBELL) == {"batchItemFailures": []}
    assert service.called == [
        ("dynamodb:BatchGetItem", "DeliveriesTable"),
        ("dynamodb:BatchGetItem", "OverridesTable"),
    ]


def test_a_broken_setting_leaves_messages_where_they_are(service, monkeypatch):
    """They come back until an operator has corrected the setting."""
    monkeypatch.setenv("RETENTION_DAYS", "soon")

    answer = service.deliver(DOORBELL)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-0"}]}


def test_a_sweep_of_nothing_does_nothing(service):
    """Each shard is queried once."""
    counts = service.invoke("sweep_deliveries", sample("sweep_deliveries"))

    assert counts == {
        "rung": 0,
        "dead_letters": 0,
        "passed": 0,
        "faults": 0,
        "oldest_due_seconds": 0,
    }
    assert service.called == [("dynamodb:Query", "DeliveriesTable/index/sweep")] * SHARDS


def test_a_sweep_rings_for_what_was_never_rung_for(service, time_machine):
    """The doorbell of a message was lost: a minute later the sweeper rings again."""
    time_machine.move_to(time.time(), tick=False)
    service.ask("send_message")
    [lost] = service.doorbells("DeliveryQueue")
    time_machine.shift(90)

    counts = service.invoke("sweep_deliveries", sample("sweep_deliveries"))

    assert counts == {
        "rung": 1,
        "dead_letters": 0,
        "passed": 0,
        "faults": 0,
        "oldest_due_seconds": 90,
    }
    assert service.doorbells("RetryQueue") == [lost]


def test_a_sweep_rings_for_a_retry_whose_doorbell_was_lost(service, time_machine):
    """The ring carries the due time of the retry."""
    service.ask("create_override", {"integration_type": "TEST", "config": {"fail_attempts": 1}})
    _, body = service.ask("send_message")
    service.deliver()
    time_machine.move_to(time.time() + 300)
    service.messages("RetryQueue")

    counts = service.invoke("sweep_deliveries", sample("sweep_deliveries"))

    [bell] = service.doorbells("RetryQueue")
    message_id = message_id_of(body["deliveries"][0]["delivery_id"])
    assert counts["rung"] == 1
    assert bell == Doorbell("john.doe", message_id, "ticket-4711-answer", bell.due_at)
    _, delivery = service.ask("get_delivery", delivery_id=body["deliveries"][0]["delivery_id"])
    assert delivery["next_attempt_at"] == rfc3339(bell.due_at)


def test_a_sweep_sends_a_dead_letter_that_is_owed(service, time_machine):
    """The dead-letter queue could not be reached when the delivery failed."""
    failing = {"integration_type": "TEST", "retry_count": 0, "config": {"failure": "permanent"}}
    service.ask("create_override", failing)
    _, sent = service.ask("send_message")
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="DeadLetterQueue")["QueueUrl"]
    sqs.delete_queue(QueueUrl=url)
    assert service.deliver() == {"batchItemFailures": [{"itemIdentifier": "m-0"}]}
    sqs.create_queue(QueueName="DeadLetterQueue")
    time_machine.move_to(time.time() + 90)

    counts = service.invoke("sweep_deliveries", sample("sweep_deliveries"))

    delivery_id = sent["deliveries"][0]["delivery_id"]
    assert (counts["rung"], counts["dead_letters"]) == (0, 1)
    assert service.doorbells("DeadLetterQueue") == [DeadLetter("john.doe", delivery_id, 2)]
    assert service.invoke("sweep_deliveries", sample("sweep_deliveries"))["passed"] == 0


def test_events_are_accepted_like_requests(service):
    """An EventBridge event and a CloudEvents envelope, each under its own identity."""
    answer = service.invoke("accept_events", sample("accept_events"))

    first, second = sorted(service.doorbells("DeliveryQueue"), key=lambda bell: bell.user_id)
    assert answer == {"batchItemFailures": []}
    assert (first.user_id, first.request_id) == ("jane@example.com", Like("ce-[0-9a-f]{64}"))
    assert (second.user_id, second.request_id) == ("john.doe", "ticket-4712-answer")
    assert history(service, "jane@example.com") == [("TEST", "pending", 0)]


def test_an_event_that_comes_twice_is_accepted_once(service):
    """Its identity makes it one."""
    service.invoke("accept_events", sample("accept_events"))
    service.invoke("accept_events", sample("accept_events"))

    assert history(service) == [("TEST", "pending", 0)]


@pytest.mark.parametrize(
    "body",
    ["", "not json", "[]", '{"content":"hello"}', '{"user_id":"john.doe"}', '{"user_id":"*"}'],
)
def test_a_malformed_event_is_parked(service, body):
    """A malformed event is parked: it is neither dropped nor retried without end."""
    answer = service.invoke("accept_events", batch("IntakeQueue", body or " "))

    assert answer == {"batchItemFailures": []}
    assert service.messages("ParkedQueue") == [body or " "]


def test_an_event_that_cannot_be_accepted_now_comes_back(service):
    """The table is gone: that is no fault of the event's."""
    boto3.client("dynamodb").delete_table(TableName="DeliveriesTable")
    body = json.dumps({"user_id": "john.doe", "content": "hello"})

    answer = service.invoke("accept_events", batch("IntakeQueue", body))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-0"}]}
    assert service.messages("ParkedQueue") == []


def test_health_is_reported_when_all_can_be_reached(service):
    """Tables and queues; no secret, and no right but to look."""
    status, body = service.ask("get_health")

    assert (status, body["status"]) == (200, "healthy")
    assert set(body["integrations"]) == set(catalogue())
    assert body["integrations"]["TEST"] == {
        "configured": True,
        "enabled_by_default": True,
        "healthy": None,
        "detail": Like(".+"),
    }


def test_health_is_a_503_when_a_queue_is_gone(service):
    """If a queue is missing, /health returns 503, because load balancers read only the status."""
    sqs = boto3.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="RetryQueue")["QueueUrl"])

    response = service.response("get_health")

    body = json.loads(response["body"])
    assert response["statusCode"] == 503
    assert response["headers"]["Retry-After"] == "5"
    assert (body["status"], body["detail"]) == ("unhealthy", "cannot reach RetryQueue")
