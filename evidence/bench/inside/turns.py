"""Calls of a warm function, in turn with those that they are compared with.

Prints a line of JSON: for each name, processor and wall seconds of each of its turns.
"""

import json
import os
import sys
import time
from functools import partial
from importlib import import_module
from types import SimpleNamespace

import boto3

handler = import_module("app").handler
CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 120_000)
"""The context that Lambda passes to a function with the event."""


def warm(sample):
    """Return a GET of the effective configuration, and a bare read of the same row."""
    with open(sample, "rb") as file:  # noqa: PTH123 - as the other scripts here
        event = json.load(file)
    key = {"user_id": {"S": "jane@example.com"}}
    read = partial(boto3.client("dynamodb").get_item, TableName="overrides", Key=key)
    return {"get": partial(handler, event, None), "bare": partial(read, ConsistentRead=True)}


def batch(user):
    """Return batches of one message and of ten."""
    doorbell = {
        "v": 2,
        "kind": "message",
        "user_id": user,
        "message_id": "019aae2c-8f00-7000-8a5b-3c1d2e4f5a00",
        "due_at": 1795382736.183,
    }
    records = [
        {
            "messageId": f"m-{number}",
            "body": json.dumps(doorbell | {"request_id": f"order-4711-{number}"}),
            "eventSourceARN": "::Queue",
        }
        for number in range(10)
    ]
    return {"one": partial(handle, records[:1]), "ten": partial(handle, records)}


def handle(records):
    """Let the worker handle a batch."""
    response = handler({"Records": records}, CONTEXT)
    if response != {"batchItemFailures": []}:
        sys.exit(f"the worker returned {response}")


kind, subject, turns, times = *sys.argv[1:3], *map(int, sys.argv[3:])
output, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: PTH123, SIM115 - to the end
calls = {"warm": warm, "batch": batch}[kind](subject)
taken = {name: [] for name in calls}
for number in range(-2, turns):
    for name, call in calls.items():
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(times):
            call()
        # The first turns only warm up.
        if number >= 0:
            taken[name].append([time.process_time() - cpu, time.perf_counter() - wall])
output.write(json.dumps(taken) + "\n")
