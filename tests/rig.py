"""The real use cases over tables and queues in memory, where every call of a port is a stop.

``Rig`` starts actors and does what AWS does around them: batches, visibility, dead-letter queue,
index lag, expiry. Its drivers are the state machine and the scenario player.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from dispatcher.configuration.receiver_health import PauseRules
from dispatcher.configuration.rows import Category, Policy
from dispatcher.deadline import Deadline
from dispatcher.delivery.doorbells import encode
from dispatcher.delivery.recover import Recovery
from dispatcher.delivery.rows import MessageRow, RequestRow, Status, shard_of
from dispatcher.delivery.sweeper import LONGEST_SWEEP
from dispatcher.errors import ConditionFailed, ConflictError
from dispatcher.responses import rfc3339
from tests.audit import Audit, Call
from tests.feedback import event
from tests.steps import Actor, ActorLock, CrashError, Gate, SkewedClock, acting
from tests.world import HOOK, USER, World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dispatcher.configuration.rows import Preferences
    from dispatcher.delivery.outcomes import Outcome
    from dispatcher.delivery.ports import Message
    from dispatcher.delivery.rows import Delivery

INVOCATION = 120.0
VISIBILITY = 720.0
PREFERENCE_TRIES = 4
NO_PAUSES = "0/0/0/0/0"
RECEIVES = 10
"""Times that a queue message is received before it goes to the dead-letter queue."""
REPORT_VISIBILITY, REPORT_RECEIVES = 60.0, 20
"""The same of FeedbackQueue, whose messages are parked then."""

TABLE_CALLS = ("message", "visit", "create", "write", "overdue", "pending", "between")
USER_CALLS = (
    *("get", "replace", "delete"),
    *("set_preferences", "delete_preferences", "set_suppressions"),
)
REQUEST_CALLS = ("request", "put_request")
QUEUE_CALLS = ("ring_first", "ring", "send_dead_letter")

CONFIGS: dict[str, dict[str, Any]] = {
    "TEST": {},
    "WEBHOOK": HOOK,
    "SMS": {"phone_number": "+14155552671"},
    "CLI": {},
    "TOOL": {},
    "EMAIL": {},
    "SLACK": {},
}
ENVIRON = {
    "SMS_ENABLED": "true",
    "TOOL_BUS_NAME": "tools",
    "EMAIL_SENDER": "dispatcher@example.com",
    "SLACK_BOT_TOKEN_SECRET": "slack",
}


@dataclass(eq=False)
class Sent:
    """A message in a queue."""

    body: str
    visible_at: float
    received: int = 0


@dataclass(eq=False)
class Batch:
    """The work of one invocation of the worker: an actor for each message."""

    messages: list[Sent]
    actors: list[Actor] = field(default_factory=list)
    crashed: bool = False


class Receiver:
    """Receives the messages of one integration; ``decide`` gives the outcome and its seconds."""

    def __init__(self, audit: Audit, decide: Callable[[Message], tuple[Outcome, float]]) -> None:
        self._audit = audit
        self._decide = decide

    def deliver(self, message):
        """Be reached, let some time pass, return an outcome."""
        checked_at = self._audit.clock.seconds
        fate = acting().stop("before send")
        outcome, seconds = self._decide(message)
        claim = self._audit.sent(message, checked_at)
        acting().wait(seconds)
        if fate == "slow":
            acting().stop("in the send")
        self._audit.came_to(claim, outcome)
        if fate == "crash after":
            raise CrashError("after send")
        return outcome


class Watchdog:
    """Gives up what took too long, once it is over."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def within(self, seconds, work):
        """Return what ``work`` returns, unless more than ``seconds`` have passed."""
        until = self._audit.clock.seconds + seconds
        outcome = work()
        if self._audit.clock.seconds > until:
            self._audit.timed_out(acting())
            return None
        return outcome


