"""The overview for operators: queues, metrics, and what is missing of them."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import boto3
import pytest

from dispatcher import VERSION, wiring
from dispatcher.access.policy import EVERY_USER, READ, SEND, WRITE, Caller
from dispatcher.adapters import numbers
from dispatcher.adapters.system import SystemClock
from dispatcher.integrations import catalogue
from tests.functions.service import QUEUES, TIME

NOTHING = dict.fromkeys(("delivered", "failed", "skipped", "held"))
EMPTY = {"visible": 0, "delayed": 0, "in_flight": 0}


@pytest.fixture
def on_aws(service, monkeypatch):
    """The service in a stage whose cloud computes metrics."""
    monkeypatch.setenv("STAGE", "dev")
    wiring.reset()
    return service


def put(metric, value, *, seconds_ago=120.0, **dimensions):
    """Put a metric's value, as CloudWatch would read it from a log line."""
    named = {"stack": "stack", **dimensions}
    boto3.client("cloudwatch").put_metric_data(
        Namespace="IntegrationDispatcher",
        MetricData=[
            {
                "MetricName": metric,
                "Value": value,
                "Timestamp": datetime.fromtimestamp(time.time() - seconds_ago, UTC),
                "Dimensions": [{"Name": name, "Value": one} for name, one in named.items()],
            }
        ],
    )


def queue_url(name):
    """Return a queue's URL."""
    return boto3.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]


def test_the_local_cloud_has_queues_and_no_metrics(service):
    """Every number of the last hour is null, and CloudWatch is not called."""
    boto3.client("sqs").send_message(QueueUrl=queue_url("ParkedQueue"), MessageBody="x")
    boto3.client("sqs").send_message(
        QueueUrl=queue_url("RetryQueue"), MessageBody="x", DelaySeconds=60
    )

    status, body = service.ask("get_overview")

    assert (status, body) == (
        200,
        {
            "generated_at": TIME,
            "stage": "local",
            "version": VERSION,
            "queues": {
                "delivery": EMPTY,
                "retry": {**EMPTY, "delayed": 1},
                "dead_letter": EMPTY,
                "intake": EMPTY,
                "parked": {**EMPTY, "visible": 1},
                "feedback": EMPTY,
            },
            "last_hour": {
                "available": False,
                "accepted": None,
                "oldest_due_seconds": None,
                "by_integration": dict.fromkeys(catalogue(), NOTHING),
            },
        },
    )
    assert sorted(service.called) == sorted(("sqs:GetQueueAttributes", one) for one in QUEUES)


def test_the_metrics_are_those_of_the_last_hour_and_of_this_stack(on_aws):
    """Sums by integration; older values and other stacks do not count."""
    put("accepted", 7)
    put("accepted", 5, seconds_ago=3000)
    put("accepted", 100, seconds_ago=4000)
    put("accepted", 1000, stack="another")
    put("oldest_due_seconds", 2.5)
    put("oldest_due_seconds", 40, seconds_ago=1800)
    put("delivered", 3, integration_type="SLACK")
    put("failed", 1, integration_type="EMAIL")
    put("held", 2, integration_type="EMAIL")
    put("delivered", 900)

    _, body = on_aws.ask("get_overview")

    hour = body["last_hour"]
    none = dict.fromkeys(NOTHING, 0)
    assert (hour["available"], hour["accepted"], hour["oldest_due_seconds"]) == (True, 12, 40)
    assert hour["by_integration"] == {
        **dict.fromkeys(catalogue(), none),
        "SLACK": {**none, "delivered": 3},
        "EMAIL": {**none, "failed": 1, "held": 2},
    }


def test_it_takes_seven_calls_and_none_within_fifteen_seconds(on_aws, monkeypatch):
    """Each container reads at most every 15 s."""
    counts, now = [], [1000.0]
    monkeypatch.setattr(SystemClock, "monotonic", lambda _self: now[0])
    for second in (0, 1, 14, 16):
        now[0] = 1000.0 + second
        on_aws.ask("get_overview")
        counts.append(len(on_aws.called))

    assert counts == [7, 0, 0, 7]


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_that_cannot_be_read_is_null(on_aws, name):
    """The other numbers are there."""
    boto3.client("sqs").delete_queue(QueueUrl=queue_url(name))

    status, body = on_aws.ask("get_overview")

    missing = [one for one, depth in body["queues"].items() if depth is None]
    short = {"DeadLetterQueue": "dead_letter"}
    assert (status, missing) == (200, [short.get(name, name.removesuffix("Queue").lower())])


def test_without_a_queue_for_reports_it_is_null(on_aws, monkeypatch):
    """And no call is made for it."""
    monkeypatch.setenv("FEEDBACK_QUEUE_URL", "")
    wiring.reset()

    _, body = on_aws.ask("get_overview")

    assert body["queues"]["feedback"] is None
    assert len(on_aws.called) == 6


def test_metrics_that_cannot_be_read_are_null(on_aws, monkeypatch):
    """The queues are shown."""
    # A time that ends before it begins, which CloudWatch refuses.
    monkeypatch.setattr(numbers, "HOUR", -3600)

    status, body = on_aws.ask("get_overview")

    assert (status, body["last_hour"]["available"]) == (200, False)
    assert body["queues"]["delivery"] == EMPTY


@pytest.mark.parametrize("user", ["john.doe", EVERY_USER])
def test_only_administrators_may_see_it(service, user):
    """403 before any read."""
    caller = Caller("key:x", user, frozenset({READ, WRITE, SEND}))

    status, _ = service.ask("get_overview", caller=caller)

    assert (status, service.called) == (403, [])
