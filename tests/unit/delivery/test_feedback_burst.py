"""A burst of reports under faults: 10,000 events, 30 % of the calls of AWS fail.

``python -m tests.unit.delivery.test_feedback_burst 10000`` prints the figures.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from dataclasses import replace

from dispatcher.errors import TooEarlyError, UnavailableError
from dispatcher.responses import rfc3339
from tests.audit import MEANINGS, RANKS
from tests.fakes import Faulty, MemoryEventLog
from tests.feedback import event
from tests.rig import CONFIGS, ENVIRON
from tests.world import USER, World

FAULTY = 0.3
RECEIVES = 20
NAMES = [name for name in MEANINGS if not name.startswith("text_")]
TYPES = ("EMAIL", "SLACK", "CLI")
TABLE = ("message", "visit", "write")
USERS = ("get", "set_suppressions")
QUEUES = ("ring", "send_dead_letter")


class Quiet(MemoryEventLog):
    """Keeps no line: there are tens of thousands."""

    def emit(self, event, **fields):
        """Forget it."""


class Burst:
    """Messages, the reports about them, and FeedbackQueue."""

    def __init__(self, seed: int, events: int) -> None:
        self.dice = random.Random(seed)
        self.figures = Counter(events=events)
        self.world = World(event_log=Quiet(), **ENVIRON)
        for priority, name in enumerate(TYPES, 1):
            self.world.override(name, enabled=True, priority=priority, config=CONFIGS[name])
        self.expected: dict[str, list[str]] = {}
        self.late: list[tuple[str, object, int]] = []
        self.queue = self._write(events)
        context = replace(
            self.world.context,
            messages=Faulty(self.world.table, self._fate, *TABLE),
            doorbells=Faulty(self.world.doorbells, self._fate, *QUEUES),
        )
        users = Faulty(self.world.overrides, self._fate, *USERS)
        self.feedback = replace(
            self.world.feedback,
            context=context,
            holds=replace(self.world.holds, context=context, overrides=users),
            suppressions=replace(self.world.suppressions, overrides=users),
        )

    def _fate(self, _name: str) -> str:
        self.figures["calls"] += 1
        if self.dice.random() >= FAULTY:
            return ""
        self.figures["faulty"] += 1
        return self.dice.choice(["throttled", "lost"])

    def _write(self, events: int) -> list[str]:
        """Send messages, most of which are delivered, and write the reports about them."""
        bodies: list[str] = []
        while len(bodies) < events:
            mode = self.dice.choice(["all", "first_success"])
            email, *_ = self.world.send(integration_types=list(TYPES), mode=mode)
            if self.dice.random() < 0.9:
                self.world.run()
            else:
                # Attempted only after its reports have come.
                self.late += self.world.doorbells.taken()
            names = self.dice.sample(NAMES, self.dice.choice([1, 1, 2]))
            self.expected[email] = names
            for number, name in enumerate(names):
                at = rfc3339(self.world.clock.now() + number)
                report = event(name, USER, email, at=at, address=USER)
                bodies += [json.dumps(report)] * self.dice.choice([1, 1, 2])
            if self.dice.random() < 0.02:
                bodies.append(json.dumps(event("delivery", USER, email, stack="another")))
                self.figures["foreign"] += 1
        return bodies

    def run(self) -> Counter[str]:
        """Take all events in any order until none is left; then let everything come to rest."""
        began = time.process_time()
        left = Counter(range(len(self.queue)))
        while left:
            for number in self.dice.sample(list(left), len(left)):
                self._take(left, number)
            self.world.doorbells.rung += self.late
            self.late.clear()
            self.world.run()
            self.world.clock.advance(60)
        for _ in range(20):
            self.world.sweeper.sweep()
            self.world.run()
            self.world.clock.advance(60)
        self.figures["ms per event"] = round(
            (time.process_time() - began) * 1000 / len(self.queue), 2
        )
        self.figures["parked"] += len(self.world.doorbells.parked)
        self.figures["deliveries"] = len(self.expected)
        self.figures["lost"] = sum(not self._is_right(one) for one in self.expected)
        return self.figures

    def _take(self, left: Counter[int], number: int) -> None:
        self.figures["receives"] += 1
        try:
            self.feedback.take(self.queue[number], str(number))
        except (UnavailableError, TooEarlyError) as error:
            self.figures[type(error).__name__] += 1
            left[number] += 1
            if left[number] <= RECEIVES:
                return
            self.figures["given up"] += 1
        del left[number]

    def _is_right(self, email: str) -> bool:
        """Return whether a delivery and its chain ended as the contract's table says."""
        row = self.world.row(email)
        one = row.deliveries[0]
        if one.status == "skipped":
            # An earlier report had suppressed the address when it was attempted.
            self.figures["skipped"] += 1
            return (one.error_code or "").startswith("address_") and not any(
                other.is_pending for other in row.deliveries
            )
        meanings = [MEANINGS[name] for name in self.expected[email]]
        states = {state for state, _ in meanings if state}
        rank = max(map(RANKS.__getitem__, states), default=None)
        found = one.receipt and one.receipt.state
        refuted = any(code for _, code in meanings)
        if (RANKS[found] if found else None) != rank or (one.status == "failed") is not refuted:
            return False
        self.figures["bounced" if refuted else "kept"] += 1
        if row.mode == "all":
            return [str(other.status) for other in row.deliveries[1:]] == ["success", "success"]
        others = ["success", "skipped"] if refuted else ["skipped", "skipped"]
        return [str(other.status) for other in row.deliveries[1:]] == others


def test_a_burst_under_faults_ends_as_the_table_says():
    """No report is lost, whatever its order; foreign ones are parked, and no other."""
    figures = Burst(11, 2000).run()

    assert figures["lost"] == 0
    assert figures["parked"] == figures["foreign"] > 0
    assert figures["given up"] == 0
    assert min(figures["bounced"], figures["kept"], figures["TooEarlyError"]) > 0
    assert figures["faulty"] > 1000


if __name__ == "__main__":
    sys.stdout.write(f"{dict(Burst(11, int(sys.argv[1])).run())}\n")
