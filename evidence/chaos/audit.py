"""The audit of a run: what each party saw, held against each other and against the promises.

Three parties must agree: the callers (IDs that a 202 named), the table and the API, and the
receivers. Two more explain what they say: the writes and sends that passed the crash proxy, and the
ends of processes. No AWS, clock or process here; the service's rules are stated again, because its
own functions would hide its own mistakes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from statistics import median_high
from typing import NamedTuple

from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.delivery.rows import Delivery, MessageRow, RequestRow
from evidence.chaos.calls import Step, change
from evidence.chaos.histories import Claim, History, histories
from evidence.chaos.ledger import Arrival, Fate, Write
from evidence.chaos.preferences import State
from evidence.chaos.traffic import BETA, SECURITY

FINAL = frozenset({"success", "failed", "skipped"})

FORGIVEN = 3
"""Attempts of a round that may stay without a record and do not use its budget."""

NO_DEAD_LETTER = frozenset({"expired", "content_expired", "no_address", "not_configured"})
"""Error codes of failures that a new round cannot change."""

RETRIED = frozenset({"http_500", "http_503", "unavailable"})
"""Error codes of deliveries that fail only once their budget is used up."""

ROUNDING = 0.001
"""Seconds: the service's clock has whole milliseconds."""

ATTEMPT = 9.0
"""Seconds after which a response may come too late for the sender."""

TAKEN = frozenset({Fate.ACCEPTED, Fate.CUT, Fate.SLOW, Fate.BEREFT})
"""Fates after which the receiver has the message, or may have it."""

UNANSWERED = frozenset({Fate.CUT, Fate.SLOW})

WEBHOOK, EMAIL = "WEBHOOK", "EMAIL"
RECEIVERS = frozenset({WEBHOOK, EMAIL})
"""The types whose receivers see a repeated send; a mailbox overwrites its own row."""

KNOWN = 12.0
"""Seconds for which a worker may go by old preferences: it reads them again after 10 s."""

CALL = 60.0
"""Seconds within which a function reads preferences and writes what follows from them."""

SPREAD = 120.0
"""Seconds over which users are spread after a window opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All results of a run."""

    contents: Mapping[str, str]
    """The content that was sent, by request ID."""
    responses: Mapping[str, Sequence[tuple[str, ...]]]
    """The delivery IDs of each 202, by request ID."""
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


class Cause(StrEnum):
    """An event that explains a duplicate."""

    CRASH = "worker died between send and record"
    UNRECORDED = "record not written"
    STALL = "lease outlived, worker not seen to die"
    RECEIVER = "receiver's response did not arrive"


class Lateness(NamedTuple):
    """Seconds between the time from which an attempt was allowed and its claim."""

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Lateness:
        """Return median and worst of them."""
        return cls(median_high(seconds), max(seconds)) if seconds else cls()

    median: float = 0.0
    worst: float = 0.0


class Promise(StrEnum):
    """A promise of the service; ``docs/chaos-figures.md`` says what breaks each."""

    ACCEPTED = "a caller that repeats its request gets its response"
    LOST = "no accepted message is lost"
    ENDED = "every delivery ends, and its end is final"
    API = "the API returns what the table holds"
    EQUAL = "equal requests make one message"
    CONTENT = "no message is sent with another's content"
    DUPLICATES = "every duplicate has its cause"
    CLAIMED = "one send per claim, none without"
    BUDGET = "the budget of attempts holds"
    EARLY = "no attempt is early"
    CLOSED = "no message is sent while its user may not be disturbed"
    HELD = "no delivery is held without a reason, or beyond its opening"
    CATEGORY = "a category that is off is skipped, and no other; a locked one reaches its user"
    ORDER = "first attempts follow the priority order"
    FIRST_SUCCESS = "a first_success message succeeds once"
    CANCELLED = "no send after a 200 of DELETE"
    REOPENED = "every redrive and every 202 of /retry opens its round"
    DEAD_LETTERS = "every final failure has its dead letter"
    CHAINED = "every write of a row passed the crash proxy"


