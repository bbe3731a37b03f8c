"""Clauses of holds and pauses that are left out of the code: the player finds each of them.

The names are those of ``tests/protocol_model``, which does the same with the model.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.configuration.overrides import Configurations
from dispatcher.configuration.receiver_health import PROBE, is_explained
from dispatcher.delivery import holds, receivers
from dispatcher.delivery.holds import Holds
from dispatcher.delivery.receivers import Receivers
from dispatcher.delivery.replan import Replanner
from dispatcher.delivery.transitions import may_attempt
from tests.player import Player, Setting

SCENARIOS = range(1, 61)
TYPES = ("WEBHOOK", "SLACK", "EMAIL")


class ReadOnce:
    """Returns what the first read returned, as if nothing could change meanwhile."""

    def __init__(self, overrides):
        self._overrides = overrides
        self._first = None

    def get(self, user_id):
        """Read once."""
        self._first = self._first or self._overrides.get(user_id)
        return self._first


def no_second_look(patch):
    """H4: a write that holds is not followed by another read of the preferences."""
    patch.setattr(Holds, "check", lambda _self, row, *_, **__: row)


def no_last_look(patch):
    """H9: a re-plan does not read the preferences again at its end."""
    replan = Replanner.replan

    def once(self, user_id):
        known = ReadOnce(self.holds.overrides)
        return replan(replace(self, holds=replace(self.holds, overrides=known)), user_id)

    patch.setattr(Replanner, "replan", once)


def no_hold(patch):
    """P1: a paused receiver is sent to."""
    patch.setattr(holds, "needs_probe", lambda _: False)
    patch.setattr(holds, "resumes", lambda _, t: t)


def many_probes(patch):
    """P2: each delivery after a pause is a probe."""

    def paused_until(health, t):
        return max(t, (health and not health.disabled and health.paused_until) or 0.0)

    patch.setattr(holds, "resumes", paused_until)
    patch.setattr(receivers, "probing", lambda one, now: replace(one, probe_until=now + PROBE))


def only_last_failures(patch):
    """P3: a failed probe that has retries left begins no pause."""
    judge = Receivers.judge

    def last(self, row, delivery, outcome, users, probe):
        if probe is not None and may_attempt(delivery) and is_explained(outcome.code):
            return None
        return judge(self, row, delivery, outcome, users, probe)

    patch.setattr(Receivers, "judge", last)


def by_version(patch):
    """P4: the end of a probe is lost if the user's row has changed."""
    patch.setattr(receivers, "TRIES", 1)


def no_release(patch):
    """P5: a change or deletion of the override that ends a pause does not plan again."""
    patch.setattr(Configurations, "_release", lambda *_: None)


HOLDS = [no_second_look, no_last_look]
PAUSES = [no_hold, many_probes, only_last_failures, by_version, no_release]


@pytest.mark.parametrize("leave_out", [*HOLDS, *PAUSES], ids=lambda one: one.__doc__[:2])
def test_the_player_finds_a_clause_that_is_left_out(leave_out, monkeypatch):
    """One of a few scenarios without faults breaks a promise."""
    leave_out(monkeypatch)
    for seed in SCENARIOS:
        setting = Setting.of(seed, "quiet")
        if leave_out in PAUSES:
            setting = replace(setting, down=TYPES[seed % len(TYPES)])
        if Player(seed, setting=setting).play().broken:
            return
    pytest.fail(f"no scenario up to {SCENARIOS[-1]} found: {leave_out.__doc__}")
