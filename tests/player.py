"""The scenario player: random scenarios of delivery under faults, in virtual time.

It drives the same use cases as the state machine (``tests/rig.py``), but every actor moves on by
itself: a scenario is one user's hours or days, with queues, a sweep every minute, receivers that
fail, and one kind of fault. A seed is a scenario, so a broken promise can be played again:

    python -m tests.player --scenarios 20000           # exit status 1 if a promise breaks
    python -m tests.player --kind crash --seed 5000    # one kind of fault, from seed 5000 on
    python -m tests.player --seed 17 --trace           # one scenario, every step
    python -m tests.player --seed 17 --shrink          # only the faults that break its promise
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from dispatcher.configuration.hours import DAYS
from dispatcher.configuration.rows import Preferences
from dispatcher.delivery.outcomes import Delivered, Outcome, Permanent, Retry
from dispatcher.delivery.rows import Status
from dispatcher.delivery.transitions import TABLE
from dispatcher.responses import rfc3339
from tests.audit import SKEW
from tests.rig import INVOCATION, NO_PAUSES, Rig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dispatcher.delivery.ports import Message
    from tests.audit import Change
    from tests.rig import Sent
    from tests.steps import Actor

KINDS = ("quiet", "aws", "crash", "stall", "all")
"""Faults in a scenario, beside receivers: none, AWS, processes, or all of them."""

TYPES = ("SLACK", "EMAIL", "WEBHOOK", "SMS", "CLI", "TOOL", "TEST")
STORIES: Mapping[str, list[tuple[str, ...]]] = {
    "EMAIL": [
        (),
        ("delivery",),
        ("delay", "delivery"),
        ("delivery", "bounce_permanent"),
        ("bounce_permanent",),
        ("bounce_mailbox_full",),
        ("bounce_mailbox_full", "bounce_permanent"),
        ("delivery", "complaint"),
        ("reject",),
    ],
    "SMS": [(), ("text_delivered",), ("text_blocked",), ("text_opted_out",)],
}
"""Reports of providers, by integration, in the order of their times."""
BATCH = 3
MINUTE = 60.0
DAY = 86_400.0
SDK_TRIES = 3

PAUSE_RULES = "2/100/120/1000/5000"
"""Failures, and scaled seconds: since the first, first and longest pause, until disabled."""

SLOW_WRITES = 0.3
"""Probability that a write of a re-plan takes up to a second: a later one may overtake it."""

RACES = 6
"""Changes of preferences in a scenario that come at the same time as something else."""

PATIENCE = 12 * 3600.0
"""Seconds after which the sweeper is taken to be alone forever: no delay is longer."""

MOST_STEPS = 20_000
"""Steps after which a scenario is taken to go on forever."""

Fault = tuple[str, int, str]
"""An actor, the number of its step, and the fault that it meets there."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The fixed values of a scenario."""

    kind: str
    aws: float
    crash: float
    stall: float
    """Probabilities at each step."""
    faults_until: float
    skewed: bool
    doubled: float
    reordered: float
    lag: float
    overlap: float
    receivers: tuple[int, ...]
    """Weights of: delivers, is busy, refuses, times out, asks for time."""
    asked_for: float
    """Seconds that a receiver asks for."""
    send_seconds: float
    invocations: tuple[float, ...]
    """Seconds that an invocation of the worker may take."""
    delay: int
    max_attempts: dict[str, int]
    retention: float
    down: str | None
    """The integration whose receiver is down for some time."""

    @classmethod
    def of(cls, seed: int, kind: str | None) -> Setting:
        """Draw the setting of a seed."""
        draw = random.Random(f"{seed}:setting")
        kind = kind or draw.choice(["quiet", "quiet", "aws", "crash", "stall", "all", "all"])
        aws, crash, stall = {
            "quiet": (0.0, 0.0, 0.0),
            "aws": (draw.choice([0.1, 0.3, 0.5]), 0.0, 0.0),
            "crash": (0.0, draw.choice([0.01, 0.03, 0.1]), 0.0),
            "stall": (0.0, 0.0, draw.choice([0.01, 0.04])),
            "all": (
                draw.choice([0.05, 0.3]),
                draw.choice([0.005, 0.03]),
                draw.choice([0.002, 0.02]),
            ),
        }[kind]
        return cls(
            kind=kind,
            aws=aws,
            crash=crash,
            stall=stall,
            faults_until=0.0 if kind == "quiet" else draw.choice([100.0, 600.0, 3000.0]),
            skewed=draw.random() < 0.6,
            doubled=draw.choice([0, 0.02, 0.2]),
            reordered=draw.choice([0, 0.1, 0.5]),
            lag=draw.choice([0, 1, 3] if kind == "quiet" else [0, 2, 90]),
            overlap=draw.choice([0, 0.3]),
            receivers=draw.choice(
                [
                    (1, 0, 0, 0, 0),
                    (7, 2, 1, 1, 0),
                    (3, 5, 1, 1, 0),
                    (0, 1, 0, 0, 0),
                    (1, 1, 1, 0, 0),
                    (4, 3, 0, 0, 1),
                    (1, 0, 2, 0, 0),
                    (0, 0, 0, 0, 1),
                ]
            ),
            asked_for=draw.choice([1000.0, 1000.0, 20_000.0]),
            send_seconds=draw.choice([0.5, 9.0]),
            invocations=(INVOCATION,) if kind == "quiet" else (INVOCATION, INVOCATION, 45.0),
            delay=draw.choice([1, 5, 30, 60, 300, 901, 3600]),
            max_attempts={name: draw.choice([1, 1, 2, 3, 4, 11]) for name in TYPES},
            retention=draw.choice([90 * DAY, 90 * DAY, 4000.0]),
            down=draw.choice(["WEBHOOK", "SLACK", "EMAIL"]) if draw.random() < 0.12 else None,
        )