@dataclass(kw_only=True)
class Findings:
    """The figures, and every broken promise with its cases."""

    statuses: Counter[str] = field(default_factory=Counter)
    unpromised: int = 0
    """Deliveries that exist although no 202 named them."""
    never_accepted: int = 0
    """Requests without a message, and without a 202."""
    webhooks: int = 0
    """Sends that reached a webhook receiver."""
    mails: int = 0
    mailbox_writes: int = 0
    duplicates: Counter[str] = field(default_factory=Counter)
    overwritten: int = 0
    """Repeated sends to a mailbox, which overwrote their own row."""
    crashes: Counter[str] = field(default_factory=Counter)
    crashes_between: int = 0
    """Sends whose worker ended before the record."""
    claims: int = 0
    unknown: int = 0
    """Attempts without a record."""
    given_back: int = 0
    rounds: int = 0
    """Rounds after the first one."""
    retries: Lateness = field(default_factory=Lateness)
    take_overs: Lateness = field(default_factory=Lateness)
    doubled_dead_letters: int = 0
    held: Counter[str] = field(default_factory=Counter)
    """Holds, by the step that began each."""
    released: Counter[str] = field(default_factory=Counter)
    """Ends of holds."""
    openings: Lateness = field(default_factory=Lateness)
    """Of claims after an opening."""
    changes: Lateness = field(default_factory=Lateness)
    """Of claims after a change of preferences that ended the hold."""
    by_lock: int = 0
    """Deliveries that exist only because their category is locked."""
    switched_off: int = 0
    """Deliveries and types that were skipped because their category was off."""
    broken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, promise: Promise, case: str) -> None:
        """Add a case of a broken promise."""
        self.broken[promise].append(case)

    @property
    def lost(self) -> int:
        """Return how many accepted deliveries are missing, or succeeded without a receiver."""
        return len(self.broken.get(Promise.LOST, ()))


def check(audit: Audit) -> Findings:
    """Hold what each party saw against the promises."""
    findings = Findings()
    by_message = histories(audit.rows, audit.writes)
    tracks = _tracks(by_message, audit.arrivals)
    _check_requests(audit, findings)
    _check_ends(audit, tracks, findings)
    _check_dead_letters(audit, tracks, findings)
    _check_rounds(audit, tracks, findings)
    for request in audit.requests:
        _check_category(request, audit, findings)
    for history in by_message.values():
        _check_history(history, findings)
    for arrival in audit.arrivals:
        if arrival.delivery_id not in tracks:
            findings.add(Promise.LOST, f"{arrival.delivery_id}: was sent, but has no row")
    for track in tracks.values():
        _check_content(track, audit, findings)
        _check_budget(track, findings)
        _check_claims(track, findings)
        _check_cancel(track, audit, findings)
        _check_times(track, findings)
        _check_preferences(track, audit, findings)
        _explain_duplicates(track, audit.deaths, findings)
    _count(audit, tracks, findings)
    return findings


@dataclass(frozen=True, slots=True)
class Track:
    """One delivery: its message's history, and its own claims and arrivals, in order."""

    history: History
    place: int
    claims: Sequence[Claim]
    arrivals: Sequence[Arrival]

    @property
    def delivery_id(self) -> str:
        """Return the delivery's ID."""
        return self.history.row.delivery_id(self.place)

    @property
    def delivery(self) -> Delivery:
        """Return the delivery as it is stored."""
        return self.history.row.deliveries[self.place]

    def was_held(self, begin: float, end: float) -> bool:
        """Return whether it was held at any time between two writes."""
        return any(
            write.row.deliveries[self.place].held
            for write in self.history.writes
            if begin <= write.at <= end
        )

    def claim_of(self, arrival: Arrival) -> Claim | None:
        """Return the claim under which a message was sent: the last one before it."""
        index = bisect_right(self.claims, arrival.at, key=lambda claim: claim.at)
        return self.claims[index - 1] if index else None

    def sends(self) -> Iterator[tuple[Arrival, Claim]]:
        """Yield each arrival with its claim."""
        for arrival in self.arrivals:
            if claim := self.claim_of(arrival):
                yield arrival, claim

    def repeats(self, fates: frozenset[Fate]) -> Iterator[tuple[Send, Send]]:
        """Yield each two sends of one round, with these fates, that follow each other."""
        sends = [send for send in self.sends() if send[0].fate in fates]
        for first, again in pairwise(sends):
            if first[1].round == again[1].round:
                yield first, again


