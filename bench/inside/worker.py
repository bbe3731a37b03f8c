"""Webhooks, delivered by the worker from tables in memory: what sending itself costs.

Prints a line of JSON: processor and wall seconds for each delivery.
"""

import dataclasses
import json
import os
import sys
import time

from channels import webhook
from dispatcher import wiring
from dispatcher.adapters.system import ThreadWatchdog
from dispatcher.configuration.resolution import Override, UserOverrides
from dispatcher.delivery.doorbells import DeliveryBell, encode
from dispatcher.edges import batch
from tests.world import USER, World

URL, COUNT, WARM = sys.argv[1], int(sys.argv[2]), 20

with open(os.environ["CONTENT"]) as file:  # noqa: PTH123 - as the others here
    SENT = json.load(file)

world = World(
    WEBHOOK_ALLOWED_CIDRS="127.0.0.0/8",
    WEBHOOK_ALLOW_HTTP="true",
    INTEGRATION_DEFAULTS_TEST_ENABLED="false",
)
secrets = {"issued": {"signing_secret": "whsec_" + "A" * 43 + "="}}
override = Override(
    {"enabled": True, "config": {"url": URL}},
    created_at=1.0,
    updated_at=1.0,
    sealed=(b"sealed",),
)


class Table:
    """AWS, stubbed: rows in memory, neither copied nor checked."""

    @staticmethod
    def get(key):
        """Return a row."""
        return world.deliveries.rows[key]

    @staticmethod
    def apply(key, change):
        """Change a row."""
        row = world.deliveries.rows[key]
        row.update(change.set)
        for name, number in change.add.items():
            row[name] += number
        return row


class Vault:
    """Remembers what it opened, as the real one does."""

    @staticmethod
    def open(*_):
        """Return the same secrets to everybody."""
        return secrets


world.overrides.rows[USER] = UserOverrides({"WEBHOOK": override}, 1)
defaults = world.system_defaults()
channel = webhook.channel(world.environ, lambda _: None)
sys.stdout, output = open(os.devnull, "w"), sys.stdout  # noqa: PTH123, SIM115 - for good
worker = dataclasses.replace(
    world.worker,
    system_defaults=lambda: defaults,
    deliveries=Table,
    vault=Vault(),
    channels=lambda _: channel,
    watchdog=ThreadWatchdog(),
    event_log=wiring.event_log(),
)


def batches(count):
    """Accept so many messages, and return their doorbells in events of ten."""
    ids = [world.send(**SENT)[0] for _ in range(count)]
    due_at = world.clock.now()
    records = [
        {"messageId": one, "body": encode(DeliveryBell(USER, one, due_at)), "eventSourceARN": "::Q"}
        for one in ids
    ]
    return [{"Records": records[start : start + 10]} for start in range(0, count, 10)]


def deliver(events):
    """Let the worker answer."""
    for event in events:
        batch.each(
            event,
            None,
            lambda: worker,
            lambda one, record: one.answer(record.body, "Q", lambda: 100.0),
        )


deliver(batches(WARM))
waiting = batches(COUNT)
cpu, wall = time.process_time(), time.perf_counter()
deliver(waiting)
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
ended = [
    row["status"] for (_, sk), row in world.deliveries.rows.items() if sk.startswith("DELIVERY#")
]
if ended != ["success"] * (WARM + COUNT):
    sys.exit(f"not all were delivered: {set(ended)}")
output.write(json.dumps([cpu / COUNT, wall / COUNT]) + "\n")
