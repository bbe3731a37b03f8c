"""What docs/cost.md reckons with is what is stored and logged."""

from __future__ import annotations

import dataclasses
import io
import logging
import re

import pytest

from bench import cost, rows
from dispatcher import wiring
from dispatcher.adapters.aws import client
from dispatcher.adapters.dynamodb import from_item

USER = "john.doe"


@pytest.fixture
def log(service, monkeypatch):
    """Return what takes the log: its writer outlives a test, and so does where it writes."""
    wiring.logger()
    taken = io.StringIO()
    for handler in logging.getLogger("integration-dispatcher").handlers:
        monkeypatch.setattr(handler, "stream", taken)
    return taken


def lines(log):
    """Return the bytes of each line of the log since the last look, by event."""
    found = log.getvalue().splitlines()
    log.seek(0)
    log.truncate()
    return {re.search(r'"message":"([\w.]+)"', line)[1]: len(line.encode()) + 1 for line in found}


def stored(table, **key):
    """Return a row."""
    answer = client("dynamodb").get_item(
        TableName=table, Key={name: {"S": value} for name, value in key.items()}
    )
    return from_item(answer["Item"])


def size(table, **key):
    """Return the bytes of a row."""
    return cost.item_size(stored(table, **key))


def test_bytes_are_those_of_rows_and_lines(service, log):
    """Within a tenth: ids and times differ in length a little."""
    fails_once = {"failure": "transient", "fail_attempts": 1}
    service.ask("create_override", {"integration_type": "TEST", "config": fails_once})
    lines(log)
    _, sent = service.ask("send_message", {"content": rows.CONTENT, "subject": rows.SUBJECT})
    accepted = lines(log)
    request, delivery = sent["request_id"], sent["deliveries"][0]["delivery_id"]
    key = {"user_id": USER, "sk": f"DELIVERY#{delivery}"}
    pending = size("DeliveriesTable", **key)
    service.deliver()
    [attempt] = stored("DeliveriesTable", **key)["attempt_log"]
    _, body = service.ask("send_message", {"content": rows.CONTENT, "subject": rows.SUBJECT})
    ended = f"DELIVERY#{body['deliveries'][0]['delivery_id']}"
    service.ask("update_override", {"config": {}}, integration_type="TEST")
    lines(log)
    service.deliver()
    delivered = lines(log)

    measured = cost.Sizes(
        delivery_row=pending,
        ended_row=size("DeliveriesTable", user_id=USER, sk=ended),
        attempt_entry=cost.item_size({"": attempt}),
        request_row=size("DeliveriesTable", user_id=USER, sk=f"REQUEST#{request}")
        - len(rows.CONTENT),
        overrides_row=size("OverridesTable", user_id=USER),
        send_log=sum(accepted.values()),
        attempt_log=delivered["delivery.attempted"],
        batch_log=delivered["batch.answered"],
    )
    told = dataclasses.asdict(cost.Sizes())
    off = {
        name: f"{told[name]} told, {size} measured"
        for name, size in dataclasses.asdict(measured).items()
        if size != pytest.approx(told[name], rel=0.1)
    }
    assert off == {}
    assert set(accepted) == {"message.accepted", "request.answered"}