Send = tuple["Arrival", "Claim"]


def _tracks(by_message: Mapping[str, History], arrivals: Sequence[Arrival]) -> dict[str, Track]:
    by_delivery = defaultdict(list)
    for arrival in sorted(arrivals, key=lambda arrival: arrival.at):
        by_delivery[arrival.delivery_id].append(arrival)
    tracks = {}
    for history in by_message.values():
        for place in range(len(history.row.deliveries)):
            delivery_id = history.row.delivery_id(place)
            claims = [claim for claim in history.claims if claim.delivery_id == delivery_id]
            tracks[delivery_id] = Track(history, place, claims, by_delivery[delivery_id])
    return tracks


# Requests, ends and rounds ------------------------------------------------------------------------


def _check_requests(audit: Audit, findings: Findings) -> None:
    messages = defaultdict(list)
    for row in audit.rows:
        messages[row.request_id].append(row)
    stored = {request.request_id: request for request in audit.requests}
    for request_id, ids in audit.responses.items():
        if len(set(ids)) > 1:
            findings.add(Promise.EQUAL, f"{request_id}: {len(set(ids))} different responses")
        named = {delivery_id for each in ids for delivery_id in each}
        there = {
            row.delivery_id(place)
            for row in messages.get(request_id, ())
            for place in range(len(row.deliveries))
        }
        for delivery_id in sorted(named - there):
            findings.add(Promise.LOST, f"{delivery_id}: was accepted, but has no row")
    for request_id, rows in messages.items():
        request = stored.get(request_id)
        if [row.message_id for row in rows] != [request.message_id if request else None]:
            findings.add(
                Promise.EQUAL,
                f"{request_id}: {len(rows)} messages, the request names "
                f"{request.message_id if request else 'none'}",
            )
    findings.never_accepted = sum(
        bool(request.deliveries) and name not in messages and name not in audit.responses
        for name, request in stored.items()
    )


def _check_ends(audit: Audit, tracks: Mapping[str, Track], findings: Findings) -> None:
    for row in audit.rows:
        owes = [name for name in ("owner", "sweep_at") if getattr(row, name) is not None]
        owes += ["dead_letter_owed" for delivery in row.deliveries if delivery.dead_letter_owed]
        if all(delivery.status in FINAL for delivery in row.deliveries):
            owes += ["no ttl"] if row.ttl is None else []
            for name in owes:
                findings.add(Promise.ENDED, f"{row.message_id}: has ended, but has {name}")
    for delivery_id, track in tracks.items():
        status = str(track.delivery.status)
        if status not in FINAL:
            findings.add(Promise.ENDED, f"{delivery_id}: {status}")
        if status == "success" and not _was_received(track, audit):
            findings.add(Promise.LOST, f"{delivery_id}: success, but no receiver took it")
        if audit.statuses.get(delivery_id) != status:
            returned = audit.statuses.get(delivery_id)
            case = f"{delivery_id}: {status} in the table, the API returns {returned}"
            findings.add(Promise.API, case)
    for delivery_id in sorted(audit.statuses.keys() - tracks.keys()):
        findings.add(Promise.API, f"{delivery_id}: is returned, but not in the table")


def _was_received(track: Track, audit: Audit) -> bool:
    if track.delivery.type not in RECEIVERS:
        return track.delivery_id in audit.mailbox
    return any(arrival.fate is Fate.ACCEPTED for arrival in track.arrivals)


