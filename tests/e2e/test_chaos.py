"""`make chaos` in small: the same run, without waiting for the leases of dead workers."""

from __future__ import annotations

import sys

import pytest

from evidence.chaos.run import Plan, run

SMALL = Plan(
    seed=20_261_123,
    deliveries=60,
    users=20,
    most_retries=2,
    pace=20.0,
    callers=3,
    linger=3.0,
    patience=240.0,
    hasten=True,
    changing=10.0,
)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the process to kill in /proc")
def test_every_promise_holds_under_faults(tmp_path):
    """No promise breaks under faulty AWS, failing receivers and dying processes."""
    outcome = run(SMALL, tmp_path / "chaos", print)

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
