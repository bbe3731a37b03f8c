"""The observations of a run, and the track of each delivery through it.

Three parties must agree: the callers (IDs that a 202 named), the table and the API, and the
receivers. Two more explain what they say: the writes and sends that passed the crash proxy, and the
ends of processes. No AWS, clock or process here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.delivery.rows import Delivery, MessageRow, RequestRow
from evidence.chaos.histories import Claim, History, histories
from evidence.chaos.ledger import Arrival, Fate, Write
from evidence.chaos.preferences import State

ROUNDING = 0.001
"""Seconds: the service's clock has whole milliseconds."""

ATTEMPT = 9.0
"""Seconds after which a response may come too late for the sender."""

TAKEN = frozenset({Fate.ACCEPTED, Fate.CUT, Fate.SLOW, Fate.BEREFT})
"""Fates after which the receiver has the message, or may have it."""


class Cause(StrEnum):
    """An event that explains a duplicate."""

    CRASH = "worker died between send and record"
    UNRECORDED = "record not written"
    STALL = "lease outlived, worker not seen to die"
    RECEIVER = "receiver's response did not arrive"


class Send(NamedTuple):
    """A message that reached its receiver, and the claim under which it was sent."""

    arrival: Arrival
    claim: Claim


class Move(NamedTuple):
    """A write, and what it made of one delivery."""

    before: MessageRow | None
    write: Write
    old: Delivery
    """As it was; for the first write the delivery without a hold."""
    new: Delivery


@dataclass(frozen=True)
class Track:
    """One delivery: its message's history, and its own claims and arrivals, in order."""

    history: History
    place: int
    claims: Sequence[Claim]
    arrivals: Sequence[Arrival]

    @property
    def delivery_id(self) -> str:
        """Return the delivery's ID."""
        return self.row.delivery_id(self.place)

    @property
    def row(self) -> MessageRow:
        """Return the message's row as it is stored."""
        return self.history.row

    @property
    def delivery(self) -> Delivery:
        """Return the delivery as it is stored."""
        return self.row.deliveries[self.place]

    @cached_property
    def sends(self) -> list[Send]:
        """Return the arrivals with their claims; one before any claim has none."""
        found = ((arrival, self.claim_of(arrival)) for arrival in self.arrivals)
        return [Send(arrival, claim) for arrival, claim in found if claim]

    def claim_of(self, arrival: Arrival) -> Claim | None:
        """Return the claim under which a message was sent: the last one before it."""
        index = bisect_right(self.claims, arrival.at, key=lambda claim: claim.at)
        return self.claims[index - 1] if index else None

    def repeats(self, fates: frozenset[Fate]) -> Iterator[tuple[Send, Send]]:
        """Yield each two sends of one round, with these fates, that follow each other."""
        for first, again in pairwise(send for send in self.sends if send.arrival.fate in fates):
            if first.claim.round == again.claim.round:
                yield first, again

    def moves(self) -> Iterator[Move]:
        """Yield what each write made of the delivery."""
        before: MessageRow | None = None
        for write in self.history.writes:
            new = write.row.deliveries[self.place]
            old = before.deliveries[self.place] if before else replace(new, held=None)
            yield Move(before, write, old, new)
            before = write.row

    def due_after(self, send: Send) -> float:
        """Return when the attempt after one with a record may come."""
        assert send.claim.record is not None  # noqa: S101 - its callers ask only then
        delay = send.claim.record.row.deliveries[self.place].retry_delay_seconds
        return send.arrival.ended_at + max(delay, send.arrival.retry_after)

    def duplicates(self, deaths: Mapping[int, float]) -> Iterator[tuple[Send, Send, Cause | None]]:
        """Yield each send of what the receiver already had, the one before it, and its cause."""
        for first, again in self.repeats(TAKEN):
            yield first, again, self._cause(first, again, deaths)

    def _cause(self, first: Send, again: Send, deaths: Mapping[int, float]) -> Cause | None:
        arrival, claim = first
        if arrival.fate in {Fate.CUT, Fate.SLOW} or self._came_too_late(arrival):
            return Cause.RECEIVER
        if claim.record is not None:
            return None
        # The request may have been on the way, and not read yet, when its sender died.
        if claim.at <= deaths.get(claim.pid, 0.0) <= again.arrival.at:
            return Cause.CRASH
        if claim.record_attempts:
            return Cause.UNRECORDED
        return Cause.STALL if again.claim.at >= claim.lease_until else None

    def _came_too_late(self, arrival: Arrival) -> bool:
        """Return whether the sender had given up before the response, as its own log says."""
        if arrival.ended_at - arrival.at >= ATTEMPT:
            return True
        log = self.delivery.attempt_log
        entries = [entry for entry in log if entry.started_at <= arrival.at + ROUNDING]
        return any("timeout" in f"{one.code} {one.detail}".lower() for one in entries[-1:])


@dataclass(frozen=True, kw_only=True)
class Audit:
    """All results of a run."""

    contents: Mapping[str, str]
    """The content that was sent, by request ID."""
    responses: Mapping[str, Sequence[tuple[str, ...]]]
    """The delivery IDs of each 202, by request ID."""
    refused: Sequence[str]
    """The requests that got no final response, or another one than the API promises."""
    cancelled: Mapping[str, float]
    """When DELETE returned 200, by delivery ID."""
    reopened: Mapping[str, int]
    """The round that a 202 of ``/retry`` named, by delivery ID."""
    rows: Sequence[MessageRow]
    requests: Sequence[RequestRow]
    statuses: Mapping[str, str]
    """The API's view, by delivery ID."""
    mailbox: Mapping[str, str]
    """The content in the mailboxes of TEST and CLI, by delivery ID."""
    dead_letters: Sequence[DeadLetter]
    """In the dead-letter queue, now or until they were redriven."""
    redriven: frozenset[DeadLetter]
    """Moved to the delivery queue, and handled since."""
    writes: Sequence[Write]
    arrivals: Sequence[Arrival]
    crashes: Sequence[str]
    """Where a process was killed: ``DeliverMessages: before claim``."""
    deaths: Mapping[int, float]
    """When each process was seen to have ended."""
    states: Mapping[str, Sequence[State]]
    """The preferences of each user, oldest first."""
    opted_out: frozenset[str]
    """The users who disabled EMAIL."""

    def possible(self, user_id: str, begin: float, end: float) -> list[State]:
        """Return the preferences by which the service may have gone between two times."""
        states = self.states.get(user_id) or (State(since=0.0),)
        return [state for state in states if state.since <= end and state.until >= begin]

    @cached_property
    def accepted(self) -> set[tuple[str, str]]:
        """Return request and delivery ID of all deliveries that a 202 named."""
        return {
            (request_id, delivery_id)
            for request_id, ids in self.responses.items()
            for each in ids
            for delivery_id in each
        }

    @cached_property
    def histories(self) -> list[History]:
        """Return the history of each message."""
        return histories(self.rows, self.writes)

    @cached_property
    def tracks(self) -> dict[str, Track]:
        """Return the track of each delivery by its ID."""
        arrivals, claims = defaultdict(list), defaultdict(list)
        for arrival in sorted(self.arrivals, key=lambda arrival: arrival.at):
            arrivals[arrival.delivery_id].append(arrival)
        for history in self.histories:
            for claim in history.claims:
                claims[claim.delivery_id].append(claim)
        return {
            name: Track(history, place, claims[name], arrivals[name])
            for history in self.histories
            for place in range(len(history.row.deliveries))
            for name in [history.row.delivery_id(place)]
        }
