"""What the protocol promises, each promise in one place, held against what was seen.

``Audit`` writes down who wrote what to which row and who sent what; a promise is a method whose
name begins with ``holds_`` and reads them. ``docs/architecture.md`` tells the protocol.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dispatcher.delivery.doorbells import Ticket
from dispatcher.delivery.outcomes import Delivered
from dispatcher.delivery.prepare import FRESH
from dispatcher.delivery.protocol import (
    BACK_OFF,
    FORGIVEN,
    LEASE,
    LONGEST_DELAY,
    NO_TICKET,
    REQUEST_RINGS,
    UNKNOWN_OUTCOME,
)
from dispatcher.delivery.rows import DELIVERY, REQUEST, Delivery, Status
from dispatcher.errors import ConflictError, UnavailableError
from dispatcher.integrations import catalogue
from tests.steps import SkewedClock, acting

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.delivery.outcomes import Outcome
    from tests.fakes import MemoryDeliveries
    from tests.steps import Actor

SKEW = 5.0
"""Seconds by which a clock may be fast or slow."""

RECORD_GIVES_UP = 4.0
"""Seconds of an invocation below which a record may be given up: 2 to write, 2 for a pause."""

Key = tuple[str, int]
"""A delivery and its round: what has one budget."""


@dataclass(eq=False)
class Claim:
    """A delivery in one worker's hands."""

    actor: Actor
    token: str
    row: Delivery
    at: float
    rings: int
    sends: int = 0
    delivered: bool = False
    ended_at: float | None = None
    recorded_at: float | None = None
    given_back: bool = False

    @property
    def key(self) -> Key:
        """Return whose budget it uses."""
        return self.row.delivery_id, self.row.round

    def stalled(self, now: float) -> bool:
        """Tell whether its lease may have run out on somebody's clock before it was recorded."""
        return (self.recorded_at or now) - self.at >= LEASE - 2 * SKEW

    def excused(self, now: float) -> bool:
        """Tell whether it may be without a record: its worker died, stalled, or met faults."""
        actor = self.actor
        return actor.crashed or isinstance(actor.error, UnavailableError) or self.stalled(now)


class Move(NamedTuple):
    """A row was written."""

    actor: Actor
    at: float
    before: Delivery | None
    after: Delivery


class Send(NamedTuple):
    """A message reached a receiver: what held at that moment."""

    claim: Claim | None
    at: float
    row: Delivery
    earlier: tuple[Delivery, ...]
    """The rows of higher priority in the same request."""
    not_before: float

    @property
    def stalled(self) -> bool:
        """Tell whether the lease may have run out on somebody's clock: all may have changed."""
        return self.claim is not None and self.at - self.claim.at >= LEASE - 2 * SKEW


