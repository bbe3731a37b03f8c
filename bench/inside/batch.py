"""A warm worker, with batches of one message and of ten, in turn, to receivers that take a while.

Prints a line of JSON: for each size, processor and wall seconds of each batch.
"""

import json
import os
import sys
import time
from importlib import import_module

USER, ROUNDS = sys.argv[1], int(sys.argv[2])


class Context:
    """What Lambda hands to a function beside its event."""

    @staticmethod
    def get_remaining_time_in_millis():
        """Return as much time as a worker has."""
        return 120_000


def batch(size):
    """Return an event with doorbells of so many deliveries."""
    bells = [
        {
            "v": 1,
            "kind": "delivery",
            "user_id": USER,
            "due_at": 1795382736.183,
            "delivery_id": f"019aae2c-8f00-7000-8a5b-3c1d2e4f5a{number:02x}",
        }
        for number in range(size)
    ]
    return {
        "Records": [
            {"messageId": f"m-{number}", "body": json.dumps(bell), "eventSourceARN": "::Queue"}
            for number, bell in enumerate(bells)
        ]
    }


handler = import_module("app").handler
output, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: PTH123, SIM115 - for good
batches = {"one": batch(1), "ten": batch(10)}
taken = {name: [] for name in batches}
for number in range(-2, ROUNDS):
    for name, event in batches.items():
        cpu, wall = time.process_time(), time.perf_counter()
        answer = handler(event, Context())
        if answer != {"batchItemFailures": []}:
            sys.exit(f"the batch was answered with {answer}")
        # The first ones only warm up.
        if number >= 0:
            taken[name].append([time.process_time() - cpu, time.perf_counter() - wall])
output.write(json.dumps(taken) + "\n")
