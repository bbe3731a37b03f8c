"""The promises of delivery under faults, in every order that Hypothesis finds.

A state machine drives the real use cases over tables and queues in memory. Each actor stands still
at every call of a port: there others come between, AWS throttles, loses a response after the effect
or is called again by its SDK, processes end, and time passes. ``tests/audit.py`` checks the
promises after every step; ``docs/architecture.md`` explains the protocol.

``make fuzz`` searches for longer.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dispatcher.configuration.rows import Preferences
from dispatcher.delivery.outcomes import Delivered, Outcome, Permanent, Retry
from dispatcher.delivery.rows import MessageRow, RequestRow, Status
from dispatcher.responses import rfc3339
from tests.audit import SKEW
from tests.rig import Rig
from tests.steps import FATES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.steps import Actor

MOMENT = 0.02
"""Seconds that each stop takes."""

MOST_ROUNDS_OF_REST = 3000
"""Steps after which work that still goes on is taken to go on forever."""

OUTCOMES: dict[str, Outcome] = {
    "delivers": Delivered({"id": 1}),
    "is busy": Retry("http_503", "busy"),
    "asks for time": Retry("http_429", "slow down", after=1000.0),
    "was cut after reading": Retry("connection", "reset"),
    "refuses": Permanent("http_404", "no"),
    "is gone": Permanent("http_410", "gone", gone=True),
}

TYPES = ("TEST", "WEBHOOK", "SMS")
REPORTS = ("text_delivered", "text_blocked", "text_opted_out")
MOST_MESSAGES = 3
MOST_CANCELS = 1
"""Cancels in a run: a delivery that is cancelled early teaches little."""


class Script(NamedTuple):
    """How an actor goes on: which stops meet a fault, and where it stays, if anywhere."""

    faults: Mapping[int, str]
    stays: int | None


scripts = st.builds(
    Script,
    st.dictionaries(st.integers(0, 12), st.sampled_from(FATES), max_size=3),
    st.none() | st.integers(0, 12),
)
TO_THE_END = Script({}, None)
skews = st.sampled_from([0.0, SKEW, -SKEW])
lags = st.sampled_from([0.0, 0.0, 90.0])
picks = st.integers(0, 5)
wishes = st.fixed_dictionaries(
    {
        "types": st.lists(st.sampled_from(TYPES), min_size=1, unique=True),
        "mode": st.sampled_from(["all", "first_success"]),
        "ahead": st.sampled_from([0, 0, 45, 2000]),
        "lasts": st.sampled_from([None, None, None, None, None, 100, 1500]),
    }
)
held = st.lists(st.sampled_from(TYPES), min_size=1, unique=True)
manners = st.sampled_from(["delivers", "is busy", *OUTCOMES])
CHANGES = ("enable", "enable", "disable", "delete", "purge", *OUTCOMES)
policies = st.fixed_dictionaries(
    {
        "priority": st.integers(1, 3),
        "retry_count": st.sampled_from([1, 0, 3]),
        "retry_delay_seconds": st.sampled_from([30, 1, 900, 901, 3600]),
    }
)
PAUSE_RULES = "1/0/60/120/600"
"""The first failure pauses a receiver."""

RETENTION = 4000.0
"""Seconds: the rows of a run may expire in it."""


class Dispatching(RuleBasedStateMachine):
    """All events in the life of a user's messages."""

    def __init__(self) -> None:
        super().__init__()
        self.lag = 0.0
        self.rig = Rig(
            self._decide, retention=RETENTION, lag=lambda: self.lag, pause_rules=PAUSE_RULES
        )
        self.clock = self.rig.clock
        self.manners: dict[str, str] = {}
        self.bodies: dict[str, dict[str, Any]] = {}
        self.versions = itertools.count()
        self.cancels = 0
        self.sound = True

    # Events ---------------------------------------------------------------------------------------

    @initialize(
        settings=st.lists(policies, min_size=3, max_size=3),
        behaviors=st.lists(manners, min_size=3, max_size=3),
        wish=wishes,
    )
    def begin(self, settings, behaviors, wish):
        """The user has an override for each integration, each receiver a manner: one message."""
        for name, policy, manner in zip(TYPES, settings, behaviors, strict=True):
            self.rig.override(name, enabled=True, **policy)
            self._behave(name, manner)
        self._write("r-0", wish)
        self._play(self.rig.send(self.bodies["r-0"], 0.0), TO_THE_END)

    @rule(pick=picks, wish=wishes, skew=skews, script=scripts)
    def send(self, pick, wish, skew, script):
        """A caller sends a message, or repeats an earlier send."""
        if pick >= len(self.bodies) and len(self.bodies) < MOST_MESSAGES:
            self._write(f"r-{len(self.bodies)}", wish)
        body = list(self.bodies.values())[min(pick, len(self.bodies) - 1)]
        self._play(self.rig.send(body, skew), script)

    @rule(pick=picks, wish=wishes, skew=skews, script=scripts)
    def reuse(self, pick, wish, skew, script):
        """A caller sends another message under a name that was used, from now on."""
        request_id = list(self.bodies)[pick % len(self.bodies)]
        self._write(request_id, wish)
        self._play(self.rig.send(self.bodies[request_id], skew), script)

    @precondition(lambda self: self.rig.visible())
    @rule(
        pick=picks,
        more=st.sampled_from([0, 0, 1, 2]),
        doubled=st.booleans(),
        skew=skews,
        script=scripts,
    )
    def receive(self, pick, more, doubled, skew, script):
        """A worker receives some messages, in any order, and SQS may deliver them again."""
        messages = self.rig.visible()
        first = pick % len(messages)
        batch = messages[first : first + 1 + more]
        for message in batch if doubled else []:
            self.rig.redrive(message.body)
        for actor in self.rig.receive(batch, skew):
            self._play(actor, script)

    @precondition(lambda self: self.rig.visible())
    @rule(
        pick=picks,
        stop=st.integers(0, 10),
        fate=st.sampled_from(["crash", "crash after", "lost", ""]),
        seconds=st.sampled_from([61.0, 45.0, 721.0]),
        skew=skews,
    )
    def strand(self, pick, stop, fate, seconds, skew):
        """A worker crashes or stalls for so long that the others go on without it."""
        messages = self.rig.visible()
        (actor,) = self.rig.receive([messages[pick % len(messages)]], skew)
        self._play(actor, Script({stop: fate}, stop + (fate != "")))
        self.clock.advance(seconds)
        self._work_off()

    @precondition(lambda self: self._is_overdue(SKEW))
    @rule(skew=skews, script=scripts, lag=lags)
    def sweep(self, skew, script, lag):
        """The sweeper runs, over an index that may lag behind."""
        self.lag = lag
        for actor in self.rig.sweep(skew):
            self._play(actor, script)
        self.lag = 0.0

    @precondition(lambda self: self.rig.actors)
    @rule(pick=picks, script=scripts)
    def go_on(self, pick, script):
        """An actor that stood still goes on, or its process ends there with its whole batch."""
        self._play(self.rig.actors[pick % len(self.rig.actors)], script)

    @precondition(lambda self: self.rig.standing(Status.FAILED))
    @rule(pick=picks, now=st.booleans(), skew=skews, script=scripts)
    def retry(self, pick, now, skew, script):
        """A caller asks for a new round of a failed delivery, which may ignore hours."""
        failed = self.rig.standing(Status.FAILED)
        self._play(self.rig.retry(failed[pick % len(failed)], skew, now=now), script)

    @precondition(lambda self: self.rig.standing(Status.FAILED))
    @rule(skew=skews, script=scripts)
    def recover(self, skew, script):
        """A caller opens all that has failed."""
        self._play(self.rig.recover(skew), script)

    @precondition(lambda self: self.rig.audit.healths)
    @rule(pick=picks, delete=st.booleans(), skew=skews, script=scripts)
    def end_pause(self, pick, delete, skew, script):
        """The user changes or deletes an override whose receiver has failed."""
        names = sorted(self.rig.audit.healths)
        name = names[pick % len(names)]
        actor = (
            self.rig.delete(name, skew)
            if delete
            else self.rig.change(name, {"enabled": True}, skew)
        )
        self._play(actor, script)

    @precondition(lambda self: self.cancels < MOST_CANCELS and self.rig.standing(Status.PENDING))
    @rule(pick=picks, skew=skews, script=scripts)
    def cancel(self, pick, skew, script):
        """A caller cancels a delivery."""
        self.cancels += 1
        pending = self.rig.standing(Status.PENDING)
        self._play(self.rig.cancel(pending[pick % len(pending)], skew), script)

    @precondition(lambda self: self.rig.dead_letters)
    @rule(pick=picks, kept=st.booleans())
    def redrive(self, pick, kept):
        """An operator moves a dead letter to the queue of deliveries."""
        index = pick % len(self.rig.dead_letters)
        body = self.rig.dead_letters[index]
        if not kept:
            del self.rig.dead_letters[index]
        self.rig.redrive(body)

    @precondition(lambda self: self._sent_by_sms())
    @rule(
        pick=picks, name=st.sampled_from(REPORTS), doubled=st.booleans(), skew=skews, script=scripts
    )
    def report(self, pick, name, doubled, skew, script):
        """A provider reports about a text message, perhaps twice, perhaps before its record."""
        sent = self._sent_by_sms()
        delivery_id, number = sent[pick % len(sent)]
        for _ in range(1 + doubled):
            report = self.rig.report(name, delivery_id, number)
            self._play(self.rig.take(report, skew), script)

    @rule(name=st.sampled_from(TYPES), change=st.sampled_from(CHANGES), policy=policies)
    def change(self, name, change, policy):
        """An override changes, or how a receiver behaves, or an operator purges the queues."""
        if change in OUTCOMES:
            self._behave(name, change)
        elif change == "purge":
            self.rig.purge()
        else:
            enabled = {"enable": True, "disable": False, "delete": None}[change]
            self.rig.override(name, enabled=enabled, **policy)

    @rule(mute=st.sampled_from([None, 20.0, 100.0, 3000.0]), types=held, skew=skews, script=scripts)
    def prefer(self, mute, types, skew, script):
        """The user is muted over some integrations, or ends the mute; held deliveries move."""
        until = None if mute is None else self.clock.seconds + mute

        def change(_old):
            if until is None:
                return None
            return Preferences(
                muted_until=until, hours={"integrations": types}, updated_at=0.0, updated_via="api"
            )

        self._play(self.rig.prefer(change, skew), script)

    @rule(
        seconds=st.sampled_from([0.0, 0.0, 0.0, 5.0, 20.0, 40.0, 61.0, 721.0]), busy=st.booleans()
    )
    def wait(self, seconds, busy):
        """Time passes, also for actors that stand still; with 0 until there is something to do.

        Others may work meanwhile, without faults.
        """
        if seconds:
            self.clock.advance(seconds)
        else:
            self.clock.seconds = max(self.clock.seconds, min(self._coming(), default=0.0))
        if busy:
            self._work_off()

    @precondition(lambda self: self._expiries())
    @rule(pick=picks, after=st.sampled_from([-6.0, 1.0, 6.0, 3601.0, 8000.0]))
    def outlast(self, pick, after):
        """Everything comes to rest, and time passes until a row expires."""
        self._rest()
        expiries = self._expiries()
        if expiries:
            self.clock.seconds = max(self.clock.seconds, expiries[pick % len(expiries)] + after)

    @precondition(lambda self: self.rig.expired())
    @rule(pick=picks)
    def expire(self, pick):
        """DynamoDB removes an expired row, in any order."""
        expired = self.rig.expired()
        self.rig.remove(expired[pick % len(expired)])

    # How it happens -------------------------------------------------------------------------------

    def _decide(self, message):
        return OUTCOMES[self.manners[message.integration_type]], 0.5

    def _behave(self, name: str, manner: str) -> None:
        uncertain = name == "SMS" and manner == "was cut after reading"
        self.manners[name] = "refuses" if uncertain else manner

    def _write(self, request_id: str, wish: dict[str, Any]) -> None:
        begin = self.clock.seconds + wish["ahead"]
        self.bodies[request_id] = {
            "request_id": request_id,
            "content": f"content {next(self.versions)}",
            "mode": wish["mode"],
            "integration_types": wish["types"],
            **({"deliver_at": rfc3339(begin)} if wish["ahead"] else {}),
            **({"expires_at": rfc3339(begin + wish["lasts"])} if wish["lasts"] else {}),
        }

    def _play(self, actor: Actor, script: Script) -> None:
        """Let an actor go on by a script."""
        stop = 0
        while not actor.done:
            if actor.wants is not None:
                self.clock.advance(actor.wants)
                actor.go_on()
                continue
            if stop == script.stays:
                break
            self.clock.advance(MOMENT)
            fate = script.faults.get(stop, "")
            if fate in {"throttled", "lost"} and actor.at == "before write":
                self.rig.audit.excuse(actor, "aws")
            if fate in {"throttled", "lost"} and actor.at in {"before replace", "before get"}:
                self.rig.audit.unjudge(actor)
            actor.go_on(fate)
            stop += 1
        if actor.done:
            self.rig.end(actor)
        self.rig.collect()
        self._hold()

    def _sent_by_sms(self) -> list[tuple[str, int]]:
        return [
            claim.key
            for claim in self.rig.audit.claims
            if claim.delivery.type == "SMS" and claim.sends
        ]

    def _is_overdue(self, ahead: float = 0.0) -> bool:
        now = self.clock.seconds + ahead
        return any(row.sweep_at is not None and row.sweep_at <= now for row in self.rig.swept())

    def _coming(self) -> list[float]:
        """Return when there is something to do next: in the queues, and for the sweeper."""
        swept = [row.sweep_at for row in self.rig.swept() if row.sweep_at is not None]
        queued = [*self.rig.messages, *self.rig.reports]
        return [one.visible_at for one in queued] + swept

    def _expiries(self) -> list[float]:
        rows = self.rig.world.table.rows.values()
        return sorted(
            row.ttl
            for row in rows
            if isinstance(row, MessageRow | RequestRow) and row.ttl is not None
        )

    def _hold(self) -> None:
        self.sound = False
        self.rig.audit.hold()
        self.sound = True

    # How it ends ----------------------------------------------------------------------------------

    def teardown(self):
        """Let time pass without faults: everything ends, and no dead letter stays unsent."""
        try:
            if self.sound:
                self._rest()
                self.sound = False
                self.rig.audit.hold_at_rest()
        finally:
            for actor in list(self.rig.actors):
                if not actor.done:
                    actor.go_on("crash")

    def _work_off(self) -> None:
        if self._is_overdue():
            for actor in self.rig.sweep(0.0):
                self._play(actor, TO_THE_END)
        for report in self.rig.waiting_reports():
            actor = self.rig.take(report, 0.0)
            if actor is not None:
                self._play(actor, TO_THE_END)
        for message in self.rig.visible():
            if message in self.rig.messages:
                for actor in self.rig.receive([message], 0.0):
                    self._play(actor, TO_THE_END)

    def _rest(self) -> None:
        while self.rig.actors:
            self._play(self.rig.actors[0], TO_THE_END)
        for _ in range(MOST_ROUNDS_OF_REST):
            self._work_off()
            coming = self._coming()
            if not coming:
                break
            self.clock.seconds = max(self.clock.seconds, min(coming))


TestDispatching = Dispatching.TestCase
