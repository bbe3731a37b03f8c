"""A warm GET of the effective configuration, in turn with bare reads of the same row.

It prints a line of JSON: processor and wall seconds of each.
"""

import json
import os
import sys
import time
from importlib import import_module

import boto3

BLOCKS, CALLS = 12, 40


def blocks(calls):
    """Time each of the calls in blocks, in turn; return name, processor and wall of each block."""
    for _ in range(2 + BLOCKS):
        for name, call in calls.items():
            cpu, wall = time.process_time(), time.perf_counter()
            for _ in range(CALLS):
                call()
            yield name, time.process_time() - cpu, time.perf_counter() - wall


handler = import_module("app").handler
with open(sys.argv[1], "rb") as sample:  # noqa: PTH123 - as the other scripts here
    event = json.load(sample)
dynamodb = boto3.client("dynamodb")
key = {"user_id": {"S": "jane@example.com"}}
output, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: PTH123, SIM115 - to the end

taken = list(
    blocks(
        {
            "get": lambda: handler(event, None),
            "bare": lambda: dynamodb.get_item(TableName="overrides", Key=key, ConsistentRead=True),
        }
    )
)
names = ("get", "bare")
sums = {
    # The first blocks of each only warm up.
    name: [
        sum(block[clock] for block in taken[2 * len(names) :] if block[0] == name)
        for clock in (1, 2)
    ]
    for name in names
}
output.write(json.dumps(sums) + "\n")
