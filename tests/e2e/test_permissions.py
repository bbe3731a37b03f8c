"""IAM is enforced here too: what works in this suite works within the functions' own rights."""

from __future__ import annotations

import boto3
import pytest
from botocore.exceptions import ClientError

from tools.local_cloud import REGION


@pytest.fixture
def acting_as(aws, system):
    """Return a function that makes clients with the role of a deployed function."""

    def client(function, service):
        role = aws.client("lambda").get_function_configuration(FunctionName=system.ids[function])
        lent = aws.client("sts").assume_role(RoleArn=role["Role"], RoleSessionName="tests")
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=system.stack["endpoint_url"],
            aws_access_key_id=lent["Credentials"]["AccessKeyId"],
            aws_secret_access_key=lent["Credentials"]["SecretAccessKey"],
            aws_session_token=lent["Credentials"]["SessionToken"],
        )

    return client


def verdict(call, **arguments):
    """Return whether a call was allowed."""
    try:
        call(**arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return "denied" if code in {"AccessDenied", "AccessDeniedException"} else code
    return "allowed"


def test_reader_can_only_read_its_table(acting_as, stack, user):
    """The function that shows a delivery may get rows of that table and nothing else."""
    dynamodb = acting_as("GetDeliveryFunction", "dynamodb")
    sqs = acting_as("GetDeliveryFunction", "sqs")
    deliveries, overrides = stack["DeliveriesTableName"], stack["OverridesTableName"]
    row = {"user_id": {"S": user}, "sk": {"S": "MESSAGE#1"}}

    told = {
        "get": verdict(dynamodb.get_item, TableName=deliveries, Key=row),
        "put": verdict(dynamodb.put_item, TableName=deliveries, Item=row),
        "delete": verdict(dynamodb.delete_item, TableName=deliveries, Key=row),
        "scan": verdict(dynamodb.scan, TableName=deliveries),
        "get an override": verdict(
            dynamodb.get_item, TableName=overrides, Key={"user_id": {"S": user}}
        ),
        "send": verdict(sqs.send_message, QueueUrl=stack["DeliveryQueueUrl"], MessageBody="x"),
    }

    assert told == dict.fromkeys(told, "denied") | {"get": "allowed"}


def test_sender_cannot_change_configuration(acting_as, stack, user):
    """The function that accepts messages reads overrides, and cannot change or decrypt them."""
    dynamodb = acting_as("SendMessageFunction", "dynamodb")
    kms = acting_as("SendMessageFunction", "kms")
    sqs = acting_as("SendMessageFunction", "sqs")
    key, table = {"user_id": {"S": user}}, stack["OverridesTableName"]

    told = {
        "get": verdict(dynamodb.get_item, TableName=table, Key=key),
        "put": verdict(dynamodb.put_item, TableName=table, Item=key),
        "delete": verdict(dynamodb.delete_item, TableName=table, Key=key),
        "encrypt": verdict(kms.encrypt, KeyId=stack["KeyArn"], Plaintext=b"x"),
        "receive": verdict(sqs.receive_message, QueueUrl=stack["DeliveryQueueUrl"]),
        "dead letter": verdict(
            sqs.send_message, QueueUrl=stack["DeadLetterQueueUrl"], MessageBody="x"
        ),
    }

    assert told == dict.fromkeys(told, "denied") | {"get": "allowed"}
