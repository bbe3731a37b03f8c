"""docs/cost.md reckons with what the functions really write and log."""

from __future__ import annotations

import io
import logging
import re
import time
from collections import Counter

import boto3
import pytest

from dispatcher import wiring
from dispatcher.adapters.items import item_size
from dispatcher.adapters.overrides import OverrideTable
from dispatcher.configuration.rows import Preferences
from dispatcher.delivery.doorbells import encode
from dispatcher.delivery.outcomes import Delivered
from evidence.bench import rows
from tests import cost
from tests.english import text
from tests.functions.service import sample
from tests.functions.test_aws_calls import calls

__all__ = ["calls"]
"""The fixture."""

USER = "john.doe"
DELIVERED = {
    "SLACK": Delivered({"channel": "D024BE91L", "ts": "1795382736.183200"}),
    "EMAIL": Delivered({"message_id": "<019aae2c8f0070008a5b3c1d2e4f5a01@example.com>"}),
    "WEBHOOK": Delivered({"status": 200}),
    "SMS": Delivered({"message_id": "c2f1c5b5-8a0e-5f6b-9d7c-4a1f0b2d3e4f"}),
    "TOOL": Delivered({"event_id": "c2f1c5b5-8a0e-5f6b-9d7c-4a1f0b2d3e4f"}),
    "CLI": Delivered(detail="recorded"),
    "TEST": Delivered(detail="recorded"),
}
ORDER = ("WEBHOOK", "SLACK", "EMAIL", "TOOL", "SMS", "CLI", "TEST")
"""The order in which a message uses integrations."""
ALL = ("SLACK", "EMAIL", "WEBHOOK", "SMS", "TEST", "CLI", "TOOL")


@pytest.fixture
def log(service, monkeypatch):
    """Return what receives the log: its writer outlives a test, and so does where it writes."""
    wiring.logger()
    received = io.StringIO()
    for handler in logging.getLogger("integration-dispatcher").handlers:
        monkeypatch.setattr(handler, "stream", received)
    return received


@pytest.fixture
def units(session, service):
    """Return the write units of the deliveries table by kind, counted at each write."""
    counted = {"REQUEST": 0, "MESSAGE": 0, "index": 0}
    written, before = [], {}
    # Of another session, whose calls are not those of a function.
    dynamodb = boto3.Session(
        aws_access_key_id="testing", aws_secret_access_key="testing", region_name="eu-central-1"
    ).client("dynamodb")

    def note(params, model, **_):
        if model.name in {"PutItem", "UpdateItem"}:
            key = params.get("Key") or params["Item"]
            written.append({name: key[name] for name in ("user_id", "sk") if name in key})

    def count(parsed, model, **_):
        while written:
            key = written.pop()
            if "sk" not in key or "Error" in parsed:
                continue
            item = dynamodb.get_item(TableName="DeliveriesTable", Key=key)["Item"]
            old = before.get(key["sk"]["S"], {})
            kind = key["sk"]["S"].partition("#")[0]
            counted[kind] += cost.write_units(max(item_size(item), item_size(old)))
            if old.get("sweep_at") != item.get("sweep_at"):
                counted["index"] += ("sweep_at" in old) + ("sweep_at" in item)
            before[key["sk"]["S"]] = item

    with session.listening(provide_client_params=note, after_call=count):
        yield counted


@pytest.fixture
def all_types(service, monkeypatch):
    """Let all seven integrations be configured and enabled, with receivers that always accept."""
    for name in ALL:
        monkeypatch.setenv(f"INTEGRATION_DEFAULTS_{name}_ENABLED", "true")
    monkeypatch.setenv("SLACK_BOT_TOKEN_SECRET", "slack")
    monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("SMS_ENABLED", "true")
    wiring.reset()

    class Accepting:
        def deliver(self, message):
            return DELIVERED[message.integration_type]

    monkeypatch.setattr(wiring, "_channel", lambda _name: Accepting())
    hook = {"integration_type": "WEBHOOK", "config": {"url": "https://hooks.example.com/x"}}
    service.ask("create_override", hook)


def lines(log):
    """Return the bytes of each line of the log since the last look, by event."""
    found = log.getvalue().splitlines()
    log.seek(0)
    log.truncate()
    return {re.search(r'"message":"([\w.]+)"', line)[1]: len(line.encode()) + 1 for line in found}


def send_and_deliver(service, deliveries, content):
    """Send a message with so many deliveries, and deliver it."""
    body = {
        "content": text(content),
        "subject": rows.SUBJECT,
        "integration_types": list(ORDER[:deliveries]),
        "recipient": {"email": "john.doe@example.com", "phone_number": "+14155552671"},
    }

    status, sent = service.ask("send_message", body)
    service.deliver()

    assert (status, len(sent["deliveries"])) == (202, deliveries)
    _, page = service.ask("list_deliveries")
    assert {delivery["status"] for delivery in page["deliveries"]} == {"success"}


