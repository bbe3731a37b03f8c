"""A stand-in for the AWS CLI, as far as our documents use it: `python -m tests.aws_cli sqs …`.

Names of operations and options are botocore's, as the CLI's are, so that a slip in a document is an
error here. It talks to `--endpoint-url`, else to `AWS_ENDPOINT_URL`.
"""

from __future__ import annotations

import base64
import json
import sys

import boto3
import jmespath
from botocore import xform_name
from botocore.validate import validate_parameters


def main(words: list[str]) -> int:
    """Run one command and print its answer as the CLI does."""
    service, command, *rest = words
    options = parsed(rest)
    endpoint, region = (options.pop(name, [None])[0] for name in ("endpoint-url", "region"))
    client = boto3.client(service, region_name=region, endpoint_url=endpoint)
    model = client.meta.service_model
    by_command = {xform_name(name, "-"): name for name in model.operation_names}
    operation = model.operation_model(by_command[command])
    query, output = (options.pop(name, [default])[0] for name, default in OURS.items())
    members = {xform_name(name, "-"): name for name in operation.input_shape.members}
    params = {
        members[name]: valued(operation.input_shape.members[members[name]], values)
        for name, values in options.items()
    }
    validate_parameters(params, operation.input_shape)
    answer = STAND_INS.get(command, called)(client, xform_name(operation.name), params)
    answer.pop("ResponseMetadata", None)
    found = jmespath.search(query, answer)
    if found:
        print(found if output == "text" else json.dumps(found, indent=4, default=plain))  # noqa: T201 - it is a command
    return 0


OURS = {"query": "@", "output": "json"}


def parsed(words):
    """Return the options with their values."""
    options = {}
    for word in words:
        if word.startswith("--"):
            values = options.setdefault(word.removeprefix("--"), [])
        else:
            values.append(word)
    return options


def valued(shape, values):
    """Read the words after an option as its type says."""
    if shape.type_name == "list":
        # Structures are given as JSON, plain values as words.
        return json.loads(values[0]) if shape.member.type_name == "structure" else values
    (value,) = values
    if shape.type_name in {"map", "structure"}:
        return json.loads(value)
    return int(value) if shape.type_name == "integer" else value


def plain(value):
    """Write binaries in base64, as the CLI does, and everything else as text."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def called(client, method, params):
    """Do what AWS does."""
    return getattr(client, method)(**params)


def move(client, _method, params):
    """Move all messages: the local cloud has no StartMessageMoveTask."""
    source, target = (
        client.get_queue_url(QueueName=params[name].rpartition(":")[2])["QueueUrl"]
        for name in ("SourceArn", "DestinationArn")
    )
    while found := client.receive_message(QueueUrl=source, MaxNumberOfMessages=10).get("Messages"):
        for one in found:
            client.send_message(QueueUrl=target, MessageBody=one["Body"])
            client.delete_message(QueueUrl=source, ReceiptHandle=one["ReceiptHandle"])
    return {"TaskHandle": "moved"}


STAND_INS = {"start-message-move-task": move}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
