"""What runs without a caller: the worker, the sweeper and the intake."""

from __future__ import annotations

import json
import time

import boto3
import pytest

from dispatcher.delivery.doorbells import DeliveryBell, RequestBell, encode
from tests.functions.service import Like, batch, sample

REQUEST = RequestBell("john.doe", "ticket-4711-answer")


def history(service, user_id="john.doe"):
    """Return type, status and attempts of a user's deliveries."""
    _, body = service.ask("list_deliveries", user_id=user_id)
    shown = ("integration_type", "status", "attempts")
    return [tuple(one[name] for name in shown) for one in body["deliveries"]]


def test_the_worker_delivers_what_is_rung_for(service):
    """A request's doorbell brings its first tries about."""
    service.ask("send_message")

    answer = service.deliver()

    assert answer == {"batchItemFailures": []}
    assert history(service) == [("TEST", "success", 1)]


def test_a_doorbell_that_comes_twice_sends_once(service):
    """Queues repeat themselves; side by side in one batch too."""
    service.ask("send_message")

    answer = service.deliver(*[encode(REQUEST)] * 5)

    assert answer == {"batchItemFailures": []}
    assert history(service) == [("TEST", "success", 1)]


def test_what_fails_is_rung_for_again_after_its_delay(service):
    """On the queue of retries, and not before the delay is over."""
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


def test_what_nobody_can_read_is_parked_and_the_rest_delivered(service):
    """It says why and from where it came; it does not come back for ever."""
    service.ask("send_message")
    sqs = boto3.client("sqs")
    parked = sqs.get_queue_url(QueueName="ParkedQueue")["QueueUrl"]

    answer = service.deliver("not json", encode(REQUEST), '{"v":9,"kind":"request"}')

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
        '{"v":9,"kind":"request"}': {"reason": "unknown version", "source": "DeliveryQueue"},
    }


def test_a_fault_of_ours_brings_its_record_back(service, monkeypatch):
    """Here the table cannot be read: the doorbell stays in its queue, nothing is sent."""
    service.ask("send_message")
    boto3.client("dynamodb").delete_table(TableName="DeliveriesTable")

    answer = service.deliver(encode(REQUEST))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-0"}]}


def test_a_broken_setting_leaves_messages_where_they_are(service, monkeypatch):
    """Until an operator has corrected it."""
    monkeypatch.setenv("RETENTION_DAYS", "soon")

    answer = service.deliver(encode(REQUEST))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-0"}]}


def test_a_sweep_of_nothing_does_nothing(service):
    """Eight shards are asked, and that is all."""
    counts = service.invoke("sweep_deliveries", sample("sweep_deliveries"))

    assert counts == {"rung": 0, "tickets": 0, "passed": 0, "faults": 0, "oldest_due_seconds": 0}
    assert service.called == [("dynamodb:Query", "DeliveriesTable/index/sweep")] * 8


def test_a_sweep_rings_for_what_was_never_rung_for(service, time_machine):
    """The doorbell of a request was lost: a minute later it rings again."""
    service.ask("send_message")
    service.messages("DeliveryQueue")
    time_machine.move_to(time.time() + 90)

    counts = service.invoke("sweep_deliveries", sample("sweep_deliveries"))

    assert counts == {"rung": 1, "tickets": 0, "passed": 0, "faults": 0, "oldest_due_seconds": 90}
    assert service.doorbells("DeliveryQueue") == [REQUEST]


def test_a_sweep_rings_for_a_retry_whose_doorbell_was_lost(service, time_machine):
    """On the queue of retries, for this delivery alone."""
    service.ask("create_override", {"integration_type": "TEST", "config": {"fail_attempts": 1}})
    _, body = service.ask("send_message")
    service.deliver()
    time_machine.move_to(time.time() + 300)
    service.messages("RetryQueue")

    counts = service.invoke("sweep_deliveries", sample("sweep_deliveries"))

    [bell] = service.doorbells("RetryQueue")
    assert counts["rung"] == 1
    assert isinstance(bell, DeliveryBell)
    assert bell.delivery_id == body["deliveries"][0]["delivery_id"]


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
    """Neither dropped nor repeated for ever."""
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
    assert set(body["integrations"]) == {"SLACK", "EMAIL", "WEBHOOK", "SMS", "TEST", "CLI", "TOOL"}
    assert body["integrations"]["TEST"] == {
        "configured": True,
        "enabled_by_default": True,
        "healthy": None,
        "detail": Like(".+"),
    }


def test_health_is_a_503_when_a_queue_is_gone(service):
    """Whoever balances load reads the status alone."""
    sqs = boto3.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="RetryQueue")["QueueUrl"])

    response = service.response("get_health")

    body = json.loads(response["body"])
    assert response["statusCode"] == 503
    assert response["headers"]["Retry-After"] == "5"
    assert (body["status"], body["detail"]) == ("unhealthy", "cannot reach RetryQueue")