def _check_dead_letters(audit: Audit, tracks: Mapping[str, Track], findings: Findings) -> None:
    letters = Counter(audit.dead_letters)
    failed = {
        DeadLetter(track.history.row.user_id, delivery_id, delivery.round + 1): delivery
        for delivery_id, track in tracks.items()
        for delivery in track.history.rounds(track.place)
        if delivery.status == "failed" and delivery.error_code not in NO_DEAD_LETTER
    }
    for letter, delivery in failed.items():
        # A round that /retry opened needs no dead letter any more.
        is_final = delivery == tracks[letter.delivery_id].delivery
        if is_final and letter not in letters:
            findings.add(Promise.DEAD_LETTERS, f"{letter.delivery_id}: failed, no dead letter")
    for letter in letters.keys() - failed.keys():
        case = f"{letter.delivery_id}: dead letter for round {letter.round}, but it did not fail"
        findings.add(Promise.DEAD_LETTERS, case)
    findings.doubled_dead_letters = sum(count - 1 for count in letters.values())


def _check_rounds(audit: Audit, tracks: Mapping[str, Track], findings: Findings) -> None:
    redriven = {letter.delivery_id: letter.round for letter in audit.redriven}
    for delivery_id, number in (*redriven.items(), *audit.reopened.items()):
        track = tracks.get(delivery_id)
        if track is None or track.delivery.round >= number:
            continue
        row = track.history.row
        # A first_success message is not redriven once another delivery has succeeded.
        succeeded = any(delivery.status == "success" for delivery in row.deliveries)
        if delivery_id in audit.reopened or row.mode == "all" or not succeeded:
            case = f"{delivery_id}: is in round {track.delivery.round}, not {number}"
            findings.add(Promise.REOPENED, case)


def _check_history(history: History, findings: Findings) -> None:
    row = history.row
    if not history.is_complete:
        findings.add(Promise.CHAINED, f"{row.message_id}: after {len(history.writes)} writes")
    for before, after in pairwise(write.row for write in history.writes):
        for place, (old, new) in enumerate(zip(before.deliveries, after.deliveries, strict=True)):
            reopened = old.status == "failed" and new.round == old.round + 1
            if old.status in FINAL and new.status != old.status and not reopened:
                case = f"{row.delivery_id(place)}: {old.status}, then {new.status}"
                findings.add(Promise.ENDED, case)
            _check_first_attempt(before, after, place, findings)
    successes = [delivery for delivery in row.deliveries if delivery.status == "success"]
    if row.mode == "first_success" and len(successes) > 1:
        types = ", ".join(delivery.type for delivery in successes)
        findings.add(Promise.FIRST_SUCCESS, f"{row.message_id}: over {types}")


def _check_first_attempt(
    before: MessageRow, after: MessageRow, place: int, findings: Findings
) -> None:
    """A delivery is claimed first after all that were due before it were attempted, or ended."""
    delivery = after.deliveries[place]
    is_first = delivery.round == 1 and delivery.tries == 1 and before.deliveries[place].tries == 0
    if not is_first:
        return
    for earlier in range(place):
        sibling = after.deliveries[earlier]
        is_untried = sibling.status == "pending" and sibling.round == 1 and sibling.attempts == 0
        # A delivery that is held or has to wait gives way.
        if is_untried and sibling.due_at <= before.deliveries[place].due_at:
            case = f"{after.delivery_id(place)}: claimed before place {earlier} was attempted"
            findings.add(Promise.ORDER, case)


# One delivery -------------------------------------------------------------------------------------


def _check_content(track: Track, audit: Audit, findings: Findings) -> None:
    content = audit.contents.get(track.history.row.request_id)
    seen = [arrival.content for arrival in track.arrivals if arrival.content is not None]
    if track.delivery_id in audit.mailbox:
        seen.append(audit.mailbox[track.delivery_id])
    for other in seen:
        if other != content:
            findings.add(Promise.CONTENT, f"{track.delivery_id}: {other!r}, not {content!r}")


