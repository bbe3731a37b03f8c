"""The promises of delivery under faults, in every order that Hypothesis can think of.

A state machine drives the real use cases over tables and queues in memory. Whoever acts stands
still at every call of a port: there others come between, AWS throttles, loses an answer after the
effect or is called again by its SDK, processes die, and time goes on. ``tests/promises.py`` holds
what was promised after every step; ``docs/architecture.md`` tells the protocol.

``make fuzz`` searches for longer.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dispatcher.delivery.doorbells import encode
from dispatcher.delivery.outcomes import Delivered, Outcome, Permanent, Retry
from dispatcher.delivery.protocol import shard_of
from dispatcher.delivery.rows import Status
from dispatcher.delivery.sweeper import LONGEST_SWEEP
from dispatcher.errors import ConflictError, InvalidInputError, UnavailableError
from dispatcher.responses import rfc3339
from tests.audit import SKEW, Audit
from tests.steps import Actor, CrashError, Gate, SkewedClock, acting
from tests.world import HOOK, USER, World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


INVOCATION = 120.0
VISIBILITY = 720.0
RECEIVES = 10
"""Times that a message is received before its queue gives it up."""

MOST_ROUNDS_OF_REST = 3000
"""Steps after which what still goes on is taken to go on for ever."""

OUTCOMES: dict[str, Outcome] = {
    "takes it": Delivered({"id": 1}),
    "is busy": Retry("http_503", "busy"),
    "asks for time": Retry("http_429", "slow down", after=1000.0),
    "was cut after reading": Retry("connection", "reset"),
    "refuses": Permanent("http_404", "no"),
    "is gone": Permanent("http_410", "gone", gone=True),
}

TYPES = ("TEST", "WEBHOOK", "SMS")
CONFIGS = {"TEST": {}, "WEBHOOK": HOOK, "SMS": {"phone_number": "+14155552671"}}

MOST_MESSAGES = 3
MOST_CANCELS = 1
"""Calls to cancel in a run: what is called off early teaches little."""

FAULTS = ("throttled", "lost", "repeated", "slow", "crash", "crash after")


class Script(NamedTuple):
    """How somebody goes on: which stops meet a fault, and where it stays, if anywhere."""

    faults: Mapping[int, str]
    stays: int | None


scripts = st.builds(
    Script,
    st.dictionaries(st.integers(0, 12), st.sampled_from(FAULTS), max_size=3),
    st.none() | st.integers(0, 12),
)
TO_THE_END = Script({}, None)
skews = st.sampled_from([0.0, SKEW, -SKEW])
picks = st.integers(0, 5)
wishes = st.fixed_dictionaries(
    {
        "types": st.lists(st.sampled_from(TYPES), min_size=1, unique=True),
        "mode": st.sampled_from(["all", "first_success"]),
        "ahead": st.sampled_from([0, 0, 45, 2000]),
        "lasts": st.sampled_from([None, None, None, None, None, 100, 1500]),
    }
)
manners = st.sampled_from(["takes it", "is busy", *OUTCOMES])
CHANGES = ("enable", "enable", "disable", "delete", "purge", *OUTCOMES)
policies = st.fixed_dictionaries(
    {
        "priority": st.integers(1, 3),
        "retry_count": st.sampled_from([1, 0, 3]),
        "retry_delay_seconds": st.sampled_from([30, 1, 900, 901, 3600]),
    }
)


@dataclass(eq=False)
class Sent:
    """A message in a queue."""

    body: str
    visible_at: float
    received: int = 0


class Receiver:
    """Takes every message of one integration as it was told to, and writes it down."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self.manner = "takes it"

    def deliver(self, message):
        """Be reached, take a while, come to something."""
        fate = acting().stop("before send")
        outcome = OUTCOMES[self.manner]
        claim = self._audit.sent(message.delivery_id)
        self._audit.clock.advance(0.5)
        if fate == "slow":
            acting().stop("in the send")
        self._audit.came_to(claim, outcome)
        if fate == "crash after":
            raise CrashError("after send")
        return outcome