@dataclass
class Audit:
    """Everything that was seen, and what of it is new since the promises were last held."""

    clock: SkewedClock
    deliveries: MemoryDeliveries
    moves: list[Move] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    ended: list[Actor] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin empty."""
        self.order: dict[str, list[str]] = defaultdict(list)
        self.begins: dict[str, float] = {}
        self.answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.claims: list[Claim] = []
        self.latest: dict[tuple[Actor, str], Claim] = {}
        self.by_token: dict[str, Claim] = {}
        self.retry_at: dict[Key, float] = {}
        self.tickets: set[Ticket] = set()
        self.opened: dict[Key, Actor] = {}
        self.off_since: dict[str, float] = {}
        self.tried: set[str] = set()
        self._promises: list[Callable[[], None]] = [
            getattr(self, name) for name in sorted(dir(self)) if name.startswith("holds_")
        ]

    def hold(self) -> None:
        """Hold every promise against what is new."""
        for promise in self._promises:
            promise()
        self.moves, self.sends, self.ended = [], [], []

    def rows(self) -> list[Delivery]:
        """Return all deliveries as they are stored."""
        return [
            Delivery.of(row)
            for key, row in self.deliveries.rows.items()
            if key[1].startswith(DELIVERY)
        ]

    # Writing down ---------------------------------------------------------------------------------

    def table(self, name: str, call: Callable[[], Any], args: tuple[Any, ...]) -> Any:
        """Let a call of the table happen, and write down which rows it changed."""
        keys = {"apply": lambda: [args[0]], "commit": lambda: [one.key for one in args[0]]}
        touched = [key for key in keys.get(name, list)() if not key[1].startswith(REQUEST)]
        before = [self.deliveries.get(key) for key in touched]
        result = call()
        for key, was in zip(touched, before, strict=True):
            row = self.deliveries.get(key)
            if row != was:
                self._moved(Delivery.of(was) if was else None, Delivery.of(row))
        return result

    def queue(self, name: str, call: Callable[[], Any], args: tuple[Any, ...]) -> Any:
        """Let a call of the queues happen, and write down which ticket was left."""
        result = call()
        if name == "leave_ticket":
            self.tickets.add(args[0])
        return result

    def sent(self, delivery_id: str) -> Claim | None:
        """Write down that a receiver was reached; return the claim that this was for."""
        claim = self.latest.get((acting(), delivery_id))
        rows = {row.delivery_id: row for row in self.rows()}
        row = rows[delivery_id]
        order = self.order[row.request_id]
        earlier = tuple(rows[one] for one in order[: order.index(delivery_id)])
        retry_at = self.retry_at.get((delivery_id, row.round), 0.0)
        begin = self.begins[delivery_id] if row.round == 1 else 0.0
        not_before = max(begin - SKEW, retry_at - 2 * SKEW)
        self.sends.append(Send(claim, self.clock.seconds, row, earlier, not_before))
        if claim:
            claim.sends += 1
        return claim

    def came_to(self, claim: Claim | None, outcome: Outcome) -> None:
        """Write down what a send came to."""
        if claim:
            claim.delivered = isinstance(outcome, Delivered)
            claim.ended_at = self.clock.seconds

    def _moved(self, before: Delivery | None, after: Delivery) -> None:
        now, actor = self.clock.seconds, acting()
        self.moves.append(Move(actor, now, before, after))
        if before is None:
            self.order[after.request_id].append(after.delivery_id)
            self.begins[after.delivery_id] = after.due_at
            return
        if after.round > before.round:
            self.opened[after.delivery_id, after.round] = actor
        if after.owner and after.owner != before.owner:
            # Its lease runs from before the call.
            began = (after.lease_until or 0.0) - LEASE - actor.skew
            claim = Claim(actor, after.owner, after, began, before.rings)
            self.claims.append(claim)
            self.latest[actor, after.delivery_id] = self.by_token[after.owner] = claim
        elif before.owner and not after.owner and after.last_owner == before.owner:
            claim = self.by_token[before.owner]
            claim.recorded_at = now
            claim.given_back = after.tries < before.tries
            if after.status == Status.PENDING and not claim.given_back:
                end = claim.ended_at if claim.ended_at is not None else now
                self.retry_at[claim.key] = end + after.retry_delay_seconds

    # At every moment ------------------------------------------------------------------------------

    def holds_nothing_accepted_is_lost(self) -> None:
        """Model I1: what is not at its end is in the sweep index, soon enough, or waits in a chain.

        So whatever is lost beside the rows, a sweep finds it.
        """
        rows = self.rows()
        now = self.clock.seconds
        kept = {row.delivery_id for row in rows}
        for answers in self.answers.values():
            for answer in answers:
                promised = {one["delivery_id"] for one in answer["deliveries"]}
                assert promised <= kept, "an accepted delivery has no row"
        for row in rows:
            if row.status != Status.PENDING:
                assert row.waits is False, f"{row} has ended and still waits"
                assert row.owner is None, f"{row} has ended and is still claimed"
                assert (row.sweep_at is not None) == row.ticket_owed, f"{row} owes what?"
                assert row.ttl is not None, f"{row} is kept for ever"
                continue
            assert row.ttl is None, f"{row} may be removed before its end"
            if row.waits:
                assert row.sweep_at is None, f"{row} waits and is rung for"
                continue
            assert row.sweep_at is not None, f"{row} is forgotten"
            latest = max(now, row.due_at) + max(LEASE, *BACK_OFF) + SKEW
            assert row.sweep_at <= latest, f"{row} is looked after too late"
            if row.rings == 0 and row.owner is None and row.due_at - now > LONGEST_DELAY + SKEW:
                assert row.sweep_at <= row.due_at - LONGEST_DELAY + SKEW, f"{row} would be late"

    def holds_one_of_a_chain_at_a_time(self) -> None:
        """Model I9, at rest and in between: one goes, the later wait for it, one succeeds."""
        chains: dict[tuple[str, ...], list[Delivery]] = defaultdict(list)
        for row in self.rows():
            if row.chain:
                chains[row.chain].append(row)
        for chain in chains.values():
            going = [one for one in chain if one.status == Status.PENDING and not one.waits]
            waiting = [one for one in chain if one.waits]
            assert len(going) <= 1, f"more than one goes: {going}"
            assert going or not waiting, f"nobody releases {waiting}"
            successes = [one for one in chain if one.status == Status.SUCCESS]
            assert len(successes) <= 1, f"more than one succeeded: {successes}"
            assert not (successes and going), f"{going} goes although {successes} succeeded"

    def holds_no_ticket_is_missing(self) -> None:
        """Model I7: a failed round is ticketed, owes its ticket, or was followed by a fresh one."""
        for row in self.rows():
            if row.status == Status.FAILED and row.error_code not in NO_TICKET:
                ticket = Ticket(row.user_id, row.delivery_id, row.round + 1)
                assert row.ticket_owed or ticket in self.tickets, f"{row} has no ticket"

    def holds_the_budget_of_a_row(self) -> None:
        """Model I2: at most ``max_attempts`` outcomes are recorded in a round."""
        for row in self.rows():
            assert 0 <= row.attempts <= row.max_attempts, f"{row} was attempted too often"
            assert 0 <= row.tries <= row.max_attempts + FORGIVEN, f"{row} was tried too often"

    # At every write -------------------------------------------------------------------------------

    def holds_what_has_ended_stays_ended(self) -> None:
        """Model I5: out of an end leads only a fresh round, from failed, one higher.

        Nothing else changes there but the ticket that is owed, and when the sweeper sends it.
        """
        for _, _, before, after in self.moves:
            if before is None or before.status == Status.PENDING:
                continue
            owed = {"ticket_owed": False, "sweep_at": None, "rings": 0}
            settled = replace(before, **owed) == replace(after, **owed)
            reopened = (before.status, after.status, after.round) == (
                Status.FAILED,
                Status.PENDING,
                before.round + 1,
            )
            assert settled or reopened, f"{before} became {after}"
            if reopened:
                fresh = (after.tries, after.unknown, after.attempts, after.rings)
                assert fresh == (0, 0, 0, 0), f"{after} does not begin anew"

    def holds_a_live_claim_is_its_owners(self) -> None:
        """Model: the clauses *claim* and *record*. Nobody takes a claim whose lease may hold.

        And nobody records an attempt but who has the claim, however late.
        """
        for actor, at, before, after in self.moves:
            claim = self.by_token.get(before.owner or "") if before else None
            if claim and after.owner != claim.token:
                assert actor is claim.actor or claim.stalled(at), f"{actor} took {before}"
            if before and after.attempts > before.attempts:
                assert claim, f"{actor} recorded an attempt at {before}"
                assert actor is claim.actor, f"{actor} recorded an attempt at {before}"

    def holds_an_unknown_outcome_ends_only_a_used_up_budget(self) -> None:
        """Model I2b: the first three unknown outcomes of a round do not use up its budget."""
        for _, _, before, after in self.moves:
            if before is None or before.status != Status.PENDING:
                continue
            resent = catalogue()[after.integration_type].resend_unknown
            if after.status == Status.FAILED and after.error_code == UNKNOWN_OUTCOME and resent:
                key = after.delivery_id, after.round
                tries = [one for one in self.claims if one.key == key and not one.given_back]
                lost = sum(one.recorded_at is None for one in tries)
                used = len(tries) - min(lost, FORGIVEN)
                assert used >= after.max_attempts, f"{after} was given up too early"

    def holds_a_result_is_recorded(self) -> None:
        """Model I3: who sent and was done in time has recorded it, whatever its siblings did.

        A record may be given up only when next to no time is left.
        """
        now = self.clock.seconds
        for actor in self.ended:
            for claim in (one for one in self.claims if one.actor is actor and one.sends):
                assert claim.recorded_at or claim.excused(now), f"{claim} left no record"
                gave_up = isinstance(actor.error, UnavailableError) and not claim.recorded_at
                if gave_up and not actor.crashed:
                    left = actor.until - now
                    assert left <= RECORD_GIVES_UP, f"{claim} gave up with {left} s left"

    def holds_who_changed_it_is_told_so(self) -> None:
        """Model I5b: a caller whose own call opened a round or cancelled is not told 409."""
        for actor in self.ended:
            if isinstance(actor.error, ConflictError):
                assert actor not in self.opened.values(), f"{actor} opened a round: {actor.error}"
        for actor, _, _, after in self.moves:
            if after.error_code == "cancelled" and actor.done:
                assert not isinstance(actor.error, ConflictError), f"{actor} cancelled"

    def holds_equal_requests_have_equal_answers(self) -> None:
        """Model I8: the same request again is the same answer, and nothing more is written."""
        for request_id, answers in self.answers.items():
            assert all(one == answers[0] for one in answers), f"{request_id}: {answers}"
            ids = [one["delivery_id"] for one in answers[0]["deliveries"]]
            assert ids == self.order[request_id], f"{request_id} has other rows"

    # At every send --------------------------------------------------------------------------------

    def holds_no_send_without_a_claim(self) -> None:
        """Model I10 and clause 12: a worker sends what it holds, once.

        Only a stall beyond the lease lets it send what another one took or a person cancelled.
        """
        for send in self.sends:
            claim, row = send.claim, send.row
            assert claim is not None, f"{row} was sent without a claim"
            assert not claim.given_back, f"{row} was sent after it was given back"
            assert claim.sends == 1, f"{row} was sent twice for one claim"
            mine = row.status == Status.PENDING and row.owner == claim.token and not row.waits
            assert mine or send.stalled, f"{row} is not {claim}"

    def holds_never_early(self) -> None:
        """Model I4: not before ``deliver_at``, nor before the last end and the delay are over."""
        for send in self.sends:
            early = send.not_before - send.at
            assert early <= 0.001 or send.stalled, f"{send.row} was sent {early:.3f} s early"

    def holds_nothing_is_sent_that_is_not_wanted(self) -> None:
        """Clause *attempt*: nothing is sent past its ``expires_at``, or after the user opted out.

        Both are looked at after the claim, the override in a reading that may be older.
        """
        for claim, row in ((send.claim, send.row) for send in self.sends if send.claim):
            assert row.expires_at is None or claim.at <= row.expires_at + SKEW, f"{row} expired"
            off = self.off_since.get(row.integration_type, claim.at)
            assert claim.at <= off + FRESH, f"{row} was sent after the user opted out"

    def holds_the_budget_of_sends(self) -> None:
        """Model I2: at most three sends of a round more than its ``max_attempts``."""
        for send in self.sends:
            sends = sum(one.sends for one in self._claims_like(send))
            most = send.row.max_attempts + FORGIVEN
            assert sends <= most or send.stalled, f"{send.row} was sent {sends} times"

    def holds_duplicates_have_an_excuse(self) -> None:
        """Model I3: a second delivery of one round only after a crash, a stall or a lost record."""
        for send in self.sends:
            for other in self._claims_like(send):
                if other is not send.claim and other.delivered and not send.stalled:
                    assert other.excused(send.at), f"{send.row} was delivered by {other}"

    def holds_a_text_message_is_never_sent_twice(self) -> None:
        """Clause *budget*: what is not resent after an unknown outcome, a crash included."""
        for send in self.sends:
            if catalogue()[send.row.integration_type].resend_unknown or send.stalled:
                continue
            for other in self._claims_like(send):
                if other is not send.claim and other.sends:
                    known = other.recorded_at and not other.delivered
                    assert known or other.stalled(send.at), f"{send.row} was sent by {other}"

    def holds_nobody_overtakes_a_first_try(self) -> None:
        """Model I6: in round 1 a first try comes after those of all higher priorities.

        Unless they have ended, the worker stalled, or eight rings went unanswered.
        """
        for send in self.sends:
            row = send.row
            first = row.round == 1 and row.delivery_id not in self.tried
            self.tried.add(row.delivery_id)
            unanswered = send.claim is not None and send.claim.rings >= REQUEST_RINGS
            if first and not send.stalled and not unanswered:
                for one in send.earlier:
                    gone = one.status != Status.PENDING or one.delivery_id in self.tried
                    assert gone, f"{row} overtook {one}"

    def holds_a_chain_goes_one_after_the_other(self) -> None:
        """Model I9: in a ``first_success`` request nobody is sent before the earlier have ended."""
        for send in self.sends:
            if send.row.chain and not send.stalled:
                for one in send.earlier:
                    ended = one.status in {Status.FAILED, Status.SKIPPED}
                    assert ended, f"{send.row} overtook {one}"

    def _claims_like(self, send: Send) -> list[Claim]:
        return [one for one in self.claims if one.key == (send.row.delivery_id, send.row.round)]

    # When nothing is left to do -------------------------------------------------------------------

    def hold_at_rest(self) -> None:
        """Model I1 and I11: all has come to an end, and nothing is owed or rung for any more."""
        for row in self.rows():
            assert row.status in {Status.SUCCESS, Status.FAILED, Status.SKIPPED}, f"{row} is open"
            rest = (row.owner, row.lease_until, row.sweep_at, row.ticket_owed, row.waits)
            assert rest == (None, None, None, False, False), f"{row} is not at rest"
