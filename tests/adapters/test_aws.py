"""Clients of AWS: what making one takes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MAKING = """
import json, sys

listed = []
sys.addaudithook(lambda event, args: listed.append(str(args[0])) if event == "os.listdir" else None)

from dispatcher.adapters.aws import client

made = client({service!r})
looked = [path for path in listed if "data" in path]
json.dump([made.meta.service_model.service_id, len(looked)], sys.stdout)
"""


def making(service):
    """Make a client in a process of its own."""
    environment = {"AWS_DEFAULT_REGION": "eu-central-1", "HOME": "/nonexistent"}
    return subprocess.run(
        [sys.executable, "-c", MAKING.format(service=service)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("service", "called"), [("dynamodb", "DynamoDB"), ("sqs", "SQS")])
def test_a_client_is_made_without_a_look_at_all_services(service, called):
    """Boto3's own looks into the folders of hundreds, twice: a tenth of a cold start."""
    made = making(service)

    assert made.stderr == ""
    name, looks = json.loads(made.stdout)
    assert (name, looks < 10) == (called, True)


def test_a_service_that_does_not_exist_is_refused_all_the_same():
    """A misspelled name must not end in a client of nothing."""
    made = making("dynamodbb")

    assert (made.returncode, "Unable to load data for: dynamodbb" in made.stderr) == (1, True)