def _check_budget(track: Track, findings: Findings) -> None:
    sends = Counter(claim.round for _, claim in track.sends())
    for delivery in track.history.rounds(track.place):
        name = f"{track.delivery_id}, round {delivery.round}"
        most, count = delivery.max_attempts, sends[delivery.round]
        if delivery.attempts > most:
            findings.add(Promise.BUDGET, f"{name}: {delivery.attempts} recorded of {most}")
        if count > most + FORGIVEN:
            findings.add(Promise.BUDGET, f"{name}: sent {count} times, {most} + 3 at most")
        refused = all(
            arrival.fate is Fate.REFUSED
            for arrival, claim in track.sends()
            if claim.round == delivery.round
        )
        used_up = delivery.status == "failed" and delivery.error_code in RETRIED
        known = delivery.unknown <= FORGIVEN
        if used_up and refused and known and delivery.attempts != most:
            findings.add(Promise.BUDGET, f"{name}: gave up after {delivery.attempts} of {most}")


def _check_claims(track: Track, findings: Findings) -> None:
    used: set[str] = set()
    for arrival in track.arrivals:
        claim = track.claim_of(arrival)
        if claim is None:
            findings.add(Promise.CLAIMED, f"{track.delivery_id}: sent without a claim")
        elif claim.given_back:
            findings.add(Promise.CLAIMED, f"{track.delivery_id}: sent, and the claim given back")
        elif claim.token in used:
            findings.add(Promise.CLAIMED, f"{track.delivery_id}: sent twice under one claim")
        else:
            used.add(claim.token)


def _check_cancel(track: Track, audit: Audit, findings: Findings) -> None:
    cancelled_at = audit.cancelled.get(track.delivery_id)
    if cancelled_at is None:
        return
    ended = (str(track.delivery.status), track.delivery.error_code)
    if ended != ("skipped", "cancelled"):
        findings.add(Promise.CANCELLED, f"{track.delivery_id}: cancelled, then {ended}")
    for arrival, claim in track.sends():
        # A worker that stalled beyond its lease may send late.
        if arrival.at > cancelled_at and arrival.at < claim.lease_until:
            late = f"sent {arrival.at - cancelled_at:.3f} s after the 200"
            findings.add(Promise.CANCELLED, f"{track.delivery_id}: {late}")


def _check_times(track: Track, findings: Findings) -> None:
    """Hold each attempt against its due time, and against the end of the one before it."""
    name = track.delivery_id
    if track.history.writes and track.arrivals:
        first = track.history.writes[0].row.deliveries[track.place]
        # A hold may end early, but not before the time without it.
        due_at = first.due_at if first.not_before is None else first.not_before
        if track.arrivals[0].at < due_at - ROUNDING:
            early = f"{due_at - track.arrivals[0].at:.3f} s before it was due"
            findings.add(Promise.EARLY, f"{name}: {early}")
    for claim in track.claims:
        if claim.at < claim.due_at - ROUNDING:
            early = f"claimed {claim.due_at - claim.at:.3f} s before its time in the row"
            findings.add(Promise.EARLY, f"{name}: {early}")
        if claim.taken_over_at is not None and claim.taken_over_at < claim.lease_until - ROUNDING:
            early = f"{claim.lease_until - claim.taken_over_at:.3f} s before the lease ended"
            findings.add(Promise.EARLY, f"{name}: taken over {early}")
    for (before, claim), (after, _) in track.repeats(frozenset(Fate)):
        if claim.record is None:
            continue
        due_at = _due(before, claim, track.place)
        if after.at < due_at - ROUNDING:
            findings.add(Promise.EARLY, f"{name}: {due_at - after.at:.3f} s early")


