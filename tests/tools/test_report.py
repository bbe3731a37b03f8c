"""The tool that puts recorded reports into FeedbackQueue."""

from __future__ import annotations

import json
import sys

import boto3
import pytest
from moto import mock_aws

from dispatcher.delivery import provider_events
from tests.feedback import EVENTS
from tools import report
from tools.failure import ToolFailure

DELIVERY = "019ab2c4-7d10-7c3e-9b1f-2a6d8e4f5c01"
STACK = "integration-dispatcher-local"


@pytest.mark.parametrize("name", EVENTS)
def test_every_recorded_event_becomes_a_report_about_the_delivery(name):
    """User, delivery and round are those that the function reads."""
    body = report.body(name, "ada@example.com", DELIVERY, 2, STACK, None)

    read = provider_events.read(body, STACK)

    assert (read.user_id, read.delivery_id, read.round) == ("ada@example.com", DELIVERY, 2)


def test_the_address_can_be_chosen():
    """It is the one that is suppressed."""
    body = report.body("bounce_permanent", "ada", DELIVERY, 1, STACK, "ada@example.org")

    assert provider_events.read(body, STACK).address == "ada@example.org"


def test_an_unknown_name_lists_the_recorded_ones():
    """The reader sees what to write instead."""
    with pytest.raises(ToolFailure, match="bounced is not a recorded event; recorded: delivery,"):
        report.body("bounced", "ada", DELIVERY, 1, STACK, None)


def test_without_a_service_the_tool_says_how_to_start_one(tmp_path):
    """Nothing is sent anywhere."""
    with pytest.raises(ToolFailure, match="make up"):
        report.local_queue(tmp_path)


def test_the_service_of_cloud_home_is_the_one_that_is_told(tmp_path, monkeypatch, capsys):
    """As every other command: a service in the checkout's own folder is not touched."""
    monkeypatch.setenv("CLOUD_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["report", "delivery", "ada", DELIVERY])

    assert report.main() == 1
    assert "no service runs on this machine: start it with make up" in capsys.readouterr().err


def test_a_running_cloud_tells_its_queue(tmp_path):
    """The stack's outputs are in the file that ``make up`` writes."""
    (tmp_path / "stack.json").write_text(
        json.dumps({"endpoint_url": "http://localhost:4566", "FeedbackQueueUrl": "http://q"})
    )

    sqs, url = report.local_queue(tmp_path)

    assert (sqs.meta.endpoint_url, url) == ("http://localhost:4566", "http://q")


def test_the_command_sends_to_the_queue_that_it_names(monkeypatch, capsys):
    """For a stack on AWS, with the operator's credentials."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        sqs = boto3.client("sqs")
        url = sqs.create_queue(QueueName="feedback")["QueueUrl"]
        arguments = ["report", "text_opted_out", "ada", DELIVERY, "--queue", url, "--stack", "dev"]
        monkeypatch.setattr(sys, "argv", arguments)

        assert report.main() == 0
        [message] = sqs.receive_message(QueueUrl=url)["Messages"]

    assert provider_events.read(message["Body"], "dev").meaning.error_code == "opted_out"
    assert capsys.readouterr().out == f"Sent: text_opted_out for delivery {DELIVERY} of ada\n"
