"""The command line, as it is installed, against the deployed service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.system import until
from tools.local_cloud import CREDENTIALS, STACK

DISPATCH = Path(sys.executable).parent / "dispatch"


@pytest.fixture
def dispatch(stack, tmp_path):
    """The program in a separate shell."""

    def run(*words, code=0):
        done = subprocess.run(
            [DISPATCH, *words],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "COLUMNS": "80",
                "DISPATCH_URL": stack["api_url"],
                "AWS_ENDPOINT_URL": stack["endpoint_url"],
                **CREDENTIALS,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_failed_delivery_is_diagnosed_and_retried(dispatch, receiver, user):
    """The doctor names the command that retries a failed delivery, which then succeeds."""
    receiver.script = [(404, {})]
    url = ("--url", receiver.url, "--header", "X-Team: blue")
    dispatch("override", "set", user, "WEBHOOK", *url, "--retry-count", "0")
    words = ("send", user, "Hello $name", "--var", "name=Ada", "--type", "WEBHOOK", "--wait")

    sent = json.loads(dispatch(*words, "-o", "json", code=1))
    (failed,) = sent["deliveries"]
    page = dispatch("doctor", user)
    dispatch("retry", user, failed["delivery_id"])

    assert (failed["status"], failed["error_code"]) == ("failed", "http_404")
    assert "WEBHOOK failed" in page
    assert f"dispatch retry {user} {failed['delivery_id']}" in page
    history = ("history", user, failed["delivery_id"], "-o", "json")
    until(lambda: json.loads(dispatch(*history))["status"] == "success")


@pytest.mark.parametrize("where", ["stack", "file"])
def test_dead_letters_are_listed_redriven_and_purged(dispatch, cloud, user, where):
    """Without move tasks, which the local cloud lacks, dead letters are moved one by one."""
    queues = {
        "stack": ("--stack", STACK),
        "file": ("--stack-file", str(cloud.stack_file)),
    }[where]
    dispatch("dead-letters", "purge", *queues, "--yes")
    failing = ("--config", "failure=permanent", "--config", "fail_attempts=1")
    dispatch("override", "set", user, "TEST", *failing)
    dispatch("send", user, "Hello", "--wait", code=1)

    def listed():
        response = json.loads(dispatch("dead-letters", "list", *queues, "-o", "json"))
        letters = response["dead_letters"]
        return [letter["redrive"] for letter in letters if letter["user_id"] == user]

    until(lambda: listed() == ["new round"])
    dispatch("override", "reset", user, "--yes")
    response = json.loads(dispatch("dead-letters", "redrive", *queues, "-o", "json"))

    assert response == {"redriven": 1}
    history = ("history", user, "-o", "json")
    until(lambda: json.loads(dispatch(*history))["deliveries"][0]["status"] == "success")
    assert listed() == []
