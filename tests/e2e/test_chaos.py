"""`make chaos` in small: the same run, without waiting for the leases of dead workers."""

from __future__ import annotations

import secrets
import sys
import time
from dataclasses import replace

import pytest
from botocore.config import Config

from dispatcher.adapters.dynamodb import DeliveryTable
from dispatcher.delivery.transitions import dead_letters_owed, next_due
from evidence.chaos.ledger import Write
from evidence.chaos.run import Plan, run
from tools.after_deploy import physical_ids
from tools.local_cloud import STACK

SMALL = Plan(
    seed=20_261_123,
    deliveries=60,
    users=20,
    most_retries=2,
    pace=20.0,
    callers=3,
    linger=3.0,
    patience=240.0,
    changing=10.0,
)


LATE = 2.0
"""Seconds after which a due delivery counts as forgotten by its doorbell."""


def hurry(rig, owed):
    """Do not wait for the leases of dead workers, nor for the sweeper where a doorbell was lost."""
    dynamodb = rig.cloud.session.client("dynamodb")
    # Only its deliveries are used.
    table = DeliveryTable(dynamodb, rig.stack["DeliveriesTableName"], "")
    for key in owed:
        row = table.message(*key)
        if row is None or not is_forgotten(row, rig):
            continue
        now = round(time.time(), 3)
        lease_until = row.lease_until and min(now, row.lease_until)
        ended = replace(row, rev=secrets.token_bytes(8), sweep_at=now, lease_until=lease_until)
        stored = table.write(ended, on=row.rev)
        # Another row has changed since it was read.
        if stored is not None and stored.rev == ended.rev:
            write = Write(row=ended, on=row.rev, at=now, pid=0, by_rig=True)
            rig.ledger.writes[ended.rev] = write
    sweeper = physical_ids(rig.cloud.session, STACK)["SweepDeliveriesFunction"]
    functions = rig.cloud.session.client("lambda", config=Config(read_timeout=90))
    response = functions.invoke(FunctionName=sweeper)
    assert "FunctionError" not in response, response["Payload"].read()


def is_forgotten(row, rig):
    """Return whether no process works on a message, and no doorbell rings for it soon."""
    now = time.time()
    if row.sweep_at is None or row.sweep_at <= now:
        return False
    if row.owner is not None:
        # The first of these writes is the claim; others may write the row while it is held.
        writes = (each for each in [*rig.ledger.writes.values()] if each.row.owner == row.owner)
        return next((each.pid in rig.workers.deaths for each in writes), False)
    due_at = next_due(row)
    return bool(dead_letters_owed(row)) or (due_at is not None and due_at < now - LATE)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the process to kill in /proc")
def test_every_promise_holds_under_faults(tmp_path):
    """No promise breaks under faulty AWS, failing receivers and dying processes."""
    outcome = run(SMALL, tmp_path / "chaos", print, hurry)

    assert {promise: cases for promise, cases in outcome.broken.items() if cases} == {}
    found = outcome.figures
    stored = found["statuses"].total()
    assert found["accepted"] + found["deliveries that no 202 named"] == stored
    assert found["accepted"] > SMALL.deliveries / 2
    assert found["holds begun by"].total() == found["holds ended by"].total() > 0
    assert min(found["deliveries by lock"], found["skipped, category off"]) > 0
    assert found["AWS calls"]["faulty"].keys() == {
        "throttled",
        "reset before the effect",
        "error 500",
        "error 503",
        "response lost after the effect",
    }
