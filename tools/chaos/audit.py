"""What each party saw of a run, and the reckoning of one against the other.

Three audit must agree: the ids that callers were promised, the rows (and what the API shows of
them), and what the receivers saw. Two more explain what they say: the claims and records that
passed the crash proxy, and when a worker ended. Nothing here knows AWS, a clock or a process, and
what the service promises is stated anew: from its own words its slips would not show.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FINAL = frozenset({"success", "failed", "skipped"})

FORGIVEN = 3
"""Tries of a round that may stay without a record and use up nothing."""

NO_TICKET = frozenset({"expired", "content_expired", "no_address", "not_configured"})
"""Failures that a fresh round could not change."""

ROUNDING = 0.001
"""Seconds: the service's clock has whole milliseconds."""

ATTEMPT = 9.0
"""Seconds after which an answer may come too late for the sender."""


class Fate(StrEnum):
    """What a receiver did with a request."""

    ACCEPTED = "answered 2xx"
    REFUSED = "answered something else"
    CUT = "read it, then cut the line"
    SLOW = "read it, then kept the sender waiting beyond its limit"
    UNREAD = "cut the line before it had read it"
    BEREFT = "read it, then saw the sender die"


TAKEN = frozenset({Fate.ACCEPTED, Fate.CUT, Fate.SLOW, Fate.BEREFT})
"""Fates after which the receiver has the message."""

UNANSWERED = frozenset({Fate.CUT, Fate.SLOW})


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request that reached a receiver, by the clock that the service has too."""

    delivery_id: str
    at: float
    fate: Fate
    ended_at: float
    """When the answer was on its way, or the line was cut."""
    retry_after: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim that was granted, and the records that were tried under it."""

    delivery_id: str
    token: str
    pid: int
    at: float
    lease_until: float
    hastened: bool = False
    """Its worker was dead, and the run did not wait for the end of the lease."""
    records: int = 0
    """Calls that tried to record an outcome, whatever became of them."""
    recorded_at: float | None = None
    """When a record is known to have been written."""


@dataclass(frozen=True, slots=True)
class Crash:
    """A process that was killed at a step of one delivery."""

    at: float
    step: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All that is known after a run."""

    accepted: frozenset[str]
    """Delivery ids that some 202 has named."""
    rows: Sequence[Mapping[str, Any]]
    shown: Mapping[str, str]
    """Status by delivery id, as the API tells it."""
    mailbox: frozenset[str]
    """Delivery ids of TEST and CLI whose message lies in the user's mailbox."""
    arrivals: Sequence[Arrival]
    claims: Sequence[Claim]
    crashes: Sequence[Crash]
    deaths: Mapping[int, float]
    """When a worker's process was seen to have ended, by its id."""
    tickets: Sequence[tuple[str, int]]
    """Delivery id and round of each ticket in the dead-letter queue."""


class Cause(StrEnum):
    """What explains that a receiver took a message once more."""

    CRASH = "crash between send and record"
    UNRECORDED = "record not written"
    STALL = "lease outlived, worker not seen to die"
    RECEIVER = "receiver's answer did not arrive"


