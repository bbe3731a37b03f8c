"""The promises of delivery in random scenarios, which ``tests/player.py`` plays in virtual time.

``make fuzz`` plays many more.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import settings

from dispatcher.delivery.transitions import TABLE, State, Transition
from tests.player import KINDS, TYPES, Player, Setting

SCENARIOS = range(1, 301)
RARE_SCENARIOS = range(1, 101)


class Insistent(Player):
    """A scenario of two deliveries that fail, and of callers who retry them all the time."""

    def write(self):
        """Send one message and ask for new rounds, whether they are possible or not."""
        draw = random.Random(f"{self.seed}:insistent")
        types = ["WEBHOOK", "TEST"]
        for name in types:
            self.policy(name, enabled=True)
        body = self.body("r-0", types, "all")
        self.at(1.0, self.send, body)
        for number in range(200):
            self.at(2 + number * 3 * draw.random(), self.retry, "r-0", draw.choice(types))


class EqualRequests(Player):
    """A scenario of 50 equal requests in parallel."""

    def write(self):
        """Send one body 50 times within 50 ms."""
        draw = random.Random(f"{self.seed}:equal")
        types = draw.sample(["WEBHOOK", "TEST", "SMS", "CLI", "EMAIL"], draw.choice([1, 3, 5]))
        for name in types:
            self.policy(name, enabled=True)
        body = self.body("r-0", types, draw.choice(["all", "first_success"]))
        for _ in range(50):
            self.at(1 + 0.05 * draw.random(), self.send, body)


class InOrder(Player):
    """A scenario of one ``first_success`` message over everything."""

    def write(self):
        """Send it."""
        for name in TYPES:
            self.policy(name, enabled=True)
        self.at(1.0, self.send, self.body("r-0", list(TYPES), "first_success"))


def rare(seed: int):
    """Yield players whose scenarios make rare transitions likely."""
    # AWS holds up the record until the retry is due.
    faulty = Setting.of(seed, "aws")
    attempts = dict.fromkeys(faulty.max_attempts, 11)
    busy = replace(faulty, aws=0.6, delay=1, receivers=(0, 1, 0, 0, 0), send_seconds=0.5)
    yield Player(seed, setting=replace(busy, max_attempts=attempts, faults_until=3000.0))
    # A worker crashes beside a new round that an API with a slow clock opened.
    refused = (0, 0, 1, 0, 0)
    crashing = replace(Setting.of(seed, "crash"), crash=0.03, skewed=True, faults_until=600.0)
    yield Insistent(seed, setting=replace(crashing, receivers=refused))
    # An invocation ends between two deliveries.
    short = replace(Setting.of(seed, "quiet"), invocations=(45.0,), send_seconds=9.0)
    yield InOrder(seed, setting=replace(short, receivers=refused))


FREED_EARLY = (Transition.BEGIN, State.WAITING, State.PENDING)
"""A delivery that an expired claim frees was due before that claim, unless a clock jumps."""

EVERY_CHANGE = {(name, *change) for name, changes in TABLE.items() for change in changes} - {
    FREED_EARLY
}


@pytest.fixture(scope="module")
def reports():
    """Return what all scenarios came to: the random ones, then rare ones while they are needed.

    `make fuzz` plays all rare ones.
    """
    is_long = settings.get_current_profile_name() == "long"
    played = [Player(seed).play() for seed in SCENARIOS]
    seen = {change for report in played for change in report.changes}
    for seed in RARE_SCENARIOS:
        if seen >= EVERY_CHANGE and not is_long:
            break
        rarities = [player.play() for player in rare(seed)]
        seen |= {change for report in rarities for change in report.changes}
        played += rarities
    return played


def test_no_promise_breaks(reports):
    """In no scenario a promise breaks; `python -m tests.player --seed SEED --shrink` shows why."""
    assert [(report.seed, report.broken) for report in reports if report.broken] == []


def test_every_transition_is_exercised(reports):
    """Every change of state in the table occurs, except one that needs a clock that jumps."""
    seen = {change for report in reports for change in report.changes}

    assert seen == EVERY_CHANGE


def test_every_kind_of_trouble_is_exercised(reports):
    """Faults, repairs and reused names occur, and every kind of scenario."""
    counts = sum((report.counts for report in reports), Counter())
    assert {report.kind for report in reports} == set(KINDS)
    assert {
        *("throttled", "lost", "crash", "stall", "duplicates", "content_expired"),
        *("orphans", "orphans too late", "identities reused"),
        *("held", "preferences", "pauses", "probes", "pauses ended", "recovered"),
    } <= {name for name, count in counts.items() if count}


def test_a_scenario_is_the_same_every_time():
    """A seed is a scenario: its faults, its writes and its sends."""
    first, second = (Player(4, "all", traced=True).play() for _ in range(2))

    assert first.trace
    assert first == second


@pytest.mark.parametrize("seed", range(1, 6))
def test_fifty_equal_requests_make_one_message(seed):
    """They get equal responses immediately, and one set of deliveries is created."""
    player = EqualRequests(seed, "quiet")

    report = player.play()

    assert report.broken is None
    assert len(player.rig.world.table.messages()) == 1
    assert report.counts["responses"] == 50
