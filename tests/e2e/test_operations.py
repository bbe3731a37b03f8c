"""The runbook of docs/operations.md, followed word by word on the suite's own cloud."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.documents import runbook
from tests.e2e.system import until
from tools.local_cloud import CREDENTIALS, STACK
from tools.paths import ROOT


@pytest.fixture
def follow(stack):
    """Return what runs all commands under one heading, in one shell, and returns its output."""

    def run(heading: str) -> str:
        aws = f'aws() {{ "{sys.executable}" -m tests.aws_cli "$@"; }}\n'
        commands = runbook(heading).replace("integration-dispatcher-prod", STACK)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", aws + commands],
            cwd=ROOT,
            env={**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": stack["endpoint_url"]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_redriving(follow, system, receiver, user):
    """Each failed delivery starts one new round, and the dead-letter queue is empty."""
    # The commands show ten messages at most, so those of other tests have to go.
    system.sqs.purge_queue(QueueUrl=system.stack["DeadLetterQueueUrl"])
    receiver.script = [(500, {})] * 2
    system.override(user, "WEBHOOK", retry_count=0, config={"url": receiver.url})
    ids = [system.sent(user, integration_types=["WEBHOOK"]) for _ in range(2)]
    for one in ids:
        until(lambda one=one: one in str(system.messages("DeadLetter")))

    shown = follow("Redriving")

    assert all(one in shown for one in ids)
    for one in ids:
        ended = until(
            lambda one=one: (d := system.delivery(user, one))["status"] == "success" and d
        )
        assert (ended["round"], ended["attempts"]) == (2, 1)
    assert user not in str(system.messages("DeadLetter"))


def test_purging(follow, system, user):
    """After a purge, the sweeper rings for the deliveries whose doorbells are gone."""
    system.override(
        user,
        "TEST",
        retry_delay_seconds=800,
        config={"failure": "transient", "fail_attempts": 1},
    )
    delivery_id = system.sent(user)
    until(lambda: user in str(system.messages("Retry")))

    follow("Purging")

    assert user not in str(system.messages("Retry"))
    system.hasten(user, delivery_id)
    system.sweep()
    ended = system.ended(user, delivery_id)
    assert (ended["status"], ended["attempts"]) == ("success", 2)


def test_reading_parked_messages(follow, system):
    """The commands show each parked message with its reason, and leave it in the queue."""
    # The commands show ten messages at most, so those of other tests have to go.
    system.sqs.purge_queue(QueueUrl=system.stack["ParkedQueueUrl"])
    system.sqs.send_message(
        QueueUrl=system.stack["IntakeQueueUrl"], MessageBody='{"content": "To whom?"}'
    )
    until(lambda: "To whom?" in str(system.messages("Parked")))

    shown = json.loads(follow("Parked messages"))

    parked = {"reason": "/user_id: is required", "body": '{"content": "To whom?"}'}
    assert parked in shown
    assert "To whom?" in str(system.messages("Parked"))


def test_reading_a_row(follow, system):
    """The commands print a message row with its body decoded."""
    delivery_id = system.sent("john.doe")
    system.ended("john.doe", delivery_id)

    printed = follow("Read a row")

    assert f'"sk": "MESSAGE#{delivery_id[:-2]}00"' in printed
    assert '"status": "success"' in printed