@pytest.mark.parametrize("deliveries", [1, 3, 7])
def test_the_model_has_what_the_functions_write(service, units, all_types, deliveries):
    """Write units are exact; IDs and times make rows differ by a few bytes."""
    send_and_deliver(service, deliveries, 1_000)

    items = boto3.client("dynamodb").scan(TableName="DeliveriesTable")["Items"]
    sizes = {item["sk"]["S"].partition("#")[0]: item_size(item) for item in items}
    assert sum(units.values()) == cost.UNITS[deliveries], units
    stored = (sizes["REQUEST"], sizes["MESSAGE"])
    assert stored == pytest.approx(cost.STORED[deliveries], rel=0.15)


def hold(seconds):
    """Let the user mute WEBHOOK for so long, without the re-plan of a route."""
    preferences = Preferences(
        updated_at=1.0,
        updated_via="api",
        muted_until=time.time() + seconds,
        hours={"integrations": ["WEBHOOK"]},
    )
    table = OverrideTable(boto3.client("dynamodb"), "OverridesTable")
    version = table.get(USER).version
    table.set_preferences(USER, preferences, version=version, now=1.0, token="t")


def wait(_service, time_machine, seconds):
    """Let the hold end; its doorbell comes from the send."""
    time_machine.move_to(time.time() + seconds)


def sweep(service, time_machine, seconds):
    """Let the sweeper ring 15 minutes before the end of the hold, which comes then."""
    time_machine.move_to(time.time() + seconds - 890)
    service.invoke("sweep_deliveries", sample("sweep_deliveries"))
    time_machine.move_to(time.time() + 890)


CHANGE = (cost.READ, cost.READ, cost.WRITE, cost.READ, cost.READ)
"""The route reads preferences and categories, and writes; the re-plan reads before and after."""


def unmute(service, _time_machine, _seconds):
    """Let a change of preferences end the hold."""
    assert service.ask("update_preferences", {"muted_until": None})[0] == 200


@pytest.mark.parametrize(
    ("case", "seconds", "release"),
    [
        ("not held", 0, wait),
        ("held for at most 15 minutes", 600, wait),
        ("held for longer", 7200, sweep),
        ("held for longer, released by a change of preferences", 7200, unmute),
    ],
)
def test_the_model_has_what_a_hold_costs(
    service, units, calls, all_types, time_machine, case, seconds, release
):
    """Write units and calls are those of the functions; those of a change are not counted."""
    if seconds:
        hold(seconds)
    calls.clear()
    body = {"content": text(1_000), "subject": rows.SUBJECT, "integration_types": ["WEBHOOK"]}
    assert service.ask("send_message", body)[0] == 202
    release(service, time_machine, seconds)
    doorbells = [
        encode(one) for queue in ("DeliveryQueue", "RetryQueue") for one in service.doorbells(queue)
    ]
    service.deliver(*doorbells)

    _, page = service.ask("list_deliveries")
    assert [delivery["status"] for delivery in page["deliveries"]] == ["success"]
    expected, more = cost.HELD[case]
    assert sum(units.values()) == expected, units
    send = [*cost.CALLS["send"], *cost.CALLS["visit"], *cost.CALLS["attempt"]]
    change = CHANGE if release is unmute else ()
    made = Counter(call for call in calls if call in {*send, cost.READ})
    assert made == Counter([*send, *more, *change])


@pytest.mark.parametrize(("content", "expected"), [(250, 6), (10_000, 9), (100_000, 35)])
def test_long_content_costs_write_units_of_its_own(service, units, all_types, content, expected):
    """Rows above 1,024 bytes are compressed, and each KB that is begun is a unit."""
    send_and_deliver(service, 1, content)

    assert sum(units.values()) == pytest.approx(expected, rel=0.03), units


def test_bytes_are_those_of_rows_and_lines(service, log):
    """Within a tenth: IDs and times differ in length a little."""
    service.ask("create_override", {"integration_type": "TEST", "retry_count": 2})
    lines(log)
    service.ask("send_message", {"content": rows.CONTENT, "subject": rows.SUBJECT})
    accepted = lines(log)
    service.deliver()
    delivered = lines(log)

    stored = boto3.client("dynamodb").get_item(
        TableName="OverridesTable", Key={"user_id": {"S": USER}}
    )["Item"]
    measured = {
        "overrides row": item_size(stored),
        "send": sum(accepted.values()),
        "attempt": delivered["delivery.attempted"],
        "batch": delivered["batch.handled"],
    }
    off = {
        name: f"{cost.SIZES[name]} in the model, {size} measured"
        for name, size in measured.items()
        if size != pytest.approx(cost.SIZES[name], rel=0.1)
    }
    assert off == {}
    assert set(accepted) == {"message.accepted", "request.handled"}