@dataclass
class Report:
    """The result of a scenario."""

    seed: int
    kind: str
    broken: str | None
    """The promise that broke, and how."""
    faults: list[Fault]
    counts: Counter[str]
    changes: set[Change]
    latest: dict[int, float]
    trace: list[str] = field(default_factory=list)


class Player:
    """Plays the scenario of a seed."""

    def __init__(
        self,
        seed: int,
        kind: str | None = None,
        *,
        setting: Setting | None = None,
        without: frozenset[Fault] = frozenset(),
        traced: bool = False,
    ) -> None:
        self.seed = seed
        self.setting = setting or Setting.of(seed, kind)
        self.faults: list[Fault] = []
        self.counts: Counter[str] = Counter()
        self.trace: list[str] = []
        self._without = without
        self._traced = traced
        self._draw = random.Random(f"{seed}:world")
        self.rig = Rig(
            self._decide,
            quiet=self.setting.kind == "quiet",
            retention=self.setting.retention,
            lag=lambda: self.setting.lag * self._draw.random(),
            pause_rules=PAUSE_RULES if self.setting.down else NO_PAUSES,
        )
        self.clock = self.rig.clock
        self._begin = self.clock.seconds
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._background = (self._tick, self._expire)
        self._coming = 0
        self._dice: dict[Actor, random.Random] = {}
        self._names: dict[Actor, str] = {}
        self._numbers: Counter[str] = Counter()
        self._steps: Counter[Actor] = Counter()
        self._total = 0
        self._worked_at = 0.0
        self._tries: Counter[Actor] = Counter()
        self._arrived: list[Sent] = []
        self._hours = random.Random(f"{seed}:hours")
        self._reports = random.Random(f"{seed}:reports").random() < 0.5
        self._down = (0.0, 0.0)
        self._slow: set[Actor] = set()

    @property
    def now(self) -> float:
        """The seconds since the scenario began."""
        return self.clock.seconds - self._begin

    def play(self) -> Report:
        """Play to the end, or until a promise breaks."""
        broken = None
        try:
            self.write()
            self._run()
            self.rig.audit.hold_at_rest()
        except AssertionError as error:
            name = error.__traceback__ and _promise(error.__traceback__)
            broken = f"{name}: {error}"
        finally:
            for actor in list(self.rig.actors):
                if not actor.done:
                    actor.go_on("crash")
        audit = self.rig.audit
        sends = sum(claim.sends for claim in audit.claims)
        return Report(
            self.seed,
            self.setting.kind,
            broken,
            self.faults,
            self.counts + audit.counts + Counter(scenarios=1, sends=sends, steps=self._total),
            audit.changes,
            audit.latest,
            self.trace,
        )

    # Time -----------------------------------------------------------------------------------------

    def at(self, seconds: float, work: Callable[..., None], *args: Any) -> None:
        """Do something so many seconds after the scenario began."""
        self._coming += work not in self._background
        heapq.heappush(self._heap, (seconds, next(self._order), work, args))

    def _run(self) -> None:
        self.at(self._draw.random() * MINUTE, self._tick)
        if self.setting.retention < DAY:
            self.at(600.0, self._expire)
        while self._heap:
            at, _, work, args = heapq.heappop(self._heap)
            if work not in self._background:
                self._coming -= 1
            elif not self._coming:
                if not self._is_open():
                    return
                assert at < self._worked_at + PATIENCE, f"never handled: {self.rig.swept()}"
            assert self._total < MOST_STEPS, f"never ends: {self.rig.swept()}"
            self.clock.seconds = max(self.clock.seconds, self._begin + at)
            work(*args)

    def _is_open(self) -> bool:
        return bool(self.rig.reports) or any(
            row.sweep_at is not None
            or any(one.is_pending or one.dead_letter_owed for one in row.deliveries)
            for row in self.rig.world.table.messages()
        )

    def _tick(self) -> None:
        """Sweep, if the index may show a row that is overdue; else pass over empty minutes."""
        swept = [row.sweep_at for row in self.rig.swept() if row.sweep_at is not None]
        overdue = min(swept, default=float("inf")) <= self.clock.seconds + SKEW + 1
        if overdue or self.rig.changed_within(100.0):
            self._sweep()
            if self._draw.random() < self.setting.overlap:
                self.at(self.now + self._draw.random() * 5, self._sweep)
        coming = min(swept, default=float("inf")) - self._begin - SKEW - 1
        events = min(
            (entry[0] for entry in self._heap if entry[2] != self._expire), default=float("inf")
        )
        idle = min(coming, events, self.now + 100 * DAY) - self.now
        self.at(self.now + MINUTE * max(1, int(idle // MINUTE)), self._tick)

    def _sweep(self) -> None:
        self._begin_all(self.rig.sweep(self._skew()))

    def _expire(self) -> None:
        """Let DynamoDB remove expired rows, in any order, some time later."""
        for row in self.rig.expired():
            if self._draw.random() < 0.5:
                self.rig.remove(row)
        self.at(self.now + self._draw.choice([600.0, 3000.0]), self._expire)

    # Steps ----------------------------------------------------------------------------------------

    def _begin_all(self, actors: Iterable[Actor]) -> None:
        for actor in actors:
            kind = actor.name.split()[0]
            self._numbers[kind] += 1
            self._names[actor] = name = f"{kind}#{self._numbers[kind]}"
            self._dice[actor] = random.Random(f"{self.seed}:{name}")
            self.at(self.now, self._step, actor)

    def _step(self, actor: Actor) -> None:
        """Let an actor go on, or meet a fault."""
        if actor.done:
            return
        dice = self._dice[actor]
        self._steps[actor] += 1
        self._total += 1
        if not self._names[actor].startswith("sweep"):
            self._worked_at = self.now
        if actor.wants is None:
            later, fate = self._fate(actor, dice)
            if later:
                self.at(self.now + later, self._step, actor)
                return
        else:
            fate = "crash" if self._happens(actor, dice, "crash", self.setting.crash) else ""
        self._go_on(actor, fate)
        if actor.done:
            self.rig.end(actor)
        else:
            wait = dice.random() * 0.05 if actor.wants is None else actor.wants
            self.at(self.now + wait, self._step, actor)
        for message in self.rig.collect():
            self._sent(message)
        self.rig.audit.hold()

    def _go_on(self, actor: Actor, fate: str) -> None:
        if not self._traced:
            actor.go_on(fate)
            return
        who = f"{self.now:10.2f} {self._names[actor]:10}"
        self.trace.append(f"{who} {actor.at} {fate}")
        known = len(self.rig.audit.moves)
        actor.go_on(fate)
        self.trace += [f"{who} {_difference(move)}" for move in self.rig.audit.moves[known:]]
        if actor.error:
            self.trace.append(f"{who} {actor.error!r}")

    def _fate(self, actor: Actor, dice: random.Random) -> tuple[float, str]:
        """Return the seconds for which an actor stays at a stop, or the fate that it meets."""
        setting = self.setting
        if self._happens(actor, dice, "crash", setting.crash):
            return 0.0, dice.choice(["crash", "crash after"])
        if self._happens(actor, dice, "stall", setting.stall):
            return dice.uniform(*dice.choice([(15, 90), (70, 800)])), ""
        is_replan = actor.name.startswith("prefer") and actor.at == "before write"
        if is_replan and actor not in self._slow and dice.random() < SLOW_WRITES:
            self._slow.add(actor)
            return dice.uniform(0.1, 1.0), ""
        self._slow.discard(actor)
        if actor.at.startswith("before ") and actor.at != "before send":
            fate = dice.choice(["throttled", "lost"])
            if not self._happens(actor, dice, fate, setting.aws):
                self._tries[actor] = 0
                return 0.0, "slow" if dice.random() < 0.2 else ""
            self._tries[actor] += 1
            if self._tries[actor] < SDK_TRIES:
                # A throttle comes immediately; without a connection, the SDK waits for a second.
                pause = 0.1 * 2 ** self._tries[actor] + dice.choice([0.0, 1.0])
                return (pause, "") if fate == "throttled" else (0.0, "repeated")
            self._tries[actor] = 0
            if actor.at == "before write":
                self.rig.audit.excuse(actor, "aws")
            if actor.at in {"before replace", "before get"}:
                self.rig.audit.unjudge(actor)
            return 0.0, fate
        return 0.0, ""

    def _happens(self, actor: Actor, dice: random.Random, fault: str, probability: float) -> bool:
        happens = dice.random() < probability and self.now < self.setting.faults_until
        key = (self._names[actor], self._steps[actor], f"{fault} {actor.at}")
        if not happens or key in self._without:
            return False
        self.faults.append(key)
        self.counts[fault] += 1
        return True

    # Queues ---------------------------------------------------------------------------------------

    def _sent(self, message: Sent) -> None:
        """Let a queue message arrive: late, in another order, twice."""
        late = self._draw.random() * (20 if self._draw.random() < self.setting.reordered else 0.2)
        at = message.visible_at - self._begin + late
        self.at(at, self._arrive, message)
        if self._draw.random() < self.setting.doubled:
            self.at(at + self._draw.random() * 3, self._arrive, message)

    def _arrive(self, message: Sent) -> None:
        self.rig.collect()
        if message in self.rig.messages:
            if not self._arrived:
                self.at(self.now + 0.05, self._receive)
            self._arrived.append(message)

    def _receive(self) -> None:
        arrived = list(dict.fromkeys(self._arrived))
        self._arrived.clear()
        self._draw.shuffle(arrived)
        for first in range(0, len(arrived), BATCH):
            batch = arrived[first : first + BATCH]
            seconds = self._draw.choice(self.setting.invocations)
            self._begin_all(self.rig.receive(batch, self._skew(), seconds))
            for message in batch:
                # It comes again unless it is deleted until then.
                self.at(message.visible_at - self._begin, self._arrive, message)

    def _decide(self, message: Message) -> tuple[Outcome, float]:
        """Return what a receiver does with the message, and the seconds it takes for that."""
        self._numbers[message.delivery_id] += 1
        number = self._numbers[message.delivery_id]
        dice = random.Random(f"{self.seed}:{message.integration_type}:{number}")
        seconds = dice.random() * self.setting.send_seconds
        outcomes: list[tuple[Outcome, float]] = [
            (Delivered({"id": number}), seconds),
            (Retry("http_503", "busy"), seconds),
            (Permanent("http_404", "no"), seconds),
            (Retry("timeout", "nothing came"), 10.01),
            (Retry("http_429", "slow down", after=self.setting.asked_for), seconds),
        ]
        chosen = dice.choices(outcomes, self.setting.receivers)[0]
        if message.integration_type == self.setting.down:
            chosen = outcomes[0]
            if self._down[0] <= self.now < self._down[1]:
                chosen = dice.choice([outcomes[1], outcomes[1], outcomes[3]])
        if self._reports and message.integration_type in STORIES:
            self._write_reports(message, number, chosen[0])
        return chosen

    def _write_reports(self, message: Message, number: int, outcome: Outcome) -> None:
        """Draw what the provider reports later about a message that it may have accepted."""
        draw = random.Random(f"{self.seed}:{message.delivery_id}:{number}:reports")
        accepted = isinstance(outcome, Delivered) or outcome.code == "timeout"
        at = self.now
        for name in draw.choice(STORIES[message.integration_type]) if accepted else ():
            at += draw.choice([0.05, 1, 5, 60, 600]) * draw.uniform(0.2, 1)
            report = partial(self._report, name, message.delivery_id, message.round)
            for _ in range(draw.choice([1, 1, 2])):
                # Doubled, and in any order.
                self.at(at + draw.choice([0, 0, 30, 700]) * draw.random(), report)

    def _report(self, name: str, delivery_id: str, number: int) -> None:
        self._take(self.rig.report(name, delivery_id, number))

    def _take(self, report: Sent) -> None:
        if report not in self.rig.reports:
            return
        actor = self.rig.take(report, self._skew())
        if actor is not None:
            self._begin_all([actor])
            # It comes again unless it is deleted until then.
            self.at(report.visible_at - self._begin, self._take, report)

    def _skew(self) -> float:
        return self._draw.uniform(-SKEW, SKEW) if self.setting.skewed else 0.0

    # Scenarios ------------------------------------------------------------------------------------

    def write(self) -> None:
        """Draw what callers, users and operators do."""
        draw = random.Random(f"{self.seed}:scenario")
        for name in TYPES:
            self.policy(name, enabled=True)
        for number in range(draw.choice([1, 1, 1, 2])):
            self._write_request(draw, f"r-{number}")
        for _ in range(draw.choice([0, 0, 1, 2])):
            self.at(draw.choice([30, 300, 3000, 9000]) * draw.uniform(0.5, 1.5), self._redrive)
        if draw.random() < 0.15:
            self.at(draw.choice([1, 60, 600]) * draw.uniform(0.5, 1.5), self.rig.purge)
        self._write_preferences()
        if random.Random(f"{self.seed}:recover").random() < 0.2:
            self._write_recoveries()
        if self.setting.down:
            self._write_outage(self.setting.down)

    def _write_outage(self, name: str) -> None:
        """Draw messages for a receiver that is down, and changes that end its pauses."""
        draw = random.Random(f"{self.seed}:down")
        begin, length = draw.uniform(0, 200), draw.choice([400, 1200, 3000, 8000])
        self._down = (begin, begin + length)
        for number in range(draw.choice([5, 8])):
            others = draw.sample([one for one in TYPES if one != name], draw.choice([0, 0, 1]))
            body = self.body(
                f"d-{number}", [name, *others], draw.choice(["all", "all", "first_success"])
            )
            self.at(draw.choice([200, 200, 900, 4000]) * draw.random(), self.send, body)
        for _ in range(draw.choice([0, 1, 2])):
            when = begin + length * draw.uniform(0.2, 1.3)
            self.at(when, self._end_pause, name, draw.choice(["put", "delete"]))
        for _ in range(draw.choice([0, 0, 80])):
            self.at(begin + 100 + length * draw.uniform(0, 1.2), self.rig.touch)

    def _end_pause(self, name: str, how: str) -> None:
        """Let the user change or delete an override whose receiver is paused."""
        health = self.rig.audit.healths.get(name)
        if health is None or health.paused_until is None:
            if self.now < self._down[1]:
                self.at(self.now + 50, self._end_pause, name, how)
            return
        skew = self._skew()
        if how == "put":
            self._begin_all([self.rig.change(name, {"enabled": True}, skew)])
        else:
            self._begin_all([self.rig.delete(name, skew)])
            self.at(self.now + 600, self._enable, name)

    def _write_recoveries(self) -> None:
        """Draw recoveries of all that failed, some at the same time."""
        draw = random.Random(f"{self.seed}:recoveries")
        for _ in range(draw.choice([1, 2])):
            when = draw.choice([100, 1000, 5000, 9000]) * draw.uniform(0.5, 1.5)
            for _ in range(draw.choice([1, 1, 2])):
                self.at(when + draw.choice([0, 0.2]) * draw.random(), self._recover)

    def _recover(self) -> None:
        self._begin_all([self.rig.recover(self._skew())])

    def _write_preferences(self) -> None:
        """Draw changes of the user's preferences: mutes, hours, and their ends."""
        # A separate generator: the rest of a scenario does not depend on these draws.
        draw = random.Random(f"{self.seed}:preferences")
        if draw.random() < (0.75 if self.setting.down else 0.5):
            return
        if draw.random() < 0.3:
            self._write_races(draw)
            return
        for number in range(draw.choice([1, 2, 3, 5])):
            spread = draw.choice([100, 1000, 4000, 12_000]) if number else draw.choice([1, 100])
            self.at(draw.random() * spread, self._prefer, random.Random(draw.random()))

    def _write_races(self, draw: random.Random) -> None:
        """Draw an unmute in the moment of a send, or two changes while something is held."""
        begin = 0.0
        for number in range(RACES):
            begin += draw.uniform(150, 250)
            until = self._begin + begin + draw.uniform(1000, 3000)
            everything = {"integrations": TYPES}
            self.at(begin, self._set, {"hours": everything, "muted_until": until})
            body = self.body(f"x-{number}", draw.sample(TYPES, draw.choice([1, 2])), "all")
            self.at(begin + 5, self.send, body)
            if draw.random() < 0.5:
                self.at(begin + 5 + draw.uniform(-0.06, 0.03), self._set, {"muted_until": None})
                continue
            # Both changes hold: what is not held any more is moved by no re-plan.
            self.at(begin + 10, self._set, {"muted_until": until + 1000})
            soon = {"muted_until": self._begin + begin + draw.uniform(30, 60)}
            self.at(begin + 10 + draw.uniform(0.04, 0.4), self._set, soon)

    def _set(self, fields: dict[str, Any]) -> None:
        def change(old: Preferences | None) -> Preferences:
            base = old or Preferences(updated_at=0.0, updated_via="api")
            return replace(base, **fields)

        self._begin_all([self.rig.prefer(change, self._skew())])

    def _prefer(self, draw: random.Random) -> None:
        """Let the user change the preferences."""
        kind = draw.choice(["mute", "mute", "unmute", "hours", "hours", "always", "nothing"])
        mute = self.clock.seconds + draw.choice([20, 300, 1000, 10_000]) * draw.random()
        types = draw.sample(TYPES, draw.choice([1, 3, 7]))
        hours = {"integrations": types, "windows": windows(draw)}
        changes: dict[str, dict[str, Any]] = {
            "mute": {"muted_until": round(mute, 3)},
            "unmute": {"muted_until": None},
            "hours": {"hours": hours},
            "always": {"hours": {"integrations": types}},
            "nothing": {"muted_until": None, "hours": None},
        }

        def change(old: Preferences | None) -> Preferences | None:
            base = old or Preferences(updated_at=0.0, updated_via="api")
            new = replace(base, **changes[kind])
            return None if new.is_empty else new

        self._begin_all([self.rig.prefer(change, self._skew())])

    def _write_request(self, draw: random.Random, request_id: str) -> None:
        types = draw.sample(TYPES, draw.choice([1, 2, 3, 4, 4, 7]))
        at = draw.uniform(0, 100)
        begin = draw.choice([None, None, None, at + 40, at + 500, at + 2000])
        lasts = draw.choice([100, 1500]) if draw.random() < 0.15 else None
        body = self.body(request_id, types, draw.choice(["all", "all", "first_success"]))
        if begin is not None:
            body["deliver_at"] = rfc3339(self._begin + begin)
        if lasts is not None:
            body["expires_at"] = rfc3339(self._begin + (begin or at) + lasts)
        for number in range(draw.choice([1, 1, 2, 3])):
            later = draw.choice([0.01, 5, 700]) * draw.random() if number else 0.0
            self.at(at + later, self.send, body)
        if lasts is not None:
            # A repeat whose times have passed.
            self.at(at + draw.choice([lasts + 10, 4000]), self.send, body)
        for name in types:
            self._write_delivery(draw, request_id, name, at, begin or at)
        if self.setting.retention < DAY and draw.random() < 0.7:
            self.at(at + 2000, self._write_reuse, random.Random(draw.random()), request_id, body)

    def _write_delivery(
        self, draw: random.Random, request_id: str, name: str, at: float, begin: float
    ) -> None:
        """Draw cancels, retries and opt-outs of one delivery."""
        if draw.random() < 0.25:
            when = at + draw.choice([0.02, 0.3, 5, 70, 900]) * draw.uniform(0.5, 1.5)
            # Around the minute in which the sweeper rings ahead.
            ahead = begin - 900 + draw.uniform(-5, 65)
            self.at(draw.choice([when, max(when, ahead)]), self._cancel, request_id, name)
        if draw.random() < 0.06:
            when = at + draw.choice([0.1, 20, 50, 500]) * draw.random()
            self.at(when, self._disable, name)
            if draw.random() < 0.5:
                self.at(when + draw.choice([10, 1000]), self._enable, name)
        for _ in range(*draw.choices([0, 1, 2, 15], [60, 20, 20, 3])):
            when = at + draw.choice([1, 20, 20.1, 100, 2500, 3900, 9000]) * draw.uniform(1, 1.1)
            self.at(when, self.retry, request_id, name)

    def _write_reuse(self, draw: random.Random, request_id: str, body: dict[str, Any]) -> None:
        """Draw what happens around the end of an identity: repeats, new messages, new rounds."""
        for row in self.rig.requests():
            if row.request_id != request_id:
                continue
            end = row.ttl - self._begin
            moments = [-100.0, -6.0, 0.0, 6.0, 100.0, 3000.0, 5000.0, 9000.0]
            for _ in range(draw.choice([1, 2, 3])):
                types = [one.type for one in row.deliveries] or ["TEST"]
                other = self.body(request_id, types, row.mode)
                self.at(end + draw.choice(moments), self.send, draw.choice([body, other, other]))
            for name in (one.type for one in row.deliveries):
                self.at(end + draw.choice(moments), self.retry, request_id, name)

    def body(self, request_id: str, types: list[str], mode: str) -> dict[str, Any]:
        """Return the body of a send, with unique content."""
        self._numbers["bodies"] += 1
        urgent = {"category": "urgent"} if self._hours.random() < 0.1 else {}
        return {
            **urgent,
            "request_id": request_id,
            "content": f"content {self._numbers['bodies']}",
            "integration_types": types,
            "mode": mode,
        }

    def send(self, body: dict[str, Any]) -> None:
        """Let a caller send."""
        self._begin_all([self.rig.send(body, self._skew())])

    def retry(self, request_id: str, name: str) -> None:
        """Let a caller retry the request's delivery over an integration, if there is one."""
        for did in self._found(request_id, name, Status.FAILED, Status.PENDING):
            now = self._hours.random() < 0.2
            self._begin_all([self.rig.retry(did, self._skew(), now=now)])

    def _cancel(self, request_id: str, name: str) -> None:
        for did in self._found(request_id, name, Status.PENDING, Status.SUCCESS):
            self._begin_all([self.rig.cancel(did, self._skew())])

    def _found(self, request_id: str, name: str, *statuses: Status) -> list[str]:
        return [
            row.delivery_id(place)
            for row in self.rig.world.table.messages()
            for place, one in enumerate(row.deliveries)
            if row.request_id == request_id and one.type == name and one.status in statuses
        ]

    def _redrive(self) -> None:
        bodies = list(self.rig.dead_letters)
        self.rig.dead_letters.clear()
        for body in bodies:
            self._sent(self.rig.redrive(body))

    def policy(self, name: str, *, enabled: bool) -> None:
        """Let the user store an override with the scenario's retry policy."""
        attempts = self.setting.max_attempts[name]
        if name == self.setting.down:
            # A pause begins when rounds end.
            attempts = min(attempts, 2)
        self.rig.override(
            name,
            enabled=enabled,
            retry_count=attempts - 1,
            retry_delay_seconds=self.setting.delay,
        )

    def _disable(self, name: str) -> None:
        self.policy(name, enabled=False)

    def _enable(self, name: str) -> None:
        self.policy(name, enabled=True)


def windows(draw: random.Random) -> list[dict[str, Any]]:
    """Return windows of 15 minutes to an hour that open every two or three hours."""
    number = draw.choice([8, 10, 12])
    first, length = draw.randrange(1440 // number), draw.choice([15, 30, 60])
    starts = [first + index * 1440 // number for index in range(number)]
    return [
        {"days": list(DAYS), "from": _clock(start), "to": _clock((start + length) % 1440)}
        for start in starts
    ]


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


# Results ------------------------------------------------------------------------------------------


def shrink(seed: int, kind: str | None = None) -> Report:
    """Return a traced run with only those faults that its broken promise needs."""
    without: frozenset[Fault] = frozenset()
    first = report = Player(seed, kind).play()
    promise = (first.broken or "").partition(":")[0]
    again = bool(promise)
    while again:
        again = False
        for fault in report.faults:
            other = Player(seed, kind, without=without | {fault}).play()
            if (other.broken or "").partition(":")[0] == promise:
                without, report, again = without | {fault}, other, True
                break
    return Player(seed, kind, without=without, traced=True).play()


def _promise(traceback: Any) -> str:
    """Return the name of the promise that broke."""
    names = []
    while traceback:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    return next((name for name in names if name.startswith("hold") and name != "hold"), names[-1])


def _difference(move: Any) -> str:
    """Return what a write changed."""
    changed = []
    pairs = [(move.before, move.after, "")]
    if move.before:
        pairs += [(old, new, f"{new.type}.") for _, old, new in move.deliveries()]
    for old, new, prefix in pairs:
        for name in (each.name for each in fields(new)):
            if name not in {"rev", "deliveries", "attempt_log", "extra"}:
                value = getattr(new, name)
                if old is None or getattr(old, name) != value:
                    changed.append(f"{prefix}{name}={value}")
    return f"{move.transition} {' '.join(changed)}"


def main() -> int:
    """Play scenarios, and print what broke."""
    parser = argparse.ArgumentParser(description="Play random scenarios of delivery under faults.")
    parser.add_argument("--seed", type=int, help="The first seed (a random one).")
    parser.add_argument("--scenarios", type=int, default=2000, help="How many to play (2000).")
    parser.add_argument("--kind", choices=KINDS, help="One kind of fault.")
    parser.add_argument("--trace", action="store_true", help="Print every step of one scenario.")
    parser.add_argument("--shrink", action="store_true", help="Print it with the faults it needs.")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**9) if options.seed is None else options.seed
    if options.trace or options.shrink:
        report = (
            shrink(seed, options.kind)
            if options.shrink
            else Player(seed, options.kind, traced=True).play()
        )
        lines = [*report.trace, f"faults: {report.faults}", str(report.broken)]
        sys.stdout.write("\n".join([*lines, ""]))
        return int(report.broken is not None)
    return _play_all(range(seed, seed + options.scenarios), options.kind)


def _play_all(seeds: range, kind: str | None) -> int:
    """Play scenarios, and print what broke and what was exercised."""
    write = sys.stdout.write
    began, broken = time.monotonic(), 0
    counts: Counter[str] = Counter()
    latest: dict[int, float] = {}
    first: dict[Change, int] = {}
    for seed in seeds:
        report = Player(seed, kind).play()
        counts += report.counts
        for size, late in report.latest.items():
            latest[size] = max(late, latest.get(size, late))
        for change in report.changes:
            first.setdefault(change, seed)
        if report.broken:
            broken += 1
            write(f"seed {seed} ({report.kind}, {len(report.faults)} faults): {report.broken}\n")
            sys.stdout.flush()
    seconds = time.monotonic() - began
    write(f"{len(seeds)} scenarios from seed {seeds[0]} in {seconds:.0f} s: {dict(counts)}\n")
    lateness = ", ".join(f"{size}: {late:.1f} s" for size, late in sorted(latest.items()))
    write(f"latest without faults, by deliveries of the message: {lateness}\n")
    for transition, table in TABLE.items():
        for (old, new), meaning in table.items():
            seen = first.get((transition, old, new))
            if seen is None or seen > seeds[0] + 300:
                write(f"rare: {transition} {old} -> {new} ({meaning}), first in seed {seen}\n")
    write(f"scenarios that broke a promise: {broken or 'none'}\n")
    return int(bool(broken))


if __name__ == "__main__":
    raise SystemExit(main())
