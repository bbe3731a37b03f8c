"""A fake AWS CLI, as far as our documents use it: `python -m tests.aws_cli sqs …`.

Names of operations and options are botocore's, as the CLI's are, so that a slip in a document is an
error here. It talks to `--endpoint-url`, else to `AWS_ENDPOINT_URL`.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import boto3
import jmespath
from botocore import xform_name
from botocore.validate import validate_parameters


def main(words: list[str]) -> int:
    """Run one command and print its response as the CLI does."""
    service, command, *rest = words
    waits = command == "wait"
    if waits:
        waiter, *rest = rest
    options = parsed(rest)
    endpoint, region = (options.pop(name, [None])[0] for name in ("endpoint-url", "region"))
    client = boto3.client(service, region_name=region, endpoint_url=endpoint)
    model = client.meta.service_model
    if waits:
        given = {capitalized(name): value for name, [value] in options.items()}
        patience = {"WaiterConfig": {"Delay": 0.2, "MaxAttempts": 300}}
        client.get_waiter(waiter.replace("-", "_")).wait(**given, **patience)
        return 0
    by_command = {xform_name(name, "-"): name for name in model.operation_names}
    operation = model.operation_model(by_command[command])
    query, output = (options.pop(name, [default])[0] for name, default in OURS.items())
    members = {xform_name(name, "-"): name for name in operation.input_shape.members}
    params = {}
    for name, values in options.items():
        is_switched_off = name not in members and name.startswith("no-")
        member = members[name.removeprefix("no-") if is_switched_off else name]
        shape = operation.input_shape.members[member]
        params[member] = not is_switched_off if not values else valued(shape, values)
    validate_parameters(params, operation.input_shape)
    if (service, command) in ONLY_CHECKED:
        return 0
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
    if values[0].startswith("file://"):
        values = [Path(values[0].removeprefix("file://")).read_text()]
    if shape.type_name == "list":
        # Structures are given as JSON or in short, plain values as words.
        if shape.member.type_name != "structure":
            return values
        return json.loads(values[0]) if values[0][0] == "[" else list(map(in_short, values))
    (value,) = values
    if shape.type_name in {"map", "structure"}:
        return json.loads(value) if value[0] == "{" else in_short(value)
    return {"integer": int, "double": float}.get(shape.type_name, str)(value)


def in_short(text):
    """Read `Key=Value,Other=Value`."""
    return dict(pair.split("=", 1) for pair in text.split(","))


def capitalized(option):
    """Return the name of a parameter as operations have it: `stack-name` is StackName."""
    return "".join(word.capitalize() for word in option.split("-"))


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

ONLY_CHECKED = {
    ("service-quotas", "request-service-quota-increase"),
    ("sesv2", "put-account-details"),
}
"""Calls that the local cloud lacks: only the names and types of the options are checked."""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
