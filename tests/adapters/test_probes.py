"""The probes of /health."""

from __future__ import annotations

import threading

import pytest

from dispatcher.adapters.probes import LiveProbes
from dispatcher.errors import UnavailableError


@pytest.fixture
def queue(aws):
    """One queue's client and URL."""
    sqs = aws("sqs")
    return sqs, sqs.create_queue(QueueName="delivery")["QueueUrl"]


def nobody(_integration_type):
    """Know no receiver of any integration."""


def fail(error):
    """Raise what a probe found."""
    raise error


def test_each_dependency_is_told_by_name(dynamodb, queue):
    """A dependency that responds is healthy, one that does not exist is not."""
    sqs, url = queue
    probes = LiveProbes(
        dynamodb,
        sqs,
        overrides="OverridesTable",
        deliveries="NoSuchTable",
        queues={"DeliveryQueue": url, "RetryQueue": f"{url}-missing"},
        peer=nobody,
    )

    found = probes.all_within(30, ["CLI"])

    assert found == {
        "OverridesTable": None,
        "DeliveriesTable": "AWS did not respond, or refused",
        "DeliveryQueue": None,
        "RetryQueue": "AWS did not respond, or refused",
    }


def test_an_integrations_own_probe_says_what_is_wrong(dynamodb, queue):
    """Its text is public; of an unexpected error it has only the class."""
    peers = {
        "SLACK": lambda: None,
        "EMAIL": lambda: fail(UnavailableError("no connection to the mail server")),
        "TOOL": lambda: fail(KeyError("xoxb-secret")),
    }
    probes = LiveProbes(
        dynamodb,
        queue[0],
        overrides="OverridesTable",
        deliveries="DeliveriesTable",
        queues={},
        peer=peers.get,
    )

    found = probes.all_within(30, ["SLACK", "EMAIL", "TOOL", "CLI"])

    assert found == {
        "OverridesTable": None,
        "DeliveriesTable": None,
        "SLACK": None,
        "EMAIL": "no connection to the mail server",
        "TOOL": "the probe failed: KeyError",
    }


def test_what_does_not_answer_in_time_is_down(dynamodb, queue, monkeypatch):
    """A probe that hangs does not delay the response."""
    sqs, _ = queue
    release = threading.Event()
    monkeypatch.setattr(dynamodb, "get_item", lambda **_: release.wait(30))
    probes = LiveProbes(
        dynamodb,
        sqs,
        overrides="a",
        deliveries="b",
        queues={},
        peer=lambda _: lambda: release.wait(30),
    )

    found = probes.all_within(0.01, ["SLACK"])

    release.set()
    late = "no response within 0.01 s"
    assert found == {"OverridesTable": late, "DeliveriesTable": late, "SLACK": late}