def _check_preferences(track: Track, audit: Audit, findings: Findings) -> None:
    """Hold each send and each hold against the preferences that the service may have known."""
    row, name, kind = track.history.row, track.delivery_id, track.delivery.type
    for arrival, claim in track.sends():
        since = arrival.at - KNOWN
        states = audit.possible(row.user_id, since, arrival.at)
        # A worker that stalled beyond its lease may send late.
        if arrival.at >= claim.lease_until:
            continue
        is_exempt = row.category == SECURITY or claim.ignores_hours
        if not is_exempt and all(each.opening(kind, since) > arrival.at for each in states):
            opening = min(each.opening(kind, since) for each in states)
            findings.add(Promise.CLOSED, f"{name}: {opening - arrival.at:.3f} s before the opening")
        if row.category == BETA and not any(state.wants_beta for state in states):
            findings.add(Promise.CATEGORY, f"{name}: sent although its category is off")
    for before, write, old, delivery in _moves(track):
        read_at = write.at if before else row.created_at
        states = audit.possible(row.user_id, read_at - CALL, write.at)
        if delivery.held and (old.held, old.due_at) != (delivery.held, delivery.due_at):
            free = max(write.at, delivery.not_before or 0.0)
            opening = max(state.opening(kind, free) for state in states)
            is_exempt = row.category == SECURITY or delivery.ignores_hours
            if is_exempt or delivery.due_at > opening + SPREAD:
                late = f"held for {delivery.due_at - opening:.3f} s after the opening"
                findings.add(Promise.HELD, f"{name}: {late}")
        is_skipped = delivery.status == "skipped" != old.status
        if is_skipped and str(delivery.error_code).startswith("category_"):
            findings.switched_off += 1
            if row.category != BETA or all(state.wants_beta for state in states):
                findings.add(Promise.CATEGORY, f"{name}: skipped, although its category is on")


def _check_category(request: RequestRow, audit: Audit, findings: Findings) -> None:
    """Hold the plan of a message against its category and its user's choices."""
    begin, end = request.created_at - CALL, request.created_at + CALL
    wants = {state.wants_beta for state in audit.possible(request.user_id, begin, end)}
    off = [skip.type for skip in request.skipped if skip.reason.startswith("category_")]
    findings.switched_off += len(off)
    findings.by_lock += sum(planned.by_lock for planned in request.deliveries)
    by_lock = [planned.type for planned in request.deliveries if planned.by_lock]
    has_email = any(planned.type == EMAIL for planned in request.deliveries)
    if off and (request.category != BETA or wants == {True}):
        case = f"{request.request_id}: {', '.join(off)} skipped, although the category is on"
        findings.add(Promise.CATEGORY, case)
    if request.deliveries and request.category == BETA and wants == {False}:
        case = f"{request.request_id}: has deliveries, although the category is off"
        findings.add(Promise.CATEGORY, case)
    is_out = request.category == SECURITY and request.user_id in audit.opted_out
    expected = [EMAIL] if is_out else []
    if by_lock != expected or (request.category == SECURITY and not has_email):
        case = f"{request.request_id}: by lock over {by_lock or 'nothing'}, not {expected}"
        findings.add(Promise.CATEGORY, case)


class Move(NamedTuple):
    """A write, and what it made of one delivery."""

    before: MessageRow | None
    write: Write
    old: Delivery
    """As it was; for the first write the delivery without a hold."""
    new: Delivery


def _moves(track: Track) -> Iterator[Move]:
    before: MessageRow | None = None
    for write in track.history.writes:
        new = write.row.deliveries[track.place]
        old = before.deliveries[track.place] if before else replace(new, held=None)
        yield Move(before, write, old, new)
        before = write.row


def _due(arrival: Arrival, claim: Claim, place: int) -> float:
    """Return when the attempt after this one may come."""
    assert claim.record is not None  # noqa: S101 - its callers ask only then
    delivery = claim.record.row.deliveries[place]
    return arrival.ended_at + max(delivery.retry_delay_seconds, arrival.retry_after)


def _explain_duplicates(track: Track, deaths: Mapping[int, float], findings: Findings) -> None:
    for first, again in track.repeats(TAKEN):
        cause = _cause(track, first, again, deaths)
        if cause is None:
            when = f"{again[0].at - first[0].at:.1f} s later"
            findings.add(Promise.DUPLICATES, f"{track.delivery_id}: sent again {when}")
        elif track.delivery.type in RECEIVERS:
            findings.duplicates[cause] += 1
        else:
            findings.overwritten += 1


