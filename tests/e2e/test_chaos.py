"""`make chaos` in small: the same run, with minutes cut short for workers that are dead."""

from __future__ import annotations

import sys

import pytest

from tools.chaos.run import Plan, run

SMALL = Plan(
    seed=20_261_123,
    deliveries=60,
    people=20,
    most_retries=2,
    pace=20.0,
    callers=3,
    linger=3.0,
    patience=240.0,
    hasten=True,
)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker to kill in /proc")
def test_every_promise_holds_under_faults(tmp_path):
    """Faulty AWS, bad receivers, dying workers: nothing lost or early, no duplicate unexplained."""
    outcome = run(SMALL, tmp_path, print)

    assert {rule: cases for rule, cases in outcome.reckoning.broken.items() if cases} == {}
    there = outcome.accepted + outcome.reckoning.unpromised
    assert there == sum(outcome.reckoning.statuses.values())
    assert outcome.accepted > SMALL.deliveries / 2
    assert outcome.calls.faulty.keys() == {
        "throttled",
        "reset before the effect",
        "error 500",
        "error 503",
        "answer lost after the effect",
    }
