"""A warm worker with batches of one message and of ten, in turn, to receivers that are slow.

It prints a line of JSON: for each size, processor and wall seconds of each batch.
"""

import json
import os
import sys
import time
from importlib import import_module
from types import SimpleNamespace

USER, ROUNDS = sys.argv[1], int(sys.argv[2])


CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 120_000)
"""The context that Lambda passes to a function with the event."""


def batch(size):
    """Return an event with the doorbells of so many messages."""
    doorbells = [
        {
            "v": 2,
            "kind": "message",
            "user_id": USER,
            "message_id": "019aae2c-8f00-7000-8a5b-3c1d2e4f5a00",
            "request_id": f"order-4711-{number}",
            "due_at": 1795382736.183,
        }
        for number in range(size)
    ]
    return {
        "Records": [
            {"messageId": f"m-{number}", "body": json.dumps(doorbell), "eventSourceARN": "::Queue"}
            for number, doorbell in enumerate(doorbells)
        ]
    }


handler = import_module("app").handler
output, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: PTH123, SIM115 - to the end
batches = {"one": batch(1), "ten": batch(10)}
taken = {name: [] for name in batches}
for number in range(-2, ROUNDS):
    for name, event in batches.items():
        cpu, wall = time.process_time(), time.perf_counter()
        response = handler(event, CONTEXT)
        if response != {"batchItemFailures": []}:
            sys.exit(f"the worker returned {response}")
        # The first batches only warm up.
        if number >= 0:
            taken[name].append([time.process_time() - cpu, time.perf_counter() - wall])
output.write(json.dumps(taken) + "\n")
