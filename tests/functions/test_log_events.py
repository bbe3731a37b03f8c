"""The writer of each log event: ``Service`` also checks all lines of the other tests."""

from __future__ import annotations

import time

import boto3

from dispatcher.events import EVENTS
from dispatcher.responses import rfc3339
from tests.functions.service import sample
from tests.log_events import writers

HOLDS = {"delivery.held", "hold.unchecked", "hours.never_open"}
"""The events of users with hours or a mute: ``test_holds.py``."""

PREFERENCES = {"preferences.changed", "change.unpublished", "category.changed", "replan.done"}
"""The events of preferences and categories: ``test_preferences.py``."""

PAUSES = {"integration.recovered"}
"""The event of pauses that functions share: ``test_pauses.py``."""

REPLANS = {
    ("doorbell.lost", one)
    for one in (
        *("update_preferences", "delete_preferences"),
        *("update_override", "delete_override", "reset_overrides"),
    )
}
"""The rings of a re-plan, which all its functions share: ``tests/unit/delivery/test_replan.py``."""

BEFORE_FEEDBACK = {event: {*writers(event)} - {"accept_feedback"} for event in EVENTS}
SHARED = {
    (event, function)
    for event, functions in BEFORE_FEEDBACK.items()
    if event not in {"request.handled", *HOLDS, *PREFERENCES, *PAUSES} and len(functions) > 1
    for function in functions
} - REPLANS
"""Event and function, for the events of several functions; every route writes the one left out.

``test_feedback.py`` has those of ``accept_feedback``.
"""


def send(service, body):
    """Send a message; return the IDs of its deliveries."""
    _, sent = service.ask("send_message", {"content": "x", **body})
    return [delivery["delivery_id"] for delivery in sent["deliveries"]]


def fail_and_redrive(service):
    """Let a delivery fail, and again in the round that its dead letter opens; return its ID."""
    failing = {"integration_type": "TEST", "retry_count": 0, "config": {"fail_attempts": 1}}
    service.ask("create_override", failing)
    [failed] = send(service, {})
    service.deliver()
    service.deliver(*service.messages("DeadLetterQueue"))
    service.deliver(*service.messages("RetryQueue"))
    service.ask("update_override", {"retry_count": 1}, integration_type="TEST")
    return failed


def test_an_event_is_written_by_each_of_the_functions_that_share_it(service, monkeypatch):
    """Each function of a shared event writes it, once its queues, bus or table are gone."""
    # The functions may use this bus, but it does not exist.
    monkeypatch.setenv("OUTCOME_BUS_NAME", "event-bus/OutcomeBusName")
    since = rfc3339(time.time() - 60)
    failed = fail_and_redrive(service)
    for retries in (0, 1):
        service.ask("update_override", {"retry_count": retries}, integration_type="TEST")
        send(service, {})
        service.deliver()
    service.ask("create_override", {"integration_type": "CLI", "enabled": True})
    first, _ = send(service, {"integration_types": ["TEST", "CLI"], "mode": "first_success"})
    # The first is to be retried, so the second becomes due when it is cancelled.
    service.deliver()
    send(service, {})
    doorbells = service.messages("DeliveryQueue")

    for queue in ("DeliveryQueue", "RetryQueue"):
        boto3.client("sqs").delete_queue(QueueUrl=queue_url(queue))
    service.ask("retry_delivery", delivery_id=failed)
    service.ask("recover_deliveries", {"since": since})
    service.ask("cancel_delivery", delivery_id=first)
    service.ask("test_integration")
    send(service, {})
    service.deliver(*doorbells)
    service.invoke("accept_events", sample("accept_events"))
    boto3.client("dynamodb").delete_table(TableName="DeliveriesTable")
    service.deliver(*doorbells)
    service.invoke("accept_events", sample("accept_events"))

    assert {pair for pair in service.written if pair in SHARED} == SHARED


def queue_url(queue):
    """Return the address of a queue."""
    return boto3.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
