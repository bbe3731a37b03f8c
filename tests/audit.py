"""The promises of the delivery protocol, each in one place, checked against what was observed.

``Audit`` records which actor wrote what to which row, and what it sent. A promise is a method whose
name begins with ``holds_``. ``I1`` to ``I14`` and ``LATE`` are the names of the promises in the
executable protocol model; ``docs/guarantees.md`` explains them.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dispatcher.configuration.hours import PAUSED, is_open, opening, quiet_of, zone
from dispatcher.configuration.receiver_health import is_answered, is_explained
from dispatcher.configuration.resolution import DISABLED_AFTER_FAILURES
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.delivery.rows import MessageRow, RequestRow, Status, message_id_of, place_of
from dispatcher.delivery.transitions import TABLE, State, Transition, state_of
from dispatcher.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    TooEarlyError,
    UnavailableError,
)
from dispatcher.integrations import catalogue
from tests.steps import SkewedClock, acting
from tests.world import ZONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dispatcher.configuration.hours import Quiet
    from dispatcher.configuration.rows import Preferences, ReceiverHealth
    from dispatcher.delivery.doorbells import DeadLetter
    from dispatcher.delivery.outcomes import Outcome
    from dispatcher.delivery.ports import Message
    from dispatcher.delivery.rows import Delivery
    from tests.fakes import MemoryTable
    from tests.steps import Actor

# The numbers of the contract, which the code under test has to keep.

LEASE = 60.0
FRESH = 10.0
GRACE = 60.0
LONGEST_SQS_DELAY = 900.0
LONGEST_RETRY_AFTER = 86_400.0
BACK_OFF = (60.0, 120.0, 240.0, 480.0, 900.0)
FORGIVEN = 3
NO_DEAD_LETTER = frozenset(
    {
        *("expired", "content_expired", "no_address", "not_configured"),
        *("bounced", "rejected", "opted_out"),
    }
)
REPORTED = frozenset({"bounced", "undelivered", "rejected", "opted_out"})
MEANINGS: Mapping[str, tuple[str | None, str | None]] = {
    "delay": ("delayed", None),
    "delivery": ("delivered", None),
    "text_delivered": ("delivered", None),
    "complaint": ("complained", None),
    "bounce_permanent": ("bounced", "bounced"),
    "bounce_mailbox_full": ("bounced", "undelivered"),
    "text_blocked": ("bounced", "undelivered"),
    "reject": (None, "rejected"),
    "text_opted_out": ("opted_out", "opted_out"),
}
"""By recorded report: the receipt and the error code."""
RANKS = {"delayed": 0, "delivered": 1, "complained": 2, "bounced": 3, "opted_out": 3}
UNKNOWN_OUTCOME = "unknown_outcome"

# Additional transitions that this test allows.

SKEW = 5.0
"""Seconds by which a clock may be fast or slow."""

RECORD_GIVES_UP = 4.0
"""Seconds of an invocation below which a record may be given up: 2 to write, 2 for a pause."""

SENT_WITHIN = 25.0
"""Seconds after a claim within which its send begins: 35 s of the lease must remain."""

TIME_TO_JUDGE = 30.0
"""Seconds of the invocation below which only the record is written."""

TIME_LEFT = 20.0
"""Seconds of the invocation that a send needs: 10 for the attempt, 10 to record it."""

STALL = 5.0
"""Seconds for which a worker may stand still during a claim without the name of a stall."""

SDK_TIME = 15.0
"""Seconds that the SDK may take for one call, with all its tries."""

LATE = 45.0
"""Seconds that a first delivery may be late without a fault: queues, visits, skewed clocks."""

LATE_BEHIND = 10.0
"""Seconds more for each other delivery of its message, which may time out before it."""

CLOSED = 12.0
"""Seconds for which a user may be closed when a send comes: the preferences are 10 s old."""

OPENED = 65.0
"""Seconds within which a delivery is attempted once it is due and open."""

Key = tuple[str, int]
"""A delivery's ID and its round: what has one budget."""

Change = tuple[Transition, State | None, State]


@dataclass(eq=False)
class Claim:
    """A delivery in one worker's hands."""

    actor: Actor
    token: str
    delivery_id: str
    delivery: Delivery
    at: float
    """When its lease began, which is before the write."""
    stood: float
    """The seconds that the actor had stood still before it."""
    sends: int = 0
    delivered: bool = False
    outcome: Outcome | None = None
    ended_at: float | None = None
    recorded_at: float | None = None
    given_back: bool = False
    excuse: str | None = None
    """Why it may be without a record, or its message sent again."""
    unjudged: bool = False
    """Whether a fault or a lack of time kept its outcome from the health of the receiver."""

    @property
    def key(self) -> Key:
        """Return whose budget it uses."""
        return self.delivery_id, self.delivery.round

    def lease_over(self, now: float) -> bool:
        """Return whether its lease may be over on the clock of any actor."""
        return now - self.at >= LEASE - 2 * SKEW

    @property
    def excused(self) -> bool:
        """Whether its worker crashed or stalled, or its record met AWS faults."""
        return bool(self.excuse) or self.actor.crashed or self.stalled

    @property
    def stalled(self) -> bool:
        """Whether its worker stood still for long before it recorded."""
        return self.recorded_at is None and self.actor.stood - self.stood > STALL


@dataclass(eq=False)
class Pause:
    """A pause of a receiver, and the claims whose messages reached it meanwhile."""

    began_at: float
    sent: list[Claim] = field(default_factory=list)


class Move(NamedTuple):
    """A message row was written."""

    actor: Actor
    at: float
    before: MessageRow | None
    after: MessageRow
    transition: Transition | None

    def deliveries(self) -> Iterator[tuple[str, Delivery, Delivery]]:
        """Yield ID, old and new value of each delivery."""
        if self.before is not None:
            both = zip(self.before.deliveries, self.after.deliveries, strict=True)
            for place, (before, after) in enumerate(both):
                yield self.after.delivery_id(place), before, after


