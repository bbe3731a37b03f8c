"""AWS clients: what it takes to make one, and their errors."""

from __future__ import annotations

import json
import subprocess
import sys

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from dispatcher import VERSION, wiring
from dispatcher.adapters import aws
from dispatcher.adapters.aws import unavailable_if_it_fails
from dispatcher.errors import ConditionFailed, UnavailableError

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
    """Build a client in another process."""
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


@pytest.mark.parametrize("returned", ["ALL_OLD", "NONE"])
def test_a_refused_condition_carries_the_item_that_refused_it(dynamodb, returned):
    """The row need not be read again; without ``ALL_OLD`` or a row there is no item."""
    item = {"user_id": {"S": "ada"}, "version": {"N": "5"}}
    dynamodb.put_item(TableName="OverridesTable", Item=item)

    with pytest.raises(ConditionFailed) as refused, unavailable_if_it_fails():
        dynamodb.put_item(
            TableName="OverridesTable",
            Item={"user_id": {"S": "ada"}},
            ConditionExpression="attribute_not_exists(user_id)",
            ReturnValuesOnConditionCheckFailure=returned,
        )

    assert refused.value.item == (item if returned == "ALL_OLD" else None)
    assert isinstance(refused.value.__cause__, ClientError)


def test_a_condition_refused_by_a_missing_row_carries_no_item(dynamodb):
    """A condition on a row that does not exist does not hold."""
    with pytest.raises(ConditionFailed) as refused, unavailable_if_it_fails():
        dynamodb.update_item(
            TableName="OverridesTable",
            Key={"user_id": {"S": "ada"}},
            UpdateExpression="SET version = :one",
            ConditionExpression="version = :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    assert refused.value.item is None


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            ClientError({"Error": {"Code": "Throttled", "Message": "ada"}}, "PutItem"),
            "PutItem failed: Throttled",
        ),
        (ClientError({}, "PutItem"), "PutItem failed: unknown"),
        (
            ReadTimeoutError(endpoint_url="https://dynamodb.example.com/?secret"),
            "AWS did not respond: ReadTimeoutError",
        ),
    ],
)
def test_an_error_of_aws_is_named_without_its_text(error, text):
    """The text may quote the input; it stays in the cause."""
    with pytest.raises(UnavailableError) as raised, unavailable_if_it_fails():
        raise error

    assert (str(raised.value), raised.value.__cause__) == (text, error)


def test_what_is_changed_of_boto3_is_what_it_uses(monkeypatch):
    """Our loader, user agent and limits reach the client: a version that ignores them fails here.

    ``close`` is what ends kept connections; a closed client must serve again.
    """
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    wiring.reset()

    made = aws.client("sqs", tries=1)

    core = boto3.DEFAULT_SESSION._session
    assert isinstance(core.get_component("data_loader"), aws._Loader)
    assert core.get_component("data_loader").list_available_services("service-2") == []
    config = made.meta.config
    assert config.user_agent.startswith(f"integration-dispatcher/{VERSION} ")
    assert (config.connect_timeout, config.read_timeout) == (1, 3)
    assert config.retries == {"total_max_attempts": 1, "mode": "standard"}
    # With boto3's checks of parameters this would be a ParamValidationError.
    assert made.generate_presigned_url("send_message", Params={"QueueUrl": "q", "MessageBody": []})
    assert callable(made.close)
    wiring.reset()
