"""Signals of the deployed service: metrics, correlated lines, alarms, outcome events."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests import emf
from tests.e2e.system import until
from tools.local_cloud import STACK


def about(system, function, delivery_id):
    """Return the lines of a function that name a delivery."""
    return [line for line in system.log_lines(function) if delivery_id in line]


def test_the_log_of_a_delivery_publishes_its_metrics(system, user):
    """As CloudWatch reads them: whole JSON objects, counted by stack and integration."""
    system.override(user, "TEST", retry_delay_seconds=1, config={"fail_attempts": 1})
    delivery_id = system.sent(user)
    system.ended(user, delivery_id)

    def look():
        accepted = about(system, "SendMessage", delivery_id)
        attempted = about(system, "DeliverMessages", delivery_id)
        told = [datum for line in [*accepted, *attempted] for datum in emf.metrics(line)]
        return told if accepted and '"success"' in "".join(attempted) else None

    published = until(look)

    assert {datum.dimensions["stack"] for datum in published} == {STACK}
    counted = [
        (datum.name, datum.dimensions.get("integration_type"), datum.value)
        for datum in published
        if datum.unit == "Count"
    ]
    assert counted == [
        ("accepted", None, 1),
        ("accepted_test", None, 1),
        ("retried", None, 1),
        ("delivered", None, 1),
        ("retried", "TEST", 1),
        ("delivered", "TEST", 1),
    ]
    names = {datum.name for datum in published}
    assert {"attempt_ms", "first_attempt_age_ms"} <= names


def test_a_sweep_publishes_how_late_the_latest_delivery_is(system):
    """The metrics of the alarms on late deliveries and on a silent sweeper."""
    system.sweep()

    published = until(
        lambda: [
            datum for line in system.log_lines("SweepDeliveries") for datum in emf.metrics(line)
        ]
    )

    assert {"oldest_due_seconds", "whole_sweeps"} <= {datum.name for datum in published}


def test_one_search_finds_the_way_of_a_message(system, user):
    """By the request's ID, and from the API's line by its function's."""
    request_id = f"r-{uuid.uuid4()}"
    delivery_id = system.sent(user, request_id=request_id)
    system.ended(user, delivery_id)

    def look():
        named = [
            json.loads(line)
            for function in ("SendMessage", "DeliverMessages")
            for line in system.log_lines(function)
            if json.loads(line).get("request_id") == request_id
        ]
        return named if "delivery.attempted" in {line["message"] for line in named} else None

    found = until(look)

    assert [line["message"] for line in found] == [
        "message.accepted",
        "request.handled",
        "delivery.attempted",
    ]
    accepted, answered, attempted = found
    assert accepted["function_request_id"] == answered["function_request_id"]
    assert accepted["api_request_id"] == answered["api_request_id"]
    assert (attempted["delivery_id"], attempted["status"]) == (delivery_id, "success")


def test_alarms_and_dashboard_are_there(system, aws):
    """Filled in by the deployment: real names of queues and functions, the runbook's address."""
    cloudwatch = aws.client("cloudwatch")

    alarms = {one["AlarmName"]: one for one in cloudwatch.describe_alarms()["MetricAlarms"]}
    (body,) = [
        cloudwatch.get_dashboard(DashboardName=one["DashboardName"])["DashboardBody"]
        for one in cloudwatch.list_dashboards()["DashboardEntries"]
    ]

    late = alarms[system.ids["OldestDueAlarm"]]
    assert late["AlarmDescription"].endswith(" https://example.com/operations#oldestduealarm")
    assert late["Dimensions"] == [{"Name": "stack", "Value": STACK}]
    assert late["AlarmActions"] == []
    drawn = json.dumps(json.loads(body)["widgets"])
    assert "${" not in drawn.replace("${PROP('Dim.integration_type')}", "")
    assert system.ids["DeliverMessagesFunction"] in drawn
    assert all(one["AlarmArn"] in drawn for one in alarms.values())


@pytest.fixture
def subscriber(system, aws):
    """A queue behind a rule for one user, and what it got."""
    events, name = aws.client("events"), f"outcomes-{uuid.uuid4().hex[:8]}"
    url = system.sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = system.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])

    def subscribe(user):
        pattern = {
            "source": ["integration-dispatcher"],
            "detail-type": ["delivery.finished"],
            "detail": {"user_id": [user]},
        }
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        target = {"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}
        events.put_targets(Rule=name, Targets=[target])

    def heard():
        got = system.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ())
        return [json.loads(message["Body"])["detail"] for message in got]

    yield subscribe, heard
    events.remove_targets(Rule=name, Ids=["queue"])
    events.delete_rule(Name=name)
    system.sqs.delete_queue(QueueUrl=url)


def test_an_agent_hears_how_a_delivery_ended(system, subscriber, user):
    """By a rule on the bus, without polling; the event equals the entry in the history."""
    subscribe, heard = subscriber
    subscribe(user)

    delivery_id = system.sent(user)

    (told,) = until(heard)
    shown = system.ended(user, delivery_id)
    shown.pop("attempt_log")
    assert told == shown


def test_an_agent_hears_of_a_cancelled_delivery(system, subscriber, user):
    """The function that cancels may write to the bus, too."""
    subscribe, heard = subscriber
    subscribe(user)
    delivery_id = system.sent(user, deliver_at=later())

    answer = system.api.delete(f"/api/v1/users/{user}/deliveries/{delivery_id}")

    (told,) = until(heard)
    assert (answer.status_code, told["status"], told["error_code"]) == (200, "skipped", "cancelled")


def later():
    """Return a time next week."""
    return (datetime.now(UTC) + timedelta(days=7)).isoformat(timespec="seconds")