@dataclass(frozen=True, slots=True)
class Lateness:
    """Seconds between the moment from which a try was allowed and its claim."""

    median: float = 0.0
    worst: float = 0.0

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Lateness:
        """Read them off."""
        ordered = sorted(seconds)
        return cls(ordered[len(ordered) // 2], ordered[-1]) if ordered else cls()


@dataclass(kw_only=True)
class Reckoning:
    """What came out: figures, and every promise that was broken, with an example."""

    statuses: Counter[str] = field(default_factory=Counter)
    unpromised: int = 0
    """Deliveries that exist although no caller got a 202 that named them."""
    duplicates: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    crashes_between: int = 0
    """Tries that reached a receiver and whose worker ended before the record."""
    unknown: int = 0
    """Tries that ended without a record."""
    retries: Lateness = field(default_factory=Lateness)
    takeovers: Lateness = field(default_factory=Lateness)
    doubled_tickets: int = 0
    broken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def lost(self) -> int:
        """Return how many deliveries were promised and are not there, or not really sent."""
        return len(self.broken.get(LOST, ()))


LOST = "nothing accepted is lost"
FINISHED = "every delivery ends"
AGREED = "the API shows what the table holds"
DUPLICATES = "duplicates only where an event explains them"
CLAIMED = "one send per claim, none without"
BUDGET = "the budget of tries holds"
EARLY = "no try is early"
TICKETS = "every final failure has its ticket"

TAKEN_IN = "a caller who repeats its request gets its 202"

PROMISES = (LOST, FINISHED, AGREED, DUPLICATES, CLAIMED, BUDGET, EARLY, TICKETS, TAKEN_IN)


def reckon(audit: Audit) -> Reckoning:
    """Hold the audit against each other."""
    result = Reckoning()
    rows = {row["delivery_id"]: row for row in audit.rows}
    trips = _trips(audit)
    result.statuses.update(str(row["status"]) for row in audit.rows)
    result.unpromised = len(rows.keys() - audit.accepted)
    result.crashes.update(crash.step for crash in audit.crashes)
    result.unknown = sum(row.get("unknown", 0) for row in audit.rows)
    _check_ends(audit, rows, trips, result)
    _check_tickets(audit, rows, result)
    retries: list[float] = []
    takeovers: list[float] = []
    for delivery_id, trip in trips.items():
        row = rows.get(delivery_id)
        if row is None:
            result.broken[LOST].append(f"{delivery_id}: a receiver saw it, no row knows it")
            continue
        _check_budget(row, trip, result)
        _check_claims(trip, result)
        _explain_duplicates(trip, row, audit.deaths, result)
        _check_times(trip, row, result)
        _measure_lateness(trip, row, retries, takeovers)
        result.crashes_between += sum(
            trip.died_unrecorded(each, audit.deaths) for each in trip.arrivals
        )
    result.retries, result.takeovers = Lateness.of(retries), Lateness.of(takeovers)
    return result


@dataclass(frozen=True, slots=True)
class Trip:
    """The arrivals and claims of one delivery, in order."""

    delivery_id: str
    arrivals: Sequence[Arrival]
    claims: Sequence[Claim]

    def claim_of(self, arrival: Arrival) -> Claim | None:
        """Return the claim under which a request was sent: the last one before it."""
        index = bisect_right(self.claims, arrival.at, key=lambda claim: claim.at)
        return self.claims[index - 1] if index else None

    def died_unrecorded(self, arrival: Arrival, deaths: Mapping[int, float]) -> bool:
        """Tell whether the sender ended after its claim, its request on the way, unrecorded."""
        claim = self.claim_of(arrival)
        if claim is None or claim.recorded_at is not None:
            return False
        return deaths.get(claim.pid, 0.0) >= claim.at


def _trips(audit: Audit) -> dict[str, Trip]:
    arrivals, claims = defaultdict(list), defaultdict(list)
    for arrival in sorted(audit.arrivals, key=lambda each: each.at):
        arrivals[arrival.delivery_id].append(arrival)
    for claim in sorted(audit.claims, key=lambda each: each.at):
        claims[claim.delivery_id].append(claim)
    return {name: Trip(name, arrivals[name], claims[name]) for name in list(arrivals)}


def _check_ends(
    audit: Audit,
    rows: Mapping[str, Mapping[str, Any]],
    trips: Mapping[str, Trip],
    result: Reckoning,
) -> None:
    for delivery_id in sorted(audit.accepted - rows.keys()):
        result.broken[LOST].append(f"{delivery_id}: accepted, and no row knows it")
    for delivery_id, row in rows.items():
        status = row["status"]
        if status not in FINAL:
            result.broken[FINISHED].append(f"{delivery_id}: {status}")
        for name in ("owner", "sweep_at", "ticket_owed"):
            if status in FINAL and row.get(name):
                result.broken[FINISHED].append(f"{delivery_id}: {status}, and still has {name}")
        if status == "success" and not _received(row, audit, trips):
            result.broken[LOST].append(f"{delivery_id}: success, and no receiver took it")
        if audit.shown.get(delivery_id) != status:
            shown = audit.shown.get(delivery_id)
            result.broken[AGREED].append(f"{delivery_id}: {status} in the table, {shown} shown")
    for delivery_id in sorted(audit.shown.keys() - rows.keys()):
        result.broken[AGREED].append(f"{delivery_id}: shown, and not in the table")


def _received(row: Mapping[str, Any], audit: Audit, trips: Mapping[str, Trip]) -> bool:
    if row["integration_type"] != "WEBHOOK":
        return row["delivery_id"] in audit.mailbox
    trip = trips.get(row["delivery_id"])
    return trip is not None and any(each.fate is Fate.ACCEPTED for each in trip.arrivals)


def _check_tickets(audit: Audit, rows: Mapping[str, Mapping[str, Any]], result: Reckoning) -> None:
    tickets = Counter(audit.tickets)
    owed = {
        (delivery_id, row.get("round", 1) + 1)
        for delivery_id, row in rows.items()
        if row["status"] == "failed" and row.get("error_code") not in NO_TICKET
    }
    for delivery_id, _ in sorted(owed - tickets.keys()):
        result.broken[TICKETS].append(f"{delivery_id}: failed, and there is no ticket")
    for delivery_id, _ in sorted(tickets.keys() - owed):
        result.broken[TICKETS].append(f"{delivery_id}: a ticket for what did not fail")
    result.doubled_tickets = sum(count - 1 for count in tickets.values())


def _check_budget(row: Mapping[str, Any], trip: Trip, result: Reckoning) -> None:
    name, most = row["delivery_id"], row["max_attempts"]
    if row.get("attempts", 0) > most:
        result.broken[BUDGET].append(f"{name}: {row['attempts']} recorded of {most}")
    if len(trip.arrivals) > most + FORGIVEN:
        result.broken[BUDGET].append(f"{name}: sent {len(trip.arrivals)} times, {most} + 3 at most")
    known = row.get("unknown", 0) <= FORGIVEN
    only_refused = known and all(each.fate is Fate.REFUSED for each in trip.arrivals)
    retried_out = row["status"] == "failed" and row.get("error_code") in {"http_500", "http_503"}
    if only_refused and retried_out and row.get("attempts") != most:
        result.broken[BUDGET].append(f"{name}: gave up after {row['attempts']} of {most}")


def _check_claims(trip: Trip, result: Reckoning) -> None:
    used: set[str] = set()
    for arrival in trip.arrivals:
        claim = trip.claim_of(arrival)
        if claim is None:
            result.broken[CLAIMED].append(f"{trip.delivery_id}: sent without a claim")
        elif claim.token in used:
            result.broken[CLAIMED].append(f"{trip.delivery_id}: sent twice under one claim")
        else:
            used.add(claim.token)


def _explain_duplicates(
    trip: Trip, row: Mapping[str, Any], deaths: Mapping[int, float], result: Reckoning
) -> None:
    taken = [each for each in trip.arrivals if each.fate in TAKEN]
    for first, again in pairwise(taken):
        cause = _cause(trip, row, (first, again), deaths)
        if cause is None:
            when = f"{again.at - first.at:.1f} s later"
            result.broken[DUPLICATES].append(f"{trip.delivery_id}: sent again {when}, unexplained")
        else:
            result.duplicates[cause] += 1


def _cause(
    trip: Trip,
    row: Mapping[str, Any],
    pair: tuple[Arrival, Arrival],
    deaths: Mapping[int, float],
) -> Cause | None:
    first, again = pair
    claim, later = trip.claim_of(first), trip.claim_of(again)
    if claim is None or later is None:
        return None
    if first.fate in UNANSWERED or _came_too_late(first, row):
        return Cause.RECEIVER
    if claim.recorded_at is not None and claim.recorded_at < again.at:
        return None
    # The request may have been on the way, and not looked at yet, when its sender died.
    if claim.at <= deaths.get(claim.pid, 0.0) <= again.at:
        return Cause.CRASH
    if claim.records:
        return Cause.UNRECORDED
    return Cause.STALL if later.at >= claim.lease_until else None


def _came_too_late(arrival: Arrival, row: Mapping[str, Any]) -> bool:
    """Tell whether the sender had given up before it read the answer, as its own log says."""
    if arrival.ended_at - arrival.at >= ATTEMPT:
        return True
    tries = [
        each for each in row.get("attempt_log", ()) if each["started_at"] <= arrival.at + ROUNDING
    ]
    return bool(tries) and tries[-1]["code"] == "timeout"


def _check_times(trip: Trip, row: Mapping[str, Any], result: Reckoning) -> None:
    """Hold each try against the end of the one before it."""
    for before, after in pairwise(trip.arrivals):
        claim = trip.claim_of(before)
        if claim is None or (claim.hastened and not claim.records):
            continue
        # A record that was tried may be written: its answer was lost, and then the worker died.
        allowed = _due(before, row) if claim.records else claim.lease_until
        if after.at < allowed - ROUNDING:
            early = f"{allowed - after.at:.3f} s early"
            result.broken[EARLY].append(f"{trip.delivery_id}: {early}")


def _measure_lateness(
    trip: Trip, row: Mapping[str, Any], retries: list[float], takeovers: list[float]
) -> None:
    """Note how long after it was allowed the claim came that followed each request."""
    for arrival in trip.arrivals:
        claim = trip.claim_of(arrival)
        following = [each for each in trip.claims if claim and each.at > claim.at]
        if claim is None or not following:
            continue
        if claim.recorded_at is not None:
            retries.append(following[0].at - _due(arrival, row))
        elif not claim.records and not claim.hastened:
            takeovers.append(following[0].at - claim.lease_until)


def _due(arrival: Arrival, row: Mapping[str, Any]) -> float:
    """Return when the try after this one may come."""
    delay: float = max(row["retry_delay_seconds"], arrival.retry_after)
    return arrival.ended_at + delay


def hastened(claims: Sequence[Claim], tokens: frozenset[str]) -> list[Claim]:
    """Mark the claims whose lease was not waited for."""
    return [replace(each, hastened=True) if each.token in tokens else each for each in claims]
