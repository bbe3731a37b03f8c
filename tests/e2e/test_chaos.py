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

    assert {rule: cases for rule, cases in outcome.findings.broken.items() if cases} == {}
    stored = sum(outcome.findings.statuses.values())
    assert outcome.accepted + outcome.findings.unpromised == stored
    assert outcome.accepted > SMALL.deliveries / 2
    found = outcome.findings
    assert found.held.total() == found.released.total() > 0
    assert min(found.by_lock, found.switched_off) > 0
    assert outcome.faults.faulty.keys() == {
        "throttled",
        "reset before the effect",
        "error 500",
        "error 503",
        "response lost after the effect",
    }