class Send(NamedTuple):
    """A message reached a receiver: what held at that moment."""

    claim: Claim
    at: float
    message: Message
    row: MessageRow
    earlier: tuple[Claim, ...]
    """The other claims of the same round that have sent."""
    not_before: float
    checked_at: float

    @property
    def place(self) -> int:
        """Return the place of the delivery."""
        return place_of(self.message.delivery_id)

    @property
    def delivery(self) -> Delivery:
        """Return the delivery as it was stored at that moment."""
        return self.row.deliveries[self.place]

    @property
    def after_lease(self) -> bool:
        """Return whether the lease may have been over: only a stall leads here."""
        return self.claim.lease_over(self.at)


class Identity(NamedTuple):
    """A request row was written: its ``request_id`` is taken from here on."""

    actor: Actor
    at: float
    before: RequestRow | None
    request: RequestRow


class Call(NamedTuple):
    """The work of an actor: a caller's request, a queue message or a sweep."""

    kind: str
    target: str = ""
    body: Mapping[str, Any] | None = None


@dataclass
class Audit:
    """All observations, and those since the promises were last checked.

    ``quiet`` says that nothing goes wrong in this run: neither AWS nor a process fails.
    """

    clock: SkewedClock
    table: MemoryTable
    quiet: bool = False
    moves: list[Move] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)
    ended: list[tuple[Actor, Call]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin empty."""
        self.claims: list[Claim] = []
        self.claims_of: dict[Key, list[Claim]] = defaultdict(list)
        self.by_token: dict[str, Claim] = {}
        self.by_actor: dict[Actor, list[Claim]] = defaultdict(list)
        self.plans: dict[str, Identity] = {}
        self.plans_of: dict[str, list[Identity]] = defaultdict(list)
        self.creators: dict[str, list[Actor]] = defaultdict(list)
        self.revs: set[bytes] = set()
        self.retry_at: dict[Key, float] = {}
        self.dead_letters: set[DeadLetter] = set()
        self.openers: dict[Key, list[Actor]] = defaultdict(list)
        self.cancellers: dict[str, Actor] = {}
        self.cancelled: set[str] = set()
        self.freed_at: dict[str, float] = {}
        self.tried: set[str] = set()
        self.off_since: dict[str, float] = {}
        self.past: list[tuple[float, Preferences | None]] = [(0.0, None)]
        self.base: dict[Key, float] = {}
        self.held: set[str] = set()
        self.reports: dict[int, tuple[Key, str]] = {}
        self.refuted: set[Key] = set()
        self.applied: dict[Key, list[str]] = defaultdict(list)
        self.unsure: set[Key] = set()
        self.dead_since: dict[str, float] = {}
        self.healths: Mapping[str, ReceiverHealth] = {}
        self.pauses: dict[str, list[Pause]] = defaultdict(list)
        self.released_at: dict[str, float] = {}
        self.disabled: set[str] = set()
        self.sweeps: Counter[str] = Counter()
        self.changes: set[Change] = set()
        self.counts: Counter[str] = Counter()
        self.latest: dict[int, float] = {}
        self.purged = False
        self._promises: list[Callable[[], None]] = [
            getattr(self, name) for name in sorted(dir(self)) if name.startswith("holds_")
        ]

    def hold(self) -> None:
        """Check every promise against what is new."""
        if not (self.moves or self.sends or self.identities or self.ended):
            return
        for promise in self._promises:
            promise()
        self.moves, self.sends, self.identities, self.ended = [], [], [], []

    # Recording ------------------------------------------------------------------------------------

    def call(self, name: str, call: Callable[[], Any], args: tuple[Any, ...]) -> Any:
        """Make a call of the table or the queues, and record what it changed."""
        match name:
            case "create" | "write":
                row: MessageRow = args[0]
                before = self.table.message(row.user_id, row.message_id)
                result = call()
                after = self.table.message(row.user_id, row.message_id)
                if after is not None and after is not before:
                    self._moved(before, after)
                return result
            case "put_request":
                planned: RequestRow = args[0]
                taken = self.table.request(planned.user_id, planned.request_id)
                result = call()
                stored = self.table.request(planned.user_id, planned.request_id)
                if stored is not None and stored is not taken:
                    identity = Identity(acting(), self.clock.seconds, taken, stored)
                    self.identities.append(identity)
                    if stored.message_id not in self.plans:
                        self.plans[stored.message_id] = identity
                        self.plans_of[stored.request_id].append(identity)
                return result
            case "send_dead_letter":
                result = call()
                self.dead_letters.add(args[0])
                return result
        return call()

    def sent(self, message: Message, checked_at: float) -> Claim:
        """Record that a receiver was reached; return the claim that this was for.

        ``checked_at`` is when the worker last checked that it may send.
        """
        actor, did = acting(), message.delivery_id
        claims = [claim for claim in self.by_actor[actor] if claim.delivery_id == did]
        row = self.table.message(message.user_id, message_id_of(did))
        assert claims, f"{did} was sent without a claim"
        assert row is not None, f"{did} was sent without a row"
        claim = claims[-1]
        earlier = tuple(one for one in self.claims_of[claim.key] if one.sends and one is not claim)
        not_before = self.retry_at.get(claim.key, 0.0) - 2 * SKEW
        if claim.delivery.round == 1:
            begin = self.plans[row.message_id].request.due_at
            not_before = max(not_before, begin - SKEW)
        send = Send(claim, self.clock.seconds, message, row, earlier, not_before, checked_at)
        self.sends.append(send)
        claim.sends += 1
        return claim

    def came_to(self, claim: Claim, outcome: Outcome) -> None:
        """Record the outcome of a send."""
        claim.outcome = outcome
        claim.delivered = isinstance(outcome, Delivered)
        claim.ended_at = self.clock.seconds
        claim.unjudged = claim.actor.until - self.clock.seconds < TIME_TO_JUDGE

    def timed_out(self, actor: Actor) -> None:
        """Record that the watchdog ended the attempt: its outcome came too late."""
        self.by_actor[actor][-1].outcome = None

    def excuse(self, actor: Actor, why: str) -> None:
        """Excuse the claims that an actor holds: a fault prevents that they are recorded."""
        for claim in self.by_actor[actor]:
            if claim.recorded_at is None:
                claim.excuse = why

    def preferred(self, preferences: Preferences | None) -> None:
        """Record the preferences that are stored from here on."""
        if preferences != self.past[-1][1]:
            self.past.append((self.clock.seconds, preferences))
            self.counts["preferences"] += 1

    def learned(self, healths: Mapping[str, ReceiverHealth], *, released: bool) -> None:
        """Record what is known about the receivers; ``released``: by a change of the override."""
        for name in {*healths, *self.healths}:
            old, new = self.healths.get(name), healths.get(name)
            if new is not None and new.pauses > (old.pauses if old else 0):
                self.pauses[name].append(Pause(self.clock.seconds))
                self.counts["pauses"] += 1
            if new is not None and new.disabled:
                self.disabled.add(name)
            if released and new is None and old is not None and old.paused_until is not None:
                self.counts["pauses ended"] += 1
                for row in self.table.messages():
                    for place, one in enumerate(row.deliveries):
                        if one.type == name and one.is_pending and one.held == PAUSED:
                            self.released_at[row.delivery_id(place)] = self.clock.seconds
        self.healths = healths

    def unjudge(self, actor: Actor) -> None:
        """Record that a fault keeps an outcome from the health of its receiver."""
        for claim in self.by_actor[actor]:
            if claim.recorded_at is None:
                claim.unjudged = True

    def report_sent(self, delivery_id: str, number: int, name: str, report: object) -> None:
        """Record that a provider reported about a round of a delivery."""
        self.reports[id(report)] = ((delivery_id, number), name)
        if MEANINGS[name][1]:
            self.refuted.add((delivery_id, number))
        self.counts[f"reports of {MEANINGS[name][0] or name}"] += 1

    def report_parked(self, report: object) -> None:
        """Record that a report waited for too long: its delivery keeps its state."""
        self.unsure.add(self.reports[id(report)][0])
        self.counts["reports parked"] += 1

    def report_applied(self, report: object) -> None:
        """Record that a report is done with."""
        key, name = self.reports[id(report)]
        row = next(
            (one for one in self.table.messages() if one.message_id == message_id_of(key[0])), None
        )
        if row is None or (row.ttl is not None and row.ttl <= self.clock.seconds + SKEW):
            self.unsure.add(key)
        elif row.deliveries[place_of(key[0])].round == key[1]:
            self.applied[key].append(name)

    def removed(self, row: MessageRow) -> None:
        """Check that an expired row that DynamoDB removes is not needed any more."""
        pending = [one for one in row.deliveries if one.is_pending or one.dead_letter_owed]
        assert not pending, f"{row} was removed before its end"

    def _moved(self, before: MessageRow | None, after: MessageRow) -> None:
        now, actor = self.clock.seconds, acting()
        transition = _transition(before, after)
        move = Move(actor, now, before, after, transition)
        self.moves.append(move)
        if before is None:
            self.creators[after.message_id].append(actor)
            self._created(after, now)
            return
        for place, (did, old, new) in enumerate(move.deliveries()):
            waited = state_of(before, place) is State.WAITING
            if waited and state_of(after, place) is not State.WAITING:
                self.freed_at[did] = now
            if new.round > old.round:
                self.openers[did, new.round].append(actor)
                self.base[did, new.round] = now
            if new.is_pending and not old.is_pending and new.round == old.round:
                self.base[did, new.round] = self.freed_at[did] = now
                self.counts["revived"] += 1
            self._holds(did, old, new)
            if old.is_pending and new.error_code == "cancelled":
                self.cancellers[did] = actor
        if before.owner and after.owner != before.owner and after.last_owner == before.owner:
            self._recorded(self.by_token[before.owner], before, after)
        if after.owner and after.owner != before.owner:
            place = after.current or 0
            claim = Claim(
                actor,
                after.owner,
                after.delivery_id(place),
                after.deliveries[place],
                (after.lease_until or 0.0) - LEASE - actor.skew,
                actor.stood,
            )
            if now - claim.at > SDK_TIME:
                # The worker stalled before it wrote the claim, whose lease had begun.
                claim.excuse = "stall"
            self.claims.append(claim)
            self.by_actor[actor].append(claim)
            self.claims_of[claim.key].append(claim)
            self.by_token[after.owner] = claim

    def _created(self, row: MessageRow, now: float) -> None:
        due_at = self.plans[row.message_id].request.due_at
        for place, delivery in enumerate(row.deliveries):
            self.base[row.delivery_id(place), 1] = max(now, due_at)
            self._holds(row.delivery_id(place), None, delivery)

    def _holds(self, did: str, old: Delivery | None, new: Delivery) -> None:
        if new.held is not None and (old is None or old.held is None):
            self.held.add(did)
            self.counts["held"] += 1

    def _recorded(self, claim: Claim, before: MessageRow, after: MessageRow) -> None:
        now, place = self.clock.seconds, before.current or 0
        if claim.stalled:
            claim.excuse = claim.excuse or "stall"
        claim.recorded_at = now
        old, new = before.deliveries[place], after.deliveries[place]
        claim.given_back = new.attempts == old.attempts and new.is_pending
        if new.is_pending and not claim.given_back:
            asked_for = claim.outcome.after if isinstance(claim.outcome, Retry) else None
            delay = max(new.retry_delay_seconds, min(asked_for or 0.0, LONGEST_RETRY_AFTER))
            end = now if claim.ended_at is None else claim.ended_at
            self.retry_at[claim.key] = self.base[claim.key] = end + delay

    # At every write -------------------------------------------------------------------------------

    def holds_nothing_accepted_is_lost(self) -> None:
        """I1: a delivery that has not ended is in the sweep index, soon enough.

        So the sweeper finds everything that gets lost beside the rows.
        """
        for _, at, before, after, _ in self.moves:
            now = at + SKEW
            pending = [one for one in after.deliveries if one.is_pending]
            owed = [one for one in after.deliveries if one.dead_letter_owed]
            assert (after.ttl is None) == bool(pending), f"{after} is kept for how long?"
            if not pending and not owed:
                assert after.sweep_at is None, f"I11: {after} has ended and is still swept"
                continue
            assert after.sweep_at is not None, f"{after} is forgotten"
            grace = BACK_OFF[-1] if after.rings else GRACE
            latest = [now + grace] if owed else []
            # The sweeper leaves a live claim alone until its lease is over.
            claimed = after.lease_until or 0.0
            if claimed:
                latest.append(max(now, claimed) + grace if after.rings else claimed)
            for place, delivery in enumerate(after.deliveries):
                if state_of(after, place) is State.PENDING:
                    far = delivery.due_at - now > LONGEST_SQS_DELAY and not after.rings
                    before_due = max(claimed, delivery.due_at - LONGEST_SQS_DELAY + SKEW)
                    latest.append(before_due if far else max(now, delivery.due_at) + grace)
            assert after.sweep_at <= min(latest) + 0.001, f"{after} is swept too late: {before}"

    def holds_rings_grow_rarer(self) -> None:
        """I11: the sweeper rings again after 60, 120, 240, 480 and 900 s."""
        for _, at, before, after, _ in self.moves:
            if before is not None and after.rings > before.rings and self.quiet:
                pending = [one.due_at for one in after.deliveries if one.is_pending]
                gap = BACK_OFF[min(before.rings, len(BACK_OFF) - 1)]
                earliest = max(at - SKEW, min(pending)) + gap
                assert after.rings == before.rings + 1, f"{before} became {after}"
                assert (after.sweep_at or 0.0) >= earliest - 1.0, f"{after} is rung for too often"

    def holds_every_change_is_in_the_table(self) -> None:
        """A state changes only as the table of transitions allows it."""
        for _, _, before, after, transition in self.moves:
            allowed = TABLE[transition] if transition else {}
            for place in range(len(after.deliveries)):
                old, new = before and state_of(before, place), state_of(after, place)
                claimed_again = before is not None and before.owner != after.owner
                if old is not new or (new is State.CLAIMED and claimed_again):
                    assert (old, new) in allowed, f"{transition}: {old} -> {new} of {after}"
                    assert transition
                    self.changes.add((transition, old, new))

    def holds_what_was_accepted_stays(self) -> None:
        """A write changes the state of one message only, and has a new revision."""
        for _, _, before, after, _ in self.moves:
            assert after.rev not in self.revs, f"the revision of {after} is not fresh"
            self.revs.add(after.rev)
            if before is not None:
                assert _accepted(before) == _accepted(after), f"{before} became {after}"

    def holds_the_budget_of_a_round(self) -> None:
        """I2: a round has at most ``max_attempts`` recorded outcomes."""
        for move in self.moves:
            for one in move.after.deliveries:
                assert 0 <= one.attempts <= one.max_attempts, f"{one} was attempted too often"
                assert 0 <= one.tries <= one.max_attempts + FORGIVEN, f"{one} was tried too often"

    def holds_only_a_used_up_budget_ends_a_round(self) -> None:
        """I2b: a retry is given up when the budget of its round is used up.

        The first three unknown outcomes do not use it up, and a claim that was given back never
        does.
        """
        for move in self.moves:
            for did, before, after in move.deliveries():
                if not before.is_pending or after.status != Status.FAILED:
                    continue
                claims = [one for one in self.claims_of[did, after.round] if not one.given_back]
                if after.error_code == UNKNOWN_OUTCOME:
                    final = not catalogue()[after.type].resend_unknown
                else:
                    final = isinstance(claims[-1].outcome, Permanent)
                if after.error_code == DISABLED_AFTER_FAILURES:
                    assert after.type in self.disabled, f"{did} was given up too early: {after}"
                elif not final and after.error_code not in NO_DEAD_LETTER:
                    lost = sum(one.recorded_at is None for one in claims)
                    used = len(claims) - min(lost, FORGIVEN)
                    assert used >= after.max_attempts, f"{did} was given up too early: {after}"

    def holds_what_has_ended_stays_ended(self) -> None:
        """I5: only a new round follows an end: from failed, one higher, and it begins once.

        Or the report of a provider, in its round and before the row expires.
        """
        for move in self.moves:
            for did, before, after in move.deliveries():
                if before.is_pending:
                    assert after.round == before.round, f"{did} changed its round while pending"
                    continue
                if after.round == before.round and after.status != before.status:
                    self._follows_a_report(move, did, before, after)
                    continue
                if after.round == before.round and after.error_code in REPORTED:
                    assert before.error_code in REPORTED, f"{did}: {before} -> {after}"
                    continue
                same = {"dead_letter_owed": before.dead_letter_owed, "receipt": before.receipt}
                settled = after.round == before.round and replace(after, **same) == before
                if settled:
                    assert before.dead_letter_owed or not after.dead_letter_owed, f"{did} owes more"
                    continue
                opened = (before.status, after.status, after.round - before.round)
                assert opened == (Status.FAILED, Status.PENDING, 1), f"{did}: {before} -> {after}"
                fresh = (after.tries, after.unknown, after.attempts, after.error_code)
                assert fresh == (0, 0, 0, None), f"{did} does not begin a new budget: {after}"
                assert before.error_code != "content_expired", f"{did} has no content"
                ttl = move.before and move.before.ttl
                assert ttl is None or ttl > move.at - SKEW, f"{did} had expired"
                assert len(self.openers[did, after.round]) == 1, f"{did} began a round twice"

    def _follows_a_report(self, move: Move, did: str, before: Delivery, after: Delivery) -> None:
        """I5: a success was refuted, and with it what it had skipped became pending again."""
        assert move.before
        change = (before.status, after.status)
        if change == (Status.SUCCESS, Status.FAILED):
            assert (did, after.round) in self.refuted, f"{did} was refuted by no report"
            assert after.error_code in REPORTED, f"{did}: {after}"
            assert after.delivered_at is None, f"{did}: {after}"
            assert after.attempt_log == before.attempt_log, f"{did} lost its attempts"
            ttl = move.before.ttl
            assert ttl is None or ttl > move.at - SKEW, f"{did} had expired"
            return
        assert change == (Status.SKIPPED, Status.PENDING), f"{did}: {before} -> {after}"
        assert before.error_code == "first_success", f"{did}: {before} -> {after}"
        refuted = [
            (old.status, new.status) == (Status.SUCCESS, Status.FAILED)
            for _, old, new in move.deliveries()
        ]
        assert any(refuted), f"{did} became pending, but its sibling succeeded"

    def holds_a_first_success_message_opens_one(self) -> None:
        """A new round of a ``first_success`` message has one delivery: *waits* orders round 1."""
        for move in self.moves:
            if move.after.mode == "first_success":
                opened = [did for did, old, new in move.deliveries() if new.round > old.round]
                assert len(opened) <= 1, f"{opened} were opened at once"

    def holds_a_live_claim_is_its_owners(self) -> None:
        """A worker takes over only a claim whose lease may be over, and records only its own."""
        for actor, at, before, after, _ in self.moves:
            if before is None or before.owner is None:
                continue
            claim = self.by_token[before.owner]
            if after.owner != claim.token:
                assert actor is claim.actor or claim.lease_over(at), f"{actor} took {before}"
            recorded = [
                place
                for place, (old, new) in enumerate(
                    zip(before.deliveries, after.deliveries, strict=True)
                )
                if new.attempts > old.attempts
            ]
            if recorded:
                assert recorded == [before.current], f"{actor} recorded {recorded} of {before}"
                assert actor is claim.actor, f"{actor} recorded an attempt of {claim}"

    def holds_only_an_excused_attempt_is_unknown(self) -> None:
        """I12: an attempt is lost only if its worker crashed or stalled, or met AWS faults."""
        for move in self.moves:
            for did, before, after in move.deliveries():
                if after.round == before.round and after.unknown > before.unknown:
                    assert move.before
                    claim = self.by_token[move.before.owner or ""]
                    assert claim.excused, f"{did}: nothing kept {claim} from its record"

    def holds_every_final_failure_has_a_dead_letter(self) -> None:
        """I7: a failed round has a dead letter to send until it was sent or a new round began."""
        for move in self.moves:
            for did, before, after in move.deliveries():
                failed = before.status != after.status == Status.FAILED
                if failed and after.error_code not in NO_DEAD_LETTER:
                    assert after.dead_letter_owed, f"{did} has no dead letter: {after}"
                if before.dead_letter_owed and not after.dead_letter_owed and not after.is_pending:
                    sent = {(one.delivery_id, one.round) for one in self.dead_letters}
                    if before.error_code in REPORTED and after.error_code in NO_DEAD_LETTER:
                        continue  # A later report says that a retry does not help.
                    assert (did, before.round + 1) in sent, f"{did} lost its dead letter: {after}"

    def holds_one_success_of_a_first_success_message(self) -> None:
        """I9: a ``first_success`` message succeeds once, and then nothing of it is pending."""
        for move in self.moves:
            if move.after.mode == "first_success":
                statuses = Counter(one.status for one in move.after.deliveries)
                assert statuses[Status.SUCCESS] <= 1, f"{move.after} succeeded twice"
                if statuses[Status.SUCCESS]:
                    assert not statuses[Status.PENDING], f"{move.after} goes on after its success"

    def holds_content_expires_with_its_request(self) -> None:
        """I1c: no delivery ends as ``content_expired`` while its request is stored.

        In a first round the request is always stored, unless something went wrong.
        """
        for move in self.moves:
            for did, before, after in move.deliveries():
                if before.is_pending and after.error_code == "content_expired":
                    row = move.after
                    request = self.table.request(row.user_id, row.request_id)
                    kept = request is not None and request.message_id == row.message_id
                    assert not kept, f"{did} has its content: {request}"
                    calm = self.quiet and not self.purged
                    assert after.round > 1 or not calm, f"{did} lost its content"
                    self.counts["content_expired"] += 1

    # Requests -------------------------------------------------------------------------------------

    def holds_one_request_per_identity(self) -> None:
        """I8: a ``request_id`` names one message until its ``ttl``."""
        for _, at, before, request in self.identities:
            if before is not None and before.message_id != request.message_id:
                assert before.ttl < at + SKEW, f"{before} was replaced by {request}"
                self.counts["identities reused"] += 1

    def holds_one_message_per_request(self) -> None:
        """I8b: a message is created once, as its stored request says, by any process."""
        for actor, at, before, row, _ in self.moves:
            planned = self.plans.get(row.message_id)
            assert planned, f"{row} has no request"
            request = planned.request
            if before is None:
                assert len(self.creators[row.message_id]) == 1, f"{row} was created twice"
                assert _planned(request) == _created(row), f"{row} is not what {request} says"
                if actor is not planned.actor:
                    self.counts["orphans"] += 1
                    if request.expires_at is not None and at > request.expires_at + SKEW:
                        self.counts["orphans too late"] += 1
            assert row.ttl is None or row.ttl >= request.ttl, f"{row} goes before its request"

    def holds_equal_requests_have_equal_responses(self) -> None:
        """I1, I8: a response is that of the stored request, whose message row exists.

        An equal request is rejected only if no request of this name is stored.
        """
        for actor, call in self.ended:
            if call.kind != "send" or call.body is None:
                continue
            content = call.body["content"]
            if actor.result:
                self.counts["responses"] += 1
                self._responded(actor, call.target, content)
            elif isinstance(actor.error, InvalidInputError):
                sure = [
                    one.request
                    for one in self.plans_of[call.target]
                    if one.at <= actor.started_at and one.request.ttl >= self.clock.seconds + SKEW
                ]
                equal = [request for request in sure if request.content == content]
                assert not equal, f"{actor} was rejected although {equal} is stored"
                may = "expires_at" in call.body or self.plans_of[call.target]
                assert may, f"{actor} was rejected: {actor.error}"

    def _responded(self, actor: Actor, request_id: str, content: str) -> None:
        response = actor.result.response
        ids = [one["delivery_id"] for one in response["deliveries"]]
        for planned in reversed(self.plans_of[request_id]):
            request = planned.request
            of_plan = [_delivery_id(request, place) for place in range(len(request.deliveries))]
            if ids == of_plan and request.content == content:
                break
        else:
            raise AssertionError(f"{actor}: no request is stored for {response}")
        types = [(one["integration_type"], one["status"]) for one in response["deliveries"]]
        skipped = [(one["integration_type"], one["reason"]) for one in response["skipped"]]
        assert types == [(one.type, "pending") for one in request.deliveries], f"{response}"
        assert skipped == [(one.type, one.reason) for one in request.skipped], f"{response}"
        assert request.ttl >= actor.started_at - SKEW, f"{actor}: {request} had expired"
        assert actor.result.replayed == (planned.actor is not actor), f"{actor}: {actor.result}"
        if ids:
            assert self.creators[request.message_id], f"202 for {request}, which has no row"

    # Callers --------------------------------------------------------------------------------------

    def holds_callers_learn_what_happened(self) -> None:
        """I5b: the caller whose call opened a round or cancelled a delivery learns of it.

        And a caller who gets a 200 or 202 did that.
        """
        for actor, (kind, did, _) in self.ended:
            if isinstance(actor.error, ConflictError):
                opened = [key for key, openers in self.openers.items() if actor in openers]
                assert not opened, f"{actor} opened {opened}: {actor.error}"
                assert actor is not self.cancellers.get(did), f"{actor} cancelled: {actor.error}"
            elif kind == "recover" and actor.result:
                opened = set(actor.result.response["opened"])
                mine = {key[0] for key, openers in self.openers.items() if actor in openers}
                assert opened == mine, f"{actor} opened {mine}, and says {opened}"
                self.counts["recovered"] += len(opened)
            elif kind == "retry" and actor.result:
                openers = self.openers[did, actor.result["round"]]
                assert openers == [actor], f"{actor} did not open {actor.result}"
            elif kind == "cancel" and actor.result:
                assert did in self.cancellers, f"{actor} cancelled nothing"
                self.cancelled.add(did)

    def holds_only_expected_errors(self) -> None:
        """Without faults a call fails only for a reason that its caller can understand."""
        for actor, (kind, _, _) in self.ended:
            expected: tuple[type[Exception], ...] = {
                "send": (InvalidInputError,),
                "retry": (ConflictError, NotFoundError),
                "cancel": (ConflictError, NotFoundError),
                "prefer": (ConflictError,),
                "put": (ConflictError, NotFoundError),
                "delete": (NotFoundError,),
                "feedback": (TooEarlyError,),
            }.get(kind, ())
            if not self.quiet:
                expected += (UnavailableError,)
            if actor.error and not isinstance(actor.error, expected):
                raise AssertionError(f"{actor} failed: {actor.error!r}") from actor.error

    def holds_a_result_is_recorded(self) -> None:
        """I3: a worker records what it sent, or ends only when next to no time is left."""
        for actor, _ in self.ended:
            for claim in self.by_actor[actor]:
                if claim.sends and not claim.recorded_at:
                    assert claim.excused, f"{claim} left no record"
                    gave_up = isinstance(actor.error, UnavailableError) and not actor.crashed
                    left = actor.until - self.clock.seconds
                    assert not gave_up or left <= RECORD_GIVES_UP, f"{claim} gave up, {left} s left"

    # At every send --------------------------------------------------------------------------------

    def holds_no_send_without_a_claim(self) -> None:
        """I3, I10: a worker sends what it holds, once, while the lease is long enough.

        Only a stall beyond the lease lets it send what another one took or a caller cancelled.
        """
        for send in self.sends:
            claim, row, did = send.claim, send.row, send.message.delivery_id
            assert not claim.given_back, f"{did} was sent after it was given back"
            assert claim.sends == 1, f"{did} was sent twice for one claim"
            mine = row.owner == claim.token and row.current == send.place
            assert (mine and send.delivery.is_pending) or send.after_lease, f"{did}: {claim}, {row}"
            assert did not in self.cancelled or send.after_lease, f"{did} was cancelled"
            used, left = send.checked_at - claim.at, claim.actor.until - send.checked_at
            assert used <= SENT_WITHIN + 0.01, f"{did} was sent {used:.1f} s after its claim"
            assert left >= TIME_LEFT, f"{did} was sent {left:.1f} s before the invocation ends"

    def holds_no_foreign_content(self) -> None:
        """I14: a message is sent with the content that was accepted under its ID."""
        for send in self.sends:
            message = send.message
            request = self.plans[message_id_of(message.delivery_id)].request
            sent = (message.request_id, message.content, message.subject, message.integration_type)
            accepted = (request.request_id, request.content, request.subject)
            assert sent == (*accepted, request.deliveries[send.place].type), f"{message}: {request}"

    def holds_never_early(self) -> None:
        """I4: no send before ``deliver_at``, or before the last end plus the delay."""
        for send in self.sends:
            early = send.not_before - send.at
            assert early <= 0.001 or send.after_lease, f"{send.claim} was {early:.3f} s early"

    def holds_never_late_without_a_fault(self) -> None:
        """LATE: without a fault an attempt begins when it is due."""
        for send in self.sends:
            delivery, row = send.claim.delivery, send.row
            if self.quiet and not self.purged:
                due_at = max(delivery.due_at, self.freed_at.get(send.claim.delivery_id, 0.0))
                size, late = len(row.deliveries), send.at - due_at
                self.latest[size] = max(late, self.latest.get(size, late))
                most = LATE + LATE_BEHIND * (size - 1)
                assert late <= most, f"{send.message.delivery_id} was {late:.1f} s late: {row}"

    def holds_nothing_is_sent_that_is_not_wanted(self) -> None:
        """Nothing is sent past its ``expires_at``, or after the user opted out.

        Both are checked after the claim, the override in a read that may be 10 s older.
        """
        for send in self.sends:
            claim, row = send.claim, send.row
            fresh = row.expires_at is None or claim.at <= row.expires_at + SKEW
            assert fresh, f"{row} had expired"
            off = self.off_since.get(claim.delivery.type, claim.at)
            assert claim.at <= off + FRESH, f"{claim} was sent after the user opted out"
            dead = self.dead_since.get(claim.delivery.type, claim.at)
            assert claim.at <= dead + FRESH, f"{claim} was sent to a suppressed address"

    def holds_no_send_to_a_closed_user(self) -> None:
        """I15: nothing is sent to a user who has been closed for more than 12 s.

        Unless the message is urgent, the round ignores hours, or the worker stalled. Faults of AWS
        may make the read of the preferences as old as a call takes.
        """
        for send in self.sends:
            if len(self.past) == 1 or send.row.urgent or send.claim.delivery.ignores_hours:
                continue
            stood = 0.0 if self.quiet else SDK_TIME + send.claim.actor.stood - send.claim.stood
            since = send.checked_at - CLOSED - stood
            closed = self._closed_throughout(
                send.claim.delivery.type, since, send.checked_at + SKEW
            )
            assert not closed or send.after_lease, f"{send.claim} was sent to a closed user"

    def holds_what_is_held_is_sent_when_it_opens(self) -> None:
        """I17: without a fault a delivery is attempted soon after it is due and open at first."""
        for send in self.sends:
            row, delivery = send.row, send.claim.delivery
            calm = self.quiet and not self.purged and not delivery.unknown
            if len(self.past) == 1 or not calm or row.mode != "all":
                continue
            if self.pauses[delivery.type]:
                continue
            size = len(row.deliveries)
            first = self._first_chance(send, OPENED + LATE_BEHIND * size)
            late = send.at - first
            assert late <= OPENED + LATE_BEHIND * size, f"{send.claim} came {late:.0f} s late"

    def _closed_throughout(self, integration_type: str, since: float, until: float) -> bool:
        """Return whether the user may not be disturbed at any second of a time."""
        moments = [since + step for step in range(int(until - since) + 1)]
        moments += [until, *(at for at, _ in self.past if since <= at <= until)]
        for moment in moments:
            preferences = next(one for at, one in reversed(self.past) if at <= max(0.0, moment))
            quiet = quiet_of(preferences, ZONE)
            if integration_type not in quiet.integrations or _is_open(quiet, moment):
                return False
        return True

    def _first_chance(self, send: Send, patience: float) -> float:
        """Return when a delivery was due and open at first, and stayed so for some time."""
        row, delivery = send.row, send.claim.delivery
        base = self.base[send.claim.key]
        ends = [at for at, _ in self.past[1:]] + [math.inf]
        for (begin, preferences), end in zip(self.past, ends, strict=True):
            if end <= base:
                continue
            at = max(begin, base)
            if row.urgent or delivery.ignores_hours:
                return at
            quiet = quiet_of(preferences, ZONE)
            at = opening(quiet, row.user_id, delivery.type, at).at
            if at + patience < end:
                stays = delivery.type not in quiet.integrations or _is_open(quiet, at + patience)
                return at if stays else math.inf
        return math.inf

    def holds_a_paused_receiver_gets_one_request(self) -> None:
        """I22: of a pause, one request reaches the receiver: the probe, after its end.

        Its outcome ends the pause or begins the next one, unless a fault keeps it from the user's
        row, or it says nothing. ``hold_at_rest`` counts: an excuse may come later.
        """
        for send in self.sends:
            name, margin = send.claim.delivery.type, CLOSED
            if not self.quiet:
                margin += SDK_TIME + send.claim.actor.stood - send.claim.stood
            health = self.healths.get(name)
            if health is not None and health.paused_until is not None:
                pause = self.pauses[name][-1]
                if send.at > pause.began_at + margin:
                    pause.sent.append(send.claim)
                    self.counts["probes"] += 1

    def _pauses_at_rest(self) -> None:
        """I22: see ``holds_a_paused_receiver_gets_one_request``."""
        for name, pauses in self.pauses.items():
            for pause in pauses:
                plain = [
                    claim
                    for claim in pause.sent
                    if not (claim.excused or claim.unjudged or _says_nothing(claim))
                ]
                assert len(plain) <= 1, f"I22: {name} was paused at {pause.began_at}: {plain}"

    def holds_the_end_of_a_pause_releases_what_it_held(self) -> None:
        """I23: without a fault, an override that is changed or deleted releases within seconds."""
        for _, at, before, after, _ in self.moves:
            if before is None or after.owner in {None, before.owner}:
                continue
            did = after.delivery_id(after.current or 0)
            since = self.released_at.pop(did, None)
            calm = self.quiet and not self.purged and len(self.past) == 1 and after.mode == "all"
            if since is None or not calm:
                continue
            since = max(since, self.base[did, after.deliveries[after.current or 0].round])
            most = OPENED + LATE_BEHIND * len(after.deliveries)
            assert at - since <= most, f"I23: {did} came {at - since:.0f} s after its release"

    def holds_the_budget_of_sends(self) -> None:
        """I2: a round has at most three sends more than its ``max_attempts``."""
        for send in self.sends:
            sends = sum(one.sends for one in self.claims_of[send.claim.key])
            most = send.claim.delivery.max_attempts + FORGIVEN
            assert sends <= most, f"{send.claim} was sent {sends} times"

    def holds_duplicates_have_an_excuse(self) -> None:
        """I3: a second delivery in one round needs a crash, a stall or a record under faults."""
        for send in self.sends:
            for other in send.earlier:
                if other.delivered and not send.after_lease:
                    assert other.excused, f"{send.claim} was delivered by {other}"
                    self.counts["duplicates"] += 1

    def holds_a_text_message_is_never_sent_twice(self) -> None:
        """An SMS is not sent again after an unknown outcome, a crash included."""
        for send in self.sends:
            if catalogue()[send.claim.delivery.type].resend_unknown or send.after_lease:
                continue
            for other in send.earlier:
                known = other.recorded_at is not None and not other.delivered
                assert known, f"{send.claim} was sent by {other}"

    def holds_first_attempts_follow_the_priority(self) -> None:
        """I6: in round 1 a first attempt comes after those of all higher priorities.

        Unless they have ended, the worker stalled between its last check and its send, or they were
        held and became due only since the claim.
        """
        for send in self.sends:
            did, number = send.claim.key
            if number == 1 and did not in self.tried:
                self.tried.add(did)
                for place, one in enumerate(send.row.deliveries[: send.place]):
                    other = send.row.delivery_id(place)
                    gone = other in self.tried or not one.is_pending or one.round > 1
                    later = one.due_at > min(send.claim.delivery.due_at, send.claim.at - 2 * SKEW)
                    gone = gone or (other in self.held and later)
                    assert gone or send.after_lease, f"{did} overtook {one}"

    def holds_a_first_success_message_goes_in_order(self) -> None:
        """I9: a ``first_success`` delivery is sent only after those before it have ended."""
        for send in self.sends:
            first = send.row.mode == "first_success" and send.claim.delivery.round == 1
            if first and not send.after_lease:
                for one in send.row.deliveries[: send.place]:
                    assert not one.is_pending, f"{send.claim} overtook {one}"

    # When nothing is left to do -------------------------------------------------------------------

    def hold_at_rest(self) -> None:
        """I1, I9, I11: all has ended, no dead letter is missing, and the sweeper rang sparingly."""
        for row in self.table.messages():
            statuses = {one.status for one in row.deliveries}
            ends = {Status.SUCCESS, Status.FAILED, Status.SKIPPED}
            assert statuses <= ends, f"{row} never ends"
            rest = (row.owner, row.lease_until, row.current, row.sweep_at)
            assert rest == (None, None, None, None), f"{row} is not at rest"
            assert not any(one.dead_letter_owed for one in row.deliveries), f"{row} owes"
            if row.mode == "first_success":
                delivered = [
                    claim
                    for claim in self.claims
                    if claim.delivered
                    and message_id_of(claim.delivery_id) == row.message_id
                    and claim.key not in self.refuted
                ]
                if len({claim.delivery_id for claim in delivered}) > 1:
                    assert any(claim.excused for claim in delivered), f"{row}: {delivered}"
            self._reports_at_rest(row)
        self._pauses_at_rest()
        if self.quiet:
            for message_id, rings in self.sweeps.items():
                tries = sum(message_id_of(one.delivery_id) == message_id for one in self.claims)
                assert rings <= 4 + 2 * max(1, tries), f"I11: {message_id} was rung {rings} times"

    def _reports_at_rest(self, row: MessageRow) -> None:
        """I18, I19, I21: every report was applied, in whatever order and however often it came."""
        for place, one in enumerate(row.deliveries):
            key = (row.delivery_id(place), one.round)
            names = self.applied[key]
            if key in self.unsure or not names:
                continue
            states = {state for state, _ in map(MEANINGS.__getitem__, names) if state}
            rank = max(map(RANKS.__getitem__, states), default=None)
            found = one.receipt.state if one.receipt else None
            is_highest = found in states and RANKS[found or ""] == rank if states else found is None
            assert is_highest, f"{key}: {names} made {one}"
            if any(MEANINGS[name][1] for name in names):
                assert one.status != Status.SUCCESS, f"I18: {key}: {names} made {one}"
        if row.mode != "first_success":
            return
        refuted = any(one.error_code in REPORTED for one in row.deliveries)
        succeeded = any(one.status == Status.SUCCESS for one in row.deliveries)
        left = [one for one in row.deliveries if one.error_code == "first_success"]
        assert succeeded or not (refuted and left), f"I19: {row} was given up"


def _says_nothing(claim: Claim) -> bool:
    """Return whether an outcome does not show how the receiver is, such as a fault in our code."""
    outcome = claim.outcome
    if outcome is None:
        return not catalogue()[claim.delivery.type].resend_unknown
    unknown = not is_explained(outcome.code) and not is_answered(outcome.code)
    return isinstance(outcome, Retry) and unknown


def _is_open(quiet: Quiet, t: float) -> bool:
    windows = quiet.windows
    return quiet.muted_until <= t and (
        windows is None or is_open(windows, zone(quiet.zone_name), t)
    )


def _transition(before: MessageRow | None, after: MessageRow) -> Transition | None:
    """Return the transition that a write made, from what it left; ``None``: of no state."""
    if before is None:
        return Transition.ACCEPT
    if after.last_owner != before.last_owner:
        return Transition.SETTLE
    pairs = list(zip(before.deliveries, after.deliveries, strict=True))
    if any(new.round > old.round for old, new in pairs):
        return Transition.REOPEN
    if after.owner not in {None, before.owner} or any(
        new.unknown > old.unknown for old, new in pairs
    ):
        return Transition.BEGIN
    if any(old.is_pending and new.error_code == "cancelled" for old, new in pairs):
        return Transition.CANCEL
    if any(
        (old.status, new.status) == (Status.SUCCESS, Status.FAILED) and old.round == new.round
        for old, new in pairs
    ):
        return Transition.FEEDBACK
    return None


def _accepted(row: MessageRow) -> tuple[object, ...]:
    fixed = tuple((one.type, one.priority) for one in row.deliveries)
    return (
        *(row.user_id, row.message_id, row.request_id, row.session_id, row.subject, row.mode),
        *(row.forced, row.created_at, row.expires_at, row.keep_until, fixed),
    )


def _created(row: MessageRow) -> tuple[object, ...]:
    deliveries = tuple(
        (
            *(one.type, one.priority, one.max_attempts, one.retry_delay_seconds),
            *(one.due_at, one.held, one.by_lock),
        )
        for one in row.deliveries
    )
    times = (row.created_at, row.expires_at)
    return (row.user_id, row.message_id, row.request_id, row.subject, row.mode, times, deliveries)


def _planned(request: RequestRow) -> tuple[object, ...]:
    deliveries = tuple(
        (
            *(one.type, one.priority, one.max_attempts, one.retry_delay_seconds),
            *(one.due_at or request.due_at, one.held, one.by_lock),
        )
        for one in request.deliveries
    )
    times = (request.created_at, request.expires_at)
    return (
        *(request.user_id, request.message_id, request.request_id, request.subject, request.mode),
        *(times, deliveries),
    )


def _delivery_id(request: RequestRow, place: int) -> str:
    return f"{request.message_id[:-2]}{place + 1:02x}"
