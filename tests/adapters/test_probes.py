"""What /health looks at."""

from __future__ import annotations

import threading

import pytest

from dispatcher.adapters.probes import AwsProbes


@pytest.fixture
def queue(aws):
    """One queue's client and URL."""
    sqs = aws("sqs")
    return sqs, sqs.create_queue(QueueName="delivery")["QueueUrl"]


def test_each_dependency_is_told_by_name(dynamodb, queue):
    """What answers is up, what does not exist is down."""
    sqs, url = queue
    probes = AwsProbes(
        dynamodb,
        sqs,
        overrides="OverridesTable",
        deliveries="NoSuchTable",
        queues={"DeliveryQueue": url, "RetryQueue": f"{url}-missing"},
    )

    found = probes.all_within(30)

    assert found == {
        "OverridesTable": True,
        "DeliveriesTable": False,
        "DeliveryQueue": True,
        "RetryQueue": False,
    }


def test_what_does_not_answer_in_time_is_down(dynamodb, queue, monkeypatch):
    """A probe that hangs does not hold up the answer."""
    sqs, _ = queue
    release = threading.Event()
    monkeypatch.setattr(dynamodb, "get_item", lambda **_: release.wait(30))
    probes = AwsProbes(dynamodb, sqs, overrides="a", deliveries="b", queues={})

    found = probes.all_within(0.01)

    release.set()
    assert found == {"OverridesTable": False, "DeliveriesTable": False}
