"""Webhooks that the worker delivers from rows in memory, and a plain loop that posts the same.

It prints a line of JSON: processor and wall seconds of each delivery, and of each post.
"""

import json
import os
import sys
import time
from dataclasses import replace

import requests

from channels import webhook
from dispatcher import wiring
from dispatcher.adapters.system import ThreadWatchdog
from dispatcher.configuration.rows import Override, UserOverrides
from dispatcher.delivery.doorbells import Doorbell, encode
from dispatcher.delivery.ports import VisitRead
from dispatcher.delivery.rows import MESSAGE, REQUEST
from dispatcher.edges import batch
from evidence.bench.rows import CONTENT, SUBJECT
from tests.world import USER, World

URL, COUNT, WARM = sys.argv[1], int(sys.argv[2]), 20

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
rows = world.table.rows
overrides = world.overrides.rows[USER] = UserOverrides({"WEBHOOK": override}, 1)


class Table:
    """A stub of DynamoDB: rows in memory, neither encoded nor compared."""

    @staticmethod
    def visit(user_id, message_id, request_id):
        """Return a message, its request and the overrides."""
        message, request = (user_id, MESSAGE + message_id), (user_id, REQUEST + request_id)
        return VisitRead(rows[message], rows[request], overrides)

    @staticmethod
    def write(row, *, on):  # noqa: ARG004 - no other writer
        """Store a row."""
        rows[row.user_id, MESSAGE + row.message_id] = row
        return row


class Vault:
    """A stub of KMS, which the real vault asks once per override."""

    @staticmethod
    def open(*_):
        """Return the same secrets for every user."""
        return secrets


defaults = world.system_defaults()
channel = webhook.channel(world.environ, lambda _: None)
sys.stdout, output = open(os.devnull, "w"), sys.stdout  # noqa: PTH123, SIM115 - to the end
worker = replace(
    world.worker,
    context=replace(world.context, messages=Table, event_log=wiring.event_log()),
    builder=replace(world.builder, system_defaults=lambda: defaults, vault=Vault()),
    channels=lambda _: channel,
    watchdog=ThreadWatchdog(),
)


def batches(count):
    """Accept so many messages, and return their doorbells in events of ten."""
    messages = [world.row(world.send(subject=SUBJECT, content=CONTENT)[0]) for _ in range(count)]
    records = [
        {
            "messageId": row.message_id,
            "body": encode(Doorbell(USER, row.message_id, row.request_id, row.created_at)),
            "eventSourceARN": "::Queue",
        }
        for row in messages
    ]
    return [{"Records": records[start : start + 10]} for start in range(0, count, 10)]


def deliver(events):
    """Let the worker handle events."""
    for event in events:
        batch.each(
            event,
            None,
            lambda: worker,
            lambda worker, record: worker.handle(record.body, "Queue", lambda: 100.0),
        )


def post(count):
    """Post events over one connection, as a script would."""
    data = {
        "delivery_id": "019aae2c-8f00-7000-8a5b-3c1d2e4f5a01",
        "request_id": "019aae2c-8f00-7000-8a5b-3c1d2e4f5a00",
        "session_id": None,
        "user_id": USER,
        "subject": SUBJECT,
        "content": CONTENT,
        "agent_id": None,
    }
    event = {"type": "integration.message", "timestamp": "2026-11-22T21:25:36.183Z", "data": data}
    body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    for _ in range(count):
        headers = {"Content-Type": "application/json"}
        session.post(URL, data=body, headers=headers, timeout=10).raise_for_status()


def cost(call, argument):
    """Return the processor and wall seconds of each of the messages in a call."""
    cpu, wall = time.process_time(), time.perf_counter()
    call(argument)
    return [(time.process_time() - cpu) / COUNT, (time.perf_counter() - wall) / COUNT]


session = requests.Session()
deliver(batches(WARM))
post(WARM)
waiting = batches(COUNT)
costs = {"worker": cost(deliver, waiting), "session": cost(post, COUNT)}
statuses = [delivery.status for row in world.table.messages() for delivery in row.deliveries]
if statuses != ["success"] * (WARM + COUNT):
    sys.exit(f"not all messages were delivered: {set(statuses)}")
output.write(json.dumps(costs) + "\n")