class Rig:
    """The service with its queues.

    ``decide`` is asked for the outcome of each send; ``lag`` for the seconds by which the sweep
    index is behind.
    """

    def __init__(
        self,
        decide: Callable[[Message], tuple[Outcome, float]],
        *,
        quiet: bool = False,
        retention: float = 90 * 86_400.0,
        lag: Callable[[], float] = lambda: 0.0,
        pause_rules: str = NO_PAUSES,
    ) -> None:
        self.world = World(**ENVIRON)
        self.clock = SkewedClock()
        self.audit = Audit(self.clock, self.world.table, quiet=quiet)
        self.messages: list[Sent] = []
        self.dead_letters: list[str] = []
        self.reports: list[Sent] = []
        self.actors: list[Actor] = []
        self._lag = lag
        self._calls: dict[Actor, Call] = {}
        self._batches: dict[Actor, Batch] = {}
        self._taken: dict[Actor, Sent] = {}
        self._indexed: dict[str, tuple[float, float | None]] = {}
        table = Gate(self.world.table, *TABLE_CALLS, *REQUEST_CALLS, seen=self._table)
        doorbells = Gate(self.world.doorbells, *QUEUE_CALLS, seen=self._queue)
        overrides = Gate(self.world.overrides, *USER_CALLS, seen=self._user)
        context = replace(
            self.world.context,
            messages=table,
            doorbells=doorbells,
            clock=self.clock,
            retention=retention,
        )
        self._users = overrides
        self._defaults = self.world.system_defaults()
        urgent = Category(name="urgent", title="Urgent", urgent=True)
        self.world.policies.policy = Policy({"urgent": urgent}, version=1)
        holds = replace(self.world.holds, context=context, overrides=overrides)
        planner = replace(
            self.world.planner,
            overrides=overrides,
            system_defaults=lambda: self._defaults,
            retention=retention,
        )
        self._acceptance = replace(
            self.world.acceptance, context=context, requests=table, planner=planner, holds=holds
        )
        self._rounds = replace(
            self.world.rounds,
            context=context,
            system_defaults=lambda: self._defaults,
            holds=holds,
        )
        self._replanner = replace(self.world.replanner, context=context, holds=holds)
        self._recovery = Recovery(
            context=context,
            system_defaults=lambda: self._defaults,
            holds=holds,
            categories=self.world.categories,
            environ=self.world.environ,
        )
        self._configurations = replace(
            self.world.configurations,
            overrides=overrides,
            system_defaults=lambda: self._defaults,
            clock=self.clock,
            replanner=lambda: self._replanner,
        )
        self._sweeper = replace(self.world.sweeper, context=context)
        self._feedback = replace(
            self.world.feedback,
            context=context,
            holds=holds,
            suppressions=replace(self.world.suppressions, overrides=overrides, clock=self.clock),
        )
        self._worker = replace(
            self.world.worker,
            context=context,
            builder=replace(
                self.world.builder,
                overrides=overrides,
                clock=self.clock,
                system_defaults=lambda: self._defaults,
                holds=holds,
            ),
            channels=lambda _: Receiver(self.audit, decide),
            rounds=self._rounds,
            watchdog=Watchdog(self.audit),
            receivers=replace(
                self.world.worker.receivers,
                overrides=overrides,
                rules=PauseRules.parse(pause_rules),
                clock=self.clock,
                replanner=self._replanner,
            ),
        )

    # Work -----------------------------------------------------------------------------------------

    def send(self, body: Mapping[str, Any], skew: float) -> Actor:
        """Begin a send; the body names its ``request_id``."""
        call = Call("send", str(body["request_id"]), body)
        return self._start(call, lambda: self._acceptance.accept(USER, body), skew)

    def retry(self, delivery_id: str, skew: float, *, now: bool = False) -> Actor:
        """Begin to ask for a new round, with ``now`` for one that ignores hours."""
        work = partial(self._rounds.retry, USER, delivery_id, now=now)
        return self._start(Call("retry", delivery_id), work, skew)

    def prefer(
        self, change: Callable[[Preferences | None], Preferences | None], skew: float
    ) -> Actor:
        """Begin to change the user's preferences, and to plan again what is held."""

        def work() -> object:
            for _ in range(PREFERENCE_TRIES):
                stored = self._users.get(USER)
                new = change(stored.preferences)
                token, now = self.world.id_generator.token(), self.clock.now()
                try:
                    if new is not None:
                        self._users.set_preferences(
                            USER, new, version=stored.version, now=now, token=token
                        )
                    else:
                        self._users.delete_preferences(USER, token=token)
                except ConditionFailed:
                    continue
                return self._replanner.replan(USER)
            raise ConflictError("the preferences are being changed by others")

        return self._start(Call("prefer"), work, skew)

    def change(self, name: str, body: Mapping[str, Any], skew: float) -> Actor:
        """Begin to change an override, which may end the pause of its receiver."""
        work = partial(self._configurations.update, USER, name, body)
        return self._start(Call("put", name), work, skew)

    def delete(self, name: str, skew: float) -> Actor:
        """Begin to delete an override, which ends the pause of its receiver."""
        return self._start(
            Call("delete", name), partial(self._configurations.delete, USER, name), skew
        )

    def recover(self, skew: float) -> Actor:
        """Begin to open all deliveries that failed in the last days."""
        body = {"since": rfc3339(self.clock.seconds - 29 * 86_400)}
        work = partial(self._recovery.recover, USER, body)
        return self._start(Call("recover"), work, skew)

    def touch(self) -> None:
        """Let the version of the user's row change for another reason."""
        stored = self.world.overrides.get(USER)
        version = self.world._next_version(USER)
        self.world.overrides.rows[USER] = replace(stored, version=version)

    def cancel(self, delivery_id: str, skew: float) -> Actor:
        """Begin to cancel a delivery."""
        work = partial(self._rounds.cancel, USER, delivery_id)
        return self._start(Call("cancel", delivery_id), work, skew)

    def report(self, name: str, delivery_id: str, number: int) -> Sent:
        """Let a provider report about a round of a delivery; the report comes now."""
        at = rfc3339(self.clock.seconds)
        body = event(name, USER, delivery_id, number=number, at=at, address=USER)
        sent = Sent(json.dumps(body), self.clock.seconds)
        self.audit.report_sent(delivery_id, number, name, sent)
        self.reports.append(sent)
        return sent

    def take(self, report: Sent, skew: float) -> Actor | None:
        """Begin to apply a report; ``None`` if it came too often and is parked."""
        if report.received >= REPORT_RECEIVES:
            self.reports.remove(report)
            self.audit.report_parked(report)
            return None
        report.received += 1
        report.visible_at = self.clock.seconds + REPORT_VISIBILITY
        work = partial(self._feedback.take, report.body, "m-1")
        actor = self._start(Call("feedback", report.body), work, skew)
        self._taken[actor] = report
        return actor

    def sweep(self, skew: float) -> list[Actor]:
        """Begin a sweep: an actor for each shard that holds a message."""
        deadline = Deadline(LONGEST_SWEEP, self.clock.monotonic)
        shards = sorted({shard_of(row.message_id) for row in self.world.table.messages()})
        return [
            self._start(
                Call("sweep", str(shard)),
                partial(self._sweeper._sweep_shard, shard, deadline),
                skew,
            )
            for shard in shards
        ]

    def receive(
        self, messages: Sequence[Sent], skew: float, seconds: float = INVOCATION
    ) -> list[Actor]:
        """Begin an invocation of the worker with a batch of messages."""
        until = self.clock.seconds + seconds
        batch = Batch(list(messages))
        worker = replace(self._worker)
        # Frozen, but this is the one lock that an actor may stand still in.
        object.__setattr__(worker, "alone", ActorLock())
        for message in messages:
            message.visible_at = self.clock.seconds + VISIBILITY
            message.received += 1
            work = partial(
                worker.handle, message.body, "DeliveryQueue", lambda: until - self.clock.seconds
            )
            actor = self._start(Call("worker", message.body), work, skew, until)
            batch.actors.append(actor)
            self._batches[actor] = batch
        return batch.actors

    def _start(
        self, call: Call, work: Callable[[], Any], skew: float, until: float = math.inf
    ) -> Actor:
        name = f"{call.kind} {call.target}"
        actor = Actor(name, work, self.clock, skew=skew, until=until)
        self._calls[actor] = call
        self.actors.append(actor)
        return actor

    def end(self, actor: Actor) -> None:
        """Do what follows the end of an actor: the whole batch ends with its process."""
        if actor not in self._calls:
            return
        self.actors.remove(actor)
        if actor.error:
            self.audit.excuse(actor, "aws")
        self.audit.ended.append((actor, self._calls.pop(actor)))
        if actor in self._taken:
            self._end_report(actor, self._taken.pop(actor))
        if actor in self._batches:
            self._end_batch(actor, self._batches.pop(actor))

    def _end_report(self, actor: Actor, report: Sent) -> None:
        if report in self.reports and not actor.error and not actor.crashed:
            self.reports.remove(report)
            self.audit.report_applied(report)

    def _end_batch(self, actor: Actor, batch: Batch) -> None:
        if actor.crashed:
            batch.crashed = True
            for mate in batch.actors:
                if not mate.done:
                    mate.go_on("crash")
                    self.end(mate)
        elif not batch.crashed and all(mate.done for mate in batch.actors):
            # Only now Lambda reports which messages came to an end.
            for message, mate in zip(batch.messages, batch.actors, strict=True):
                if not mate.error and message in self.messages:
                    self.messages.remove(message)

    # AWS's part -----------------------------------------------------------------------------------

    def collect(self) -> list[Sent]:
        """Move what was rung into the queues, and return it; give up what came too often."""
        rung = []
        for queue, doorbell, delay in self.world.doorbells.taken():
            if queue == "dead_letter":
                self.dead_letters.append(encode(doorbell))
            else:
                rung.append(Sent(encode(doorbell), self.clock.seconds + delay))
        self.messages += rung
        for message in [one for one in self.messages if one.received >= RECEIVES]:
            if message.visible_at <= self.clock.seconds:
                self.messages.remove(message)
                self.dead_letters.append(message.body)
        return rung

    def visible(self) -> list[Sent]:
        """Return the messages that a worker may receive now."""
        return [one for one in self.messages if one.visible_at <= self.clock.seconds]

    def waiting_reports(self) -> list[Sent]:
        """Return the reports that may be taken now."""
        return [one for one in self.reports if one.visible_at <= self.clock.seconds]

    def redrive(self, body: str) -> Sent:
        """Move a message of the dead-letter queue to the queue of deliveries."""
        message = Sent(body, self.clock.seconds)
        self.messages.append(message)
        return message

    def purge(self) -> None:
        """Lose everything that is in the queues."""
        self.messages.clear()
        self.audit.purged = True

    def expired(self) -> list[MessageRow | RequestRow]:
        """Return the rows that DynamoDB may remove now, on any clock."""
        return [
            row
            for row in self.world.table.rows.values()
            if isinstance(row, MessageRow | RequestRow)
            and row.ttl is not None
            and row.ttl < self.clock.seconds
        ]

    def remove(self, row: MessageRow | RequestRow) -> None:
        """Remove an expired row, as DynamoDB does at some time."""
        if isinstance(row, MessageRow):
            self.audit.removed(row)
        rows = self.world.table.rows
        for key in [key for key, stored in rows.items() if stored is row]:
            del rows[key]

    def override(self, name: str, *, enabled: bool | None, **policy: int) -> None:
        """Store an override as a user does, or delete it (``enabled`` is ``None``)."""
        if enabled is None:
            if name in self.world.overrides.get(USER).by_type:
                self.world.overrides.delete(USER, name, token="a user")
        else:
            self.world.override(name, enabled=enabled, config=CONFIGS[name], **policy)
        self._changed()

    def _changed(self, kind: str = "") -> None:
        """Record which integrations are off, and what is known about their receivers."""
        by_type = self.world.overrides.get(USER).by_type
        for name, default in self._defaults.items():
            override = by_type.get(name)
            enabled = default.configuration.enabled
            if override is not None:
                enabled = bool(override.settings.get("enabled", enabled))
            if enabled:
                self.audit.off_since.pop(name, None)
            else:
                self.audit.off_since.setdefault(name, self.clock.seconds)
        healths = {name: one.health for name, one in by_type.items() if one.health}
        self.audit.learned(healths, released=kind in {"put", "delete"})

    # Stored rows ----------------------------------------------------------------------------------

    def standing(self, status: Status) -> list[str]:
        """Return the IDs of all deliveries of a status."""
        return [did for did, one in self.deliveries() if one.status == status]

    def deliveries(self) -> list[tuple[str, Delivery]]:
        """Return all deliveries with their IDs."""
        return [
            (row.delivery_id(place), delivery)
            for row in self.world.table.messages()
            for place, delivery in enumerate(row.deliveries)
        ]

    def swept(self) -> list[MessageRow]:
        """Return the rows in the sweep index."""
        return [row for row in self.world.table.messages() if row.sweep_at is not None]

    def requests(self) -> list[RequestRow]:
        """Return the request rows."""
        return [row for row in self.world.table.rows.values() if isinstance(row, RequestRow)]

    def changed_within(self, seconds: float) -> bool:
        """Return whether a message row was written just now: the index may be behind."""
        return any(self.clock.seconds - at < seconds for at, _ in self._indexed.values())

    # Behind the gates -----------------------------------------------------------------------------

    def _table(self, name: str, call: Callable[[], Any], args: tuple[Any, ...]) -> Any:
        if name == "overdue":
            # Read when it is asked for, not when its first row is used.
            return iter(self._overdue(*args))
        known = len(self.audit.moves)
        result = self.audit.call(name, call, args)
        for move in self.audit.moves[known:]:
            before = move.before.sweep_at if move.before else None
            self._indexed[move.after.message_id] = (move.at, before)
        return result

    def _overdue(self, shard: int, now: float) -> list[tuple[str, str]]:
        """Return what the index shows while it lags behind the rows."""
        found = []
        for row in self.world.table.messages():
            written_at, before = self._indexed.get(row.message_id, (-math.inf, None))
            is_behind = self.clock.seconds - written_at < self._lag()
            at = before if is_behind else row.sweep_at
            if at is not None and at <= now and shard_of(row.message_id) == shard:
                found.append((at, row.user_id, row.message_id))
        return [(user_id, message_id) for _, user_id, message_id in sorted(found)]

    def _user(self, name: str, call: Callable[[], Any], _args: tuple[Any, ...]) -> Any:
        result = call()
        if name in {"replace", "delete"}:
            self._changed(self._calls[acting()].kind)
        if name.endswith("_preferences"):
            self.audit.preferred(self.world.overrides.get(USER).preferences)
        if name == "set_suppressions":
            for identity in self.world.overrides.get(USER).suppressions:
                self.audit.dead_since.setdefault(identity.partition("-")[0], self.clock.seconds)
        return result

    def _queue(self, name: str, call: Callable[[], Any], args: tuple[Any, ...]) -> Any:
        if name == "ring" and self._calls[acting()].kind == "sweep":
            self.audit.sweeps[args[0].message_id] += 1
        return self.audit.call(name, call, args)