def _cause(track: Track, first: Send, again: Send, deaths: Mapping[int, float]) -> Cause | None:
    (arrival, claim), (repeat, later) = first, again
    if arrival.fate in UNANSWERED or _came_too_late(arrival, track.delivery):
        return Cause.RECEIVER
    if claim.record is not None:
        return None
    # The request may have been on the way, and not read yet, when its sender died.
    if claim.at <= deaths.get(claim.pid, 0.0) <= repeat.at:
        return Cause.CRASH
    if claim.record_attempts:
        return Cause.UNRECORDED
    return Cause.STALL if later.at >= claim.lease_until else None


def _came_too_late(arrival: Arrival, delivery: Delivery) -> bool:
    """Return whether the sender had given up before it read the response, as its own log says."""
    if arrival.ended_at - arrival.at >= ATTEMPT:
        return True
    entries = [entry for entry in delivery.attempt_log if entry.started_at <= arrival.at + ROUNDING]
    return bool(entries) and any(
        "timeout" in text.lower() for text in (entries[-1].code or "", entries[-1].detail)
    )


# Figures ------------------------------------------------------------------------------------------


def _count(audit: Audit, tracks: Mapping[str, Track], findings: Findings) -> None:
    named = {each for ids in audit.responses.values() for every in ids for each in every}
    findings.unpromised = len(tracks.keys() - named)
    findings.crashes.update(audit.crashes)
    retries: list[float] = []
    take_overs: list[float] = []
    openings: list[float] = []
    changes: list[float] = []
    for track in tracks.values():
        findings.statuses[str(track.delivery.status)] += 1
        findings.claims += len(track.claims)
        findings.given_back += sum(claim.given_back for claim in track.claims)
        findings.rounds += track.delivery.round - 1
        findings.unknown += sum(each.unknown for each in track.history.rounds(track.place))
        if track.delivery.type == WEBHOOK:
            findings.webhooks += len(track.arrivals)
        elif track.delivery.type == EMAIL:
            findings.mails += len(track.arrivals)
        else:
            findings.mailbox_writes += len(track.arrivals)
        findings.crashes_between += sum(
            claim.record is None and audit.deaths.get(claim.pid, 0.0) >= claim.at
            for _, claim in track.sends()
        )
        _measure_lateness(track, retries, take_overs)
        _follow_holds(track, findings, openings, changes)
    findings.retries, findings.take_overs = Lateness.of(retries), Lateness.of(take_overs)
    findings.openings, findings.changes = Lateness.of(openings), Lateness.of(changes)


def _measure_lateness(track: Track, retries: list[float], take_overs: list[float]) -> None:
    """Add how long after it was allowed the claim came that followed each send."""
    for arrival, claim in track.sends():
        later = [each for each in track.claims if each.at > claim.at and each.round == claim.round]
        if not later or track.was_held(claim.at, later[0].at):
            continue
        if claim.record is not None:
            retries.append(later[0].at - _due(arrival, claim, track.place))
        elif not claim.hastened:
            take_overs.append(later[0].at - claim.lease_until)


def _follow_holds(
    track: Track, findings: Findings, openings: list[float], changes: list[float]
) -> None:
    """Count how holds began and ended, and add how long after it each claim came."""
    freed_at: float | None = None
    for before, write, old, new in _moves(track):
        is_claimed = write.row.current == track.place and new.tries > old.tries
        if new.held and not old.held:
            findings.held[_beginning(before, write.row, track.place)] += 1
        elif old.held and is_claimed:
            findings.released["opening"] += 1
            openings.append(write.at - old.due_at)
        elif old.held and not new.held:
            is_free = new.status == "pending"
            findings.released["change of preferences" if is_free else "end"] += 1
            freed_at = write.at if is_free else None
        elif is_claimed and freed_at is not None:
            changes.append(write.at - max(freed_at, old.due_at))
            freed_at = None


def _beginning(before: MessageRow | None, after: MessageRow, place: int) -> str:
    """Return the step that began a hold."""
    if before is None:
        return "accept"
    step = change(before, after)
    if step not in {Step.RECORD, Step.RECORD_AND_CLAIM, Step.GIVE_BACK}:
        return str(step)
    used_no_try = after.deliveries[place].tries < before.deliveries[place].tries
    return "attempt" if used_no_try else "retry"