class Dispatching(RuleBasedStateMachine):
    """Everything that can happen to a user's messages."""

    def __init__(self) -> None:
        super().__init__()
        world = World(SMS_ENABLED="true")
        self.world = world
        self.clock = SkewedClock()
        self.audit = Audit(self.clock, world.deliveries)
        table = ("get", "apply", "commit", "due")
        shared = {
            "clock": self.clock,
            "deliveries": Gate(world.deliveries, self.clock, *table, seen=self.audit.table),
            "doorbells": Gate(
                world.doorbells,
                self.clock,
                *("ring", "ring_retry", "leave_ticket"),
                seen=self.audit.queue,
            ),
        }
        more = {**shared, "overrides": Gate(world.overrides, self.clock, "get", "replace")}
        self.receivers = {name: Receiver(self.audit) for name in TYPES}
        self.acceptance = replace(world.acceptance, **more)
        self.rounds = replace(world.rounds, **more)
        self.sweeper = replace(world.sweeper, **shared)
        self.worker = replace(
            world.worker, **more, rounds=self.rounds, channels=self.receivers.__getitem__
        )
        self.messages: list[Sent] = []
        self.dead_letters: list[str] = []
        self.bodies: dict[str, dict[str, Any]] = {}
        self.actors: list[Actor] = []
        self.in_hand: dict[Actor, tuple[Sent, list[Actor]]] = {}
        self.asked: dict[Actor, str] = {}
        self.cancels = 0
        self.sound = True

    # What happens ---------------------------------------------------------------------------------

    @initialize(
        settings=st.lists(policies, min_size=3, max_size=3),
        manners=st.lists(manners, min_size=3, max_size=3),
        wish=wishes,
    )
    def begin(self, settings, manners, wish):
        """The user has an override for each integration, each receiver a manner: one message."""
        for name, policy, manner in zip(TYPES, settings, manners, strict=True):
            self._override(name, "enable", policy)
            self._behave(name, manner)
        self._write(wish)
        self._ask("r-0", 0.0, TO_THE_END)

    @rule(pick=picks, wish=wishes, skew=skews, script=scripts)
    def send(self, pick, wish, skew, script):
        """Somebody sends a message, or one of those before once more."""
        if pick >= len(self.bodies) and len(self.bodies) < MOST_MESSAGES:
            self._write(wish)
        self._ask(list(self.bodies)[min(pick, len(self.bodies) - 1)], skew, script)

    @precondition(lambda self: self._visible())
    @rule(
        pick=picks,
        more=st.sampled_from([0, 0, 1, 2]),
        doubled=st.booleans(),
        skew=skews,
        script=scripts,
    )
    def receive(self, pick, more, doubled, skew, script):
        """A worker is given some messages, in any order, and SQS may deliver them again."""
        messages = self._visible()
        first = pick % len(messages)
        batch = messages[first : first + 1 + more]
        if doubled:
            self.messages += [replace(one) for one in batch]
        for actor in self._receive(batch, skew):
            self._play(actor, script)

    @precondition(lambda self: self._visible())
    @rule(
        pick=picks,
        stop=st.integers(0, 10),
        fate=st.sampled_from(["crash", "crash after", "lost", ""]),
        seconds=st.sampled_from([61.0, 45.0, 721.0]),
        skew=skews,
    )
    def strand(self, pick, stop, fate, seconds, skew):
        """A worker dies or stalls for so long that the others go on without it."""
        messages = self._visible()
        (actor,) = self._receive([messages[pick % len(messages)]], skew)
        self._play(actor, Script({stop: fate}, stop + (fate != "")))
        self.clock.advance(seconds)
        self._work_off()

    @precondition(lambda self: self._due(SKEW))
    @rule(skew=skews, script=scripts)
    def sweep(self, skew, script):
        """The sweeper comes to the user's shard, whoever is there."""
        self._play(self._sweeping(skew), script)

    @precondition(lambda self: self.actors)
    @rule(pick=picks, script=scripts)
    def go_on(self, pick, script):
        """Somebody who stood still goes on, or dies there with all that the process had in hand."""
        self._play(self.actors[pick % len(self.actors)], script)

    @precondition(lambda self: self._standing(Status.FAILED))
    @rule(pick=picks, skew=skews, script=scripts)
    def retry(self, pick, skew, script):
        """A person asks for a fresh round of what has failed."""
        self._change(self.rounds.retry, pick, Status.FAILED, skew, script)

    @precondition(lambda self: self.cancels < MOST_CANCELS and self._standing(Status.PENDING))
    @rule(pick=picks, skew=skews, script=scripts)
    def cancel(self, pick, skew, script):
        """A person calls a delivery off."""
        self.cancels += 1
        self._change(self.rounds.cancel, pick, Status.PENDING, skew, script)

    @precondition(lambda self: self.dead_letters)
    @rule(pick=picks, kept=st.booleans())
    def redrive(self, pick, kept):
        """An operator moves a dead letter to the queue of deliveries."""
        index = pick % len(self.dead_letters)
        body = self.dead_letters[index] if kept else self.dead_letters.pop(index)
        self.messages.append(Sent(body, self.clock.seconds))

    @rule(name=st.sampled_from(TYPES), change=st.sampled_from(CHANGES), policy=policies)
    def change(self, name, change, policy):
        """The user changes an override, its receiver its manner, or an operator purges queues."""
        if change in OUTCOMES:
            self._behave(name, change)
        elif change == "purge":
            self.messages.clear()
        else:
            self._override(name, change, policy)

    @rule(
        seconds=st.sampled_from([0.0, 0.0, 0.0, 5.0, 20.0, 40.0, 61.0, 721.0]), busy=st.booleans()
    )
    def wait(self, seconds, busy):
        """Time goes on, for those too who stand still; with 0 until there is something to do.

        Others may work meanwhile, and all goes well with them.
        """
        if seconds:
            self.clock.advance(seconds)
        else:
            self.clock.seconds = max(self.clock.seconds, min(self._coming(), default=0.0))
        if busy:
            self._work_off()

    # How it happens -------------------------------------------------------------------------------

    def _behave(self, name: str, manner: str) -> None:
        uncertain = name == "SMS" and manner == "was cut after reading"
        self.receivers[name].manner = "refuses" if uncertain else manner

    def _override(self, name: str, change: str, policy: dict[str, int]) -> None:
        stored = self.world.overrides.get(USER).by_type
        if change == "delete":
            if name not in stored:
                return
            self.world.overrides.delete(USER, name, token="a person")
        else:
            settings = {"enabled": change == "enable", "config": CONFIGS[name], **policy}
            self.world.override(name, **settings)
        # Without an override TEST is on, the others are not.
        if change == "enable" or (change == "delete" and name == "TEST"):
            self.audit.off_since.pop(name, None)
        else:
            self.audit.off_since.setdefault(name, self.clock.seconds)

    def _write(self, wish: dict[str, Any]) -> None:
        request_id = f"r-{len(self.bodies)}"
        begin = self.clock.seconds + wish["ahead"]
        self.bodies[request_id] = {
            "request_id": request_id,
            "content": "x",
            "mode": wish["mode"],
            "integration_types": wish["types"],
            **({"deliver_at": rfc3339(begin)} if wish["ahead"] else {}),
            **({"expires_at": rfc3339(begin + wish["lasts"])} if wish["lasts"] else {}),
        }

    def _ask(self, request_id: str, skew: float, script: Script) -> None:
        body = self.bodies[request_id]
        accept = self.acceptance.accept
        actor = self._start(f"send {request_id}", lambda: accept(USER, body), skew)
        self.asked[actor] = request_id
        self._play(actor, script)

    def _start(
        self, name: str, work: Callable[[], Any], skew: float, until: float = float("inf")
    ) -> Actor:
        actor = Actor(name, work, skew=skew, until=until)
        self.actors.append(actor)
        return actor

    def _change(self, call, pick: int, status: Status, skew: float, script: Script) -> None:
        candidates = self._standing(status)
        delivery_id = candidates[pick % len(candidates)]
        actor = self._start(f"{call.__name__} {delivery_id}", lambda: call(USER, delivery_id), skew)
        self._play(actor, script)

    def _standing(self, status: Status) -> list[str]:
        return [row.delivery_id for row in self.audit.rows() if row.status == status]

    def _sweeping(self, skew: float) -> Actor:
        until = self.clock.monotonic() + LONGEST_SWEEP
        sweep = self.sweeper._serve_shard
        return self._start("sweep", lambda: sweep(shard_of(USER), until, map), skew)

    def _receive(self, batch: list[Sent], skew: float) -> list[Actor]:
        until = self.clock.seconds + INVOCATION
        mates: list[Actor] = []
        for message in batch:
            message.visible_at = self.clock.seconds + VISIBILITY
            message.received += 1
            body = message.body
            mates.append(
                self._start(f"worker on {body}", self._answering(body, until), skew, until)
            )
            self.in_hand[mates[-1]] = (message, mates)
        return mates

    def _answering(self, body: str, until: float) -> Callable[[], None]:
        # A worker of its own: whoever stands still would keep its process's second tries waiting.
        worker = replace(self.worker)
        return lambda: worker.answer(body, "DeliveryQueue", lambda: until - self.clock.seconds)

    def _play(self, actor: Actor, script: Script) -> None:
        """Let somebody go on by a script."""
        for stop in itertools.count():
            if actor.done or stop == script.stays:
                break
            actor.go_on(script.faults.get(stop, ""))
        if actor.done:
            self._ended(actor)
        self._collect()
        self._hold()

    def _ended(self, actor: Actor) -> None:
        if actor not in self.actors:
            return
        self.actors.remove(actor)
        self.audit.ended.append(actor)
        expected = ConflictError | UnavailableError
        if actor in self.asked:
            # A message whose times have passed may be refused, if nobody had accepted it.
            expected |= InvalidInputError
        if actor.error and not isinstance(actor.error, expected):
            raise actor.error
        request_id = self.asked.pop(actor, None)
        if request_id and actor.result:
            self.audit.answers[request_id].append(actor.result.answer)
        message, mates = self.in_hand.pop(actor, (None, []))
        if message and not (actor.error or actor.crashed) and message in self.messages:
            self.messages.remove(message)
        if actor.crashed:
            for mate in mates:
                if not mate.done:
                    mate.go_on("crash")
                    self._ended(mate)

    def _collect(self) -> None:
        """Move what was rung into the queues; give up what was received too often."""
        for queue, doorbell, delay in self.world.doorbells.taken():
            if queue == "dead_letter":
                self.dead_letters.append(encode(doorbell))
            else:
                self.messages.append(Sent(encode(doorbell), self.clock.seconds + delay))
        for message in [one for one in self.messages if one.received >= RECEIVES]:
            if message.visible_at <= self.clock.seconds:
                self.messages.remove(message)
                self.dead_letters.append(message.body)

    def _visible(self) -> list[Sent]:
        return [one for one in self.messages if one.visible_at <= self.clock.seconds]

    def _due(self, ahead: float = 0.0) -> bool:
        now = self.clock.seconds + ahead
        return any(row.sweep_at is not None and row.sweep_at <= now for row in self.audit.rows())

    def _coming(self) -> list[float]:
        """Return when something is to be done next: messages, and what the sweeper looks after."""
        watched = [row.sweep_at for row in self.audit.rows() if row.sweep_at is not None]
        return [one.visible_at for one in self.messages] + watched

    def _hold(self) -> None:
        self.sound = False
        self.audit.hold()
        self.sound = True

    # How it ends ----------------------------------------------------------------------------------

    def teardown(self):
        """Let time go on without faults: all comes to an end, and nothing stays owed."""
        try:
            if self.sound:
                self._rest()
        finally:
            for actor in list(self.actors):
                if not actor.done:
                    actor.go_on("crash")

    def _work_off(self) -> None:
        if self._due():
            self._play(self._sweeping(0.0), TO_THE_END)
        for message in self._visible():
            if message in self.messages:
                for actor in self._receive([message], 0.0):
                    self._play(actor, TO_THE_END)

    def _rest(self) -> None:
        while self.actors:
            self._play(self.actors[0], TO_THE_END)
        for _ in range(MOST_ROUNDS_OF_REST):
            self._work_off()
            coming = self._coming()
            if not coming:
                break
            self.clock.seconds = max(self.clock.seconds, min(coming))
        self.audit.hold_at_rest()


TestDispatching = Dispatching.TestCase
