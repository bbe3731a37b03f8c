"""All transitions of a message row.

Each function takes a row and an event and returns a ``Step``: the successor row, with the rings and
events that follow once it is written. If the transition does not apply, the function returns the
reason instead. The functions know no AWS and no clock: ``perform`` supplies tokens and times, and
writes.

The numbers in brackets are the clauses of the executable protocol model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.delivery.outcomes import UNKNOWN_OUTCOME, Delivered, Permanent, Retry
from dispatcher.delivery.rows import (
    Delivery,
    LogEntry,
    MessageRow,
    PlannedDelivery,
    Receipt,
    Status,
    place_of,
    replace,
)
from dispatcher.integrations import catalogue
from dispatcher.responses import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dispatcher.configuration.hours import Opening
    from dispatcher.delivery.outcomes import Outcome
    from dispatcher.delivery.rows import RequestRow
    from dispatcher.events import EventName

LEASE = 60.0
"""Seconds that a claim holds: an attempt of 10 s and its record, six times over."""

LONGEST_SQS_DELAY = 900
"""Seconds: the most that SQS delays a message [19]. The sweeper rings for later due times."""

LONGEST_RETRY_AFTER = 86_400.0
"""Seconds: the most that a receiver's ``Retry-After`` may ask for."""

FORGIVEN = 3
"""Unknown outcomes of a round that do not use up its budget."""

BACK_OFF = (60.0, 120.0, 240.0, 480.0, 900.0)
"""Seconds between the sweeper's rings for one row."""

GRACE = 60.0
"""Seconds from a due time to its sweep, and by which ``sweep_at`` may be early."""

IDENTITY_MARGIN = 3600.0
"""Seconds that a message row outlives its request's identity [5]."""

LONGEST_HOLDS = 45 * 86_400.0
"""Seconds that content is kept for holds: 30 days of mute and 15 days of hours [32]."""

DEAD_LETTERS_KEPT = 14 * 86_400.0
"""Seconds that content is kept after round 1, because a dead letter can be redriven for 14 days."""

LAST_DAY = 86_400.0
"""Seconds before the end of the identity at which a hold of a later round ends."""

LOG_LENGTH = 25
NEWEST_DETAIL, OLDER_DETAIL = 300, 80
"""Entries of an attempt log; bytes of a detail in the newest entry and in all others."""

NO_DEAD_LETTER = frozenset(
    {
        *("expired", "content_expired", "no_address", "not_configured"),
        *("bounced", "rejected", "opted_out"),
    }
)
"""Error codes of failures that a new round cannot change."""

REPORTED: Mapping[str, str] = {
    "bounced": "the receiving server rejected the address permanently",
    "undelivered": "the provider could not deliver the message",
    "rejected": "the provider found a virus in the message and did not send it",
    "opted_out": "the receiver has opted out of text messages",
}
"""Error codes of deliveries that failed by the word of a provider, and their meanings."""

RANKS: Mapping[str, int] = {
    "delayed": 0,
    "delivered": 1,
    "complained": 2,
    "bounced": 3,
    "opted_out": 3,
}
"""The states of receipts: a report replaces lower ranks, and older reports of its rank [44]."""


# States -------------------------------------------------------------------------------------------


class State(StrEnum):
    """The state of one delivery: its status, and for a pending one the reason."""

    WAITING = "waiting"
    PENDING = "pending"
    CLAIMED = "claimed"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"


class Transition(StrEnum):
    """The transitions that change a delivery's state."""

    ACCEPT = "accept"
    BEGIN = "begin"
    SETTLE = "settle"
    CANCEL = "cancel"
    REOPEN = "reopen"
    FEEDBACK = "feedback"


_W, _P, _C = State.WAITING, State.PENDING, State.CLAIMED

TABLE: Mapping[Transition, Mapping[tuple[State | None, State], str]] = {
    Transition.ACCEPT: {
        (None, _P): "accepted",
        (None, _W): "accepted, first_success",
    },
    Transition.BEGIN: {
        (_P, _C): "claimed",
        (_C, _C): "taken over",
        (_C, _P): "lease over, another delivery is due first",
        (_C, State.FAILED): "unknown_outcome",
        (_W, _P): "the delivery before it ended",
        (_W, _C): "the delivery before it ended, claimed",
    },
    Transition.SETTLE: {
        (_C, State.SUCCESS): "delivered",
        (_C, State.FAILED): "failed finally",
        (_C, State.SKIPPED): "no longer wanted",
        (_C, _P): "retry later, held, or given back",
        (_C, _C): "retry due, claimed again",
        (_P, _C): "claimed next",
        (_W, _P): "the delivery before it ended",
        (_W, _C): "the delivery before it ended, claimed",
        (_W, State.SKIPPED): "first_success",
    },
    Transition.CANCEL: {
        (_P, State.SKIPPED): "cancelled",
        (_W, State.SKIPPED): "cancelled",
        (_W, _P): "the delivery before it was cancelled",
    },
    Transition.REOPEN: {
        (State.FAILED, _P): "redrive or retry",
    },
    Transition.FEEDBACK: {
        (State.SUCCESS, State.FAILED): "bounced, or not delivered, says the provider",
        (State.SKIPPED, _P): "first_success, and the success bounced",
        (State.SKIPPED, _W): "first_success, and the success bounced, another is next",
    },
}
"""Every change of state that a transition may make; no other change can become a ``Step``.

The state diagram of ``docs/architecture.md`` is generated from this table.
"""


class IllegalTransitionError(RuntimeError):
    """A transition would change a state in a way that ``TABLE`` does not allow."""


def state_of(row: MessageRow, place: int) -> State:
    """Return the state of a delivery."""
    delivery = row.deliveries[place]
    if not delivery.is_pending:
        return State(delivery.status)
    if row.owner is not None and row.current == place:
        return State.CLAIMED
    # In a first_success message, a delivery of round 1 waits while an earlier one is pending.
    waits = (
        row.mode == "first_success"
        and delivery.round == 1
        and any(earlier.is_pending for earlier in row.deliveries[:place])
    )
    return State.WAITING if waits else State.PENDING


# Steps --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Event:
    """A step's effect on one delivery, for the log."""

    name: EventName
    place: int
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A successor row and what follows once it is written.

    ``ring_for`` is a due time within reach of SQS. ``ended`` holds the places whose deliveries
    ended in this step.
    """

    row: MessageRow
    ring_for: float | None = None
    dead_letters: tuple[DeadLetter, ...] = ()
    events: tuple[Event, ...] = ()
    ended: tuple[int, ...] = ()


class ClaimDenied(Enum):
    """The reason why a worker gets no claim."""

    LIVE = "another worker holds the claim and continues with everything that is due [11]"
    IDLE = "no delivery is due"


class CancelDenied(Enum):
    """The reason why a delivery is not cancelled."""

    CANCELLED = "already cancelled"
    ENDED = "no longer pending"
    CLAIMED = "a worker attempts it, or its lease has expired without a record [23]"


class ReopenDenied(Enum):
    """The reason why no new round begins."""

    NOT_FAILED = "not failed in that round"
    CONTENT_EXPIRED = "the content is no longer stored"
    EXPIRED = "the row has expired [4]"
    SIBLING = "a sibling of a first_success message has succeeded or may still succeed [18]"
    CLOSED = "hours and mutes would hold it for longer than its content is kept [32]"


class SettleDenied(Enum):
    """The reason why an outcome is not recorded."""

    LOST = "another worker has taken over, or recorded the attempt as unknown"


class FeedbackDenied(Enum):
    """Why the report of a provider changes nothing."""

    PENDING = "the delivery is pending: its record comes first [43]"
    OTHER_ROUND = "the report is about another round [40]"
    EXPIRED = "the row has expired [40]"
    KNOWN = "the receipt says as much already [44]"


class Unchanged(Enum):
    """The reason why a row needs no write."""

    SETTLED = "no dead letter has to be sent"
    MOVED_ON = "the row changed since it was read"
    AS_PLANNED = "every delivery that is held is held until its opening [36]"


# Due times ----------------------------------------------------------------------------------------


def fits_sqs_delay(due_at: float, now: float) -> bool:
    """Return whether a doorbell can be delayed until then; otherwise the sweeper rings."""
    return due_at - now <= LONGEST_SQS_DELAY


def sqs_delay(due_at: float, now: float) -> int:
    """Return the delay of a ring in whole seconds, rounded up, at most 900."""
    return min(LONGEST_SQS_DELAY, math.ceil(max(0.0, round(due_at - now, 3))))


def next_due(row: MessageRow) -> float | None:
    """Return the earliest due time of the pending deliveries that neither wait nor are claimed."""
    return min((due_at for due_at, _ in _open(row)), default=None)


def is_claimed(row: MessageRow, now: float) -> bool:
    """Return whether a live lease holds the row."""
    return row.lease_until is not None and row.lease_until > now


def sweeper_rings_for(row: MessageRow, now: float) -> float | None:
    """Return the due time that the sweeper has to ring for, if any.

    The delivery of an expired claim counts with its own due time.
    """
    due_at = _least_due(row)
    if due_at is None or not (fits_sqs_delay(due_at, now) or row.owner is not None):
        return None
    return due_at


def may_attempt(delivery: Delivery) -> bool:
    """Return whether the budget of the round allows another attempt."""
    return delivery.tries - min(delivery.unknown, FORGIVEN) < delivery.max_attempts


# Holds --------------------------------------------------------------------------------------------

if TYPE_CHECKING:
    Opens = Callable[[MessageRow, Delivery, float], Opening]
    """Returns when a delivery with a due time may be sent, by the user's preferences."""


def longest_round(deliveries: Sequence[Delivery | PlannedDelivery], *, one_by_one: bool) -> float:
    """Return the seconds that the rounds of a message may last, ``Retry-After`` included [8]."""
    rounds = [
        delivery.max_attempts
        * (max(delivery.retry_delay_seconds, LONGEST_RETRY_AFTER) + LEASE + LONGEST_SQS_DELAY)
        for delivery in deliveries
    ]
    return sum(rounds) if one_by_one else max(rounds, default=0.0)


def kept_for_holds(retention: float) -> float:
    """Return the seconds that content is kept after the longest round, if it may be held [32]."""
    return max(retention, LONGEST_HOLDS + DEAD_LETTERS_KEPT)


def _hold_end(row: MessageRow, delivery: Delivery) -> float:
    """Return the time beyond which a delivery is not held: content must outlive its round."""
    identity_ends = row.keep_until - IDENTITY_MARGIN
    if delivery.round > 1:
        return identity_ends - LAST_DAY
    if row.hold_end is not None:
        return row.hold_end
    longest = longest_round(row.deliveries, one_by_one=row.mode == "first_success")
    return identity_ends - longest - DEAD_LETTERS_KEPT


def _planned(row: MessageRow, place: int, due_at: float, opening: Opening) -> MessageRow:
    """Delay a delivery to its opening after ``due_at``, but not beyond ``hold_end``."""
    delivery = row.deliveries[place]
    if opening.reason is None:
        free = replace(delivery, due_at=due_at, held=None, not_before=None)
        return _with(row, place, free)
    end = _hold_end(row, delivery)
    held = replace(
        delivery,
        # At its due time or later: after ``hold_end`` the attempt ends the delivery.
        due_at=round(min(opening.at, max(end, due_at)), 3),
        held=opening.reason,
        not_before=due_at,
    )
    row = replace(_with(row, place, held), hold_zone=opening.zone_name)
    return replace(row, hold_end=end) if delivery.round == 1 else row


def reschedule(row: MessageRow, opens: Opens, *, now: float, retention: float) -> Step | Unchanged:
    """Move held deliveries to their opening by changed preferences, earlier or later [36].

    A delivery that is due and may be sent is not changed, because its doorbell was already sent.
    """
    after = row
    for place, delivery in enumerate(row.deliveries):
        if delivery.held is None or not delivery.is_pending or row.current == place:
            continue
        due_at = max(now, delivery.not_before or delivery.due_at)  # [38]
        opening = opens(row, delivery, due_at)
        if delivery.due_at <= now and opening.reason is None:
            continue
        moved = _planned(after, place, due_at, opening)
        if opening.reason is not None:
            kept = replace(moved.deliveries[place], not_before=delivery.not_before)
            moved = _with(moved, place, kept)
        after = moved
    if after.deliveries == row.deliveries:
        return Unchanged.AS_PLANNED
    after = replace(after, rings=0)
    moves = next_due(row) != next_due(after)
    step = _step(None, row, after, now=now, retention=retention, moves_later=moves)
    # Ring only if the next due time has changed and no worker holds the row [33].
    return step if moves and not is_claimed(row, now) else replace(step, ring_for=None)


# Accept -------------------------------------------------------------------------------------------


def accept(request: RequestRow, *, now: float) -> Step:
    """Return the first state of a request's message.

    It depends only on the stored request, so every completion of a request writes the same row [7].
    """
    deliveries = tuple(
        Delivery(
            type=planned.type,
            status=Status.PENDING,
            priority=planned.priority,
            max_attempts=planned.max_attempts,
            retry_delay_seconds=planned.retry_delay_seconds,
            due_at=request.due_at if planned.due_at is None else planned.due_at,
            held=planned.held,
            not_before=None if planned.held is None else request.due_at,
            by_lock=planned.by_lock,
        )
        for planned in request.deliveries
    )
    row = MessageRow(
        user_id=request.user_id,
        message_id=request.message_id,
        rev=b"",
        request_id=request.request_id,
        session_id=request.session_id,
        subject=request.subject,
        mode=request.mode,
        forced=request.forced,
        created_at=request.created_at,
        expires_at=request.expires_at,
        keep_until=request.ttl + IDENTITY_MARGIN,
        deliveries=deliveries,
        category=request.category,
        urgent=request.urgent,
        locked=request.locked,
        hold_zone=request.hold_zone,
    )
    if any(delivery.held is not None for delivery in deliveries):
        row = replace(row, hold_end=_hold_end(row, deliveries[0]))
    return _step(Transition.ACCEPT, None, row, now=now, retention=0.0)


# Claim --------------------------------------------------------------------------------------------


def begin(row: MessageRow, *, token: str, now: float, retention: float) -> Step | ClaimDenied:
    """Claim the earliest due delivery, after taking over an expired claim [14]."""
    if is_claimed(row, now):
        return ClaimDenied.LIVE
    after, events = (row, ()) if row.owner is None else _take_over(row, now)
    claimed = _claimed(after, token, now)
    if claimed is None and after is row:
        return ClaimDenied.IDLE
    return _step(
        Transition.BEGIN, row, claimed or after, now=now, retention=retention, events=events
    )


def _take_over(row: MessageRow, now: float) -> tuple[MessageRow, tuple[Event, ...]]:
    """Log the attempt of an expired claim as unknown; end the delivery if its budget is used up."""
    place = row.current or 0
    delivery = row.deliveries[place]
    entry = LogEntry(
        number=delivery.tries,
        round=delivery.round,
        started_at=round((row.lease_until or now) - LEASE, 3),
        duration_ms=None,
        outcome="unknown",
        code=UNKNOWN_OUTCOME,
        detail="the worker ended before it recorded an outcome",
    )
    unknown = replace(delivery, unknown=delivery.unknown + 1, attempt_log=_logged(delivery, entry))
    after = _with(_released(row, row.last_owner), place, unknown)
    fields = {"tries": unknown.tries, "unknown": unknown.unknown}
    if not catalogue()[delivery.type].resend_unknown:
        message = f"the attempt left no record, and {delivery.type} is never sent twice"
        after = _ended(after, place, Ending(Status.FAILED, UNKNOWN_OUTCOME, message), now)
    elif not may_attempt(unknown):
        message = "the last attempt left no record, and the budget of attempts is used up"
        after = _ended(after, place, Ending(Status.FAILED, UNKNOWN_OUTCOME, message), now)
    return after, (Event("claim.taken_over", place, fields),)


def _claimed(row: MessageRow, token: str, now: float) -> MessageRow | None:
    """Claim the due delivery with the earliest due time, then the lowest place [13]."""
    due = [(due_at, place) for due_at, place in _open(row) if due_at <= now]
    if not due:
        return None
    place = min(due)[1]
    delivery = row.deliveries[place]
    return replace(
        _with(row, place, replace(delivery, tries=delivery.tries + 1, held=None, not_before=None)),
        owner=token,
        lease_until=round(now + LEASE, 3),
        current=place,
        rings=0,
    )


# Record -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attempted:
    """An attempt was made; ``seconds`` is how long it took."""

    outcome: Outcome
    started_at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Ending:
    """A round ends without another attempt."""

    status: Status
    code: str | None = None
    message: str | None = None
    metadata: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GivenBack:
    """No message was sent: too little time was left, or a read has failed [12]."""


@dataclass(frozen=True, slots=True)
class Held:
    """It may not be sent now, by hours, a mute or a pause: no attempt is counted [31]."""

    opening: Opening


Settlement = Attempted | Ending | GivenBack | Held
"""The ways in which a claim ends."""


def settle(
    row: MessageRow,
    token: str,
    settlement: Settlement,
    *,
    now: float,
    retention: float,
    next_token: str | None,
    opens: Opens | None = None,
) -> Step | SettleDenied:
    """Record the end of a claim, and claim the next due delivery, in one write.

    ``next_token`` is ``None`` if the invocation has no time for another attempt. Without ``opens``
    the user may be disturbed at any time.
    """
    if row.owner != token or row.current is None:
        return SettleDenied.LOST
    place, delivery = row.current, row.deliveries[row.current]
    after = _released(row, token)
    events: tuple[Event, ...] = ()
    match settlement:
        case GivenBack():
            after = _with(after, place, replace(delivery, tries=delivery.tries - 1))
            events = (Event("claim.given_back", place),)
        case Held():
            after = _held(after, place, settlement.opening, now)
        case Ending():
            after = _ended(after, place, settlement, now)
        case Attempted():
            after = _attempted(after, place, settlement, now, opens)
            events = (_attempted_event(row, after, settlement),)
    if next_token is not None:
        after = _claimed(after, next_token, now) or after
    return _step(
        Transition.SETTLE,
        row,
        after,
        now=now,
        retention=retention,
        events=events,
        told=place if isinstance(settlement, Attempted) else None,
    )


def _held(row: MessageRow, place: int, opening: Opening, now: float) -> MessageRow:
    """Hold a claimed delivery, or end it if its opening comes too late."""
    delivery = row.deliveries[place]
    if row.expires_at is not None and opening.at > row.expires_at:
        message = "expires_at is before the end of the user's hours and mutes, or of a pause"
        return _ended(row, place, Ending(Status.FAILED, "expired", message), now)
    if now >= _hold_end(row, delivery):
        message = "hours and mutes, or pauses, held it until its content expired"
        return _ended(row, place, Ending(Status.FAILED, "expired", message), now)
    row = _with(row, place, replace(delivery, tries=delivery.tries - 1))
    return _planned(row, place, delivery.due_at, opening)


def _attempted(
    row: MessageRow, place: int, attempted: Attempted, now: float, opens: Opens | None
) -> MessageRow:
    outcome, delivery = attempted.outcome, row.deliveries[place]
    entry = _log_entry(delivery, attempted)
    ended_at = round(attempted.started_at + attempted.seconds, 3)
    recorded = replace(
        delivery,
        attempts=delivery.attempts + 1,
        first_attempt_at=(
            attempted.started_at if delivery.first_attempt_at is None else delivery.first_attempt_at
        ),
        last_attempt_at=attempted.started_at,
        attempt_log=_logged(delivery, entry),
    )
    row = _with(row, place, recorded)
    match outcome:
        case Delivered():
            success = Ending(Status.SUCCESS, metadata=outcome.metadata)
            return _ended(row, place, success, now)
        case Permanent():
            return _ended(row, place, Ending(Status.FAILED, entry.code, entry.detail), now)
        case Retry():
            due_at = _retry_due(delivery, outcome, ended_at)
            if not may_attempt(recorded):
                return _ended(row, place, Ending(Status.FAILED, entry.code, entry.detail), now)
            opening = opens(row, recorded, due_at) if opens else None
            opens_at = due_at if opening is None else opening.at
            if row.expires_at is not None and opens_at > row.expires_at:
                why = "" if opens_at == due_at else ", by hours and mutes or by a pause"
                message = (
                    f"the next attempt would come after expires_at{why}; the last: {entry.detail}"
                )
                return _ended(row, place, Ending(Status.FAILED, "expired", message), now)
            retried = replace(
                recorded, due_at=due_at, error_code=entry.code, error_message=entry.detail
            )
            row = _with(row, place, retried)
            return row if opening is None else _planned(row, place, due_at, opening)


def _attempted_event(row: MessageRow, after: MessageRow, attempted: Attempted) -> Event:
    place = row.current or 0
    delivery, recorded = row.deliveries[place], after.deliveries[place]
    entry = recorded.attempt_log[-1]
    fields = {
        "round": entry.round,
        "number": entry.number,
        "max_attempts": delivery.max_attempts,
        "late_ms": round((attempted.started_at - delivery.due_at) * 1000),
        "duration_ms": entry.duration_ms,
        "outcome": entry.outcome,
        "code": entry.code,
        "detail": entry.detail,
        "status": str(recorded.status),
        "error_code": recorded.error_code,
    }
    return Event("delivery.attempted", place, fields)


def _log_entry(delivery: Delivery, attempted: Attempted) -> LogEntry:
    outcome = attempted.outcome
    return LogEntry(
        number=delivery.tries,
        round=delivery.round,
        started_at=attempted.started_at,
        duration_ms=round(attempted.seconds * 1000),
        outcome={Delivered: "delivered", Retry: "retry", Permanent: "permanent"}[type(outcome)],
        code=outcome.code,
        detail=_cut(outcome.detail, NEWEST_DETAIL),
    )


def _retry_due(delivery: Delivery, outcome: Retry, ended_at: float) -> float:
    """Return the end plus the delivery's delay, or plus the receiver's longer ``Retry-After``."""
    asked_for = min(outcome.after or 0.0, LONGEST_RETRY_AFTER)
    return round(ended_at + max(delivery.retry_delay_seconds, asked_for), 3)


# Cancel, new rounds -------------------------------------------------------------------------------


def cancel(row: MessageRow, place: int, *, now: float, retention: float) -> Step | CancelDenied:
    """End a pending delivery that no worker has claimed."""
    match state_of(row, place):
        case State.CLAIMED:
            return CancelDenied.CLAIMED
        case State.SKIPPED if row.deliveries[place].error_code == "cancelled":
            return CancelDenied.CANCELLED
        case State.SUCCESS | State.FAILED | State.SKIPPED:
            return CancelDenied.ENDED
    ending = Ending(Status.SKIPPED, "cancelled", "cancelled before it was sent")
    step = _step(
        Transition.CANCEL,
        row,
        _ended(row, place, ending, now),
        now=now,
        retention=retention,
        events=(Event("delivery.cancelled", place),),
        told=place,
        moves_later=False,
    )
    # Ring only if the next due time has changed [25].
    return step if next_due(row) != next_due(step.row) else replace(step, ring_for=None)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The budget of a round: attempts, and the delay between two of them."""

    max_attempts: int
    retry_delay_seconds: int


def reopen(
    row: MessageRow,
    place: int,
    *,
    round_number: int,
    policy: RetryPolicy,
    token: str,
    now: float,
    opens: Opens | None = None,
    ignores_hours: bool = False,
) -> Step | ReopenDenied:
    """Begin the round after ``round_number``, in which the delivery has failed.

    A round that ignores hours (``now=true``) is held only by its attempt, by a pause.
    """
    if row.deliveries[place].round != round_number:
        return ReopenDenied.NOT_FAILED
    after = _reopened(row, place, policy, token, now, opens, ignores_hours=ignores_hours)
    return after if isinstance(after, ReopenDenied) else _reopen_step(row, after, (place,), now)


def reopen_all(
    row: MessageRow,
    policies: Mapping[int, RetryPolicy],
    *,
    token: str,
    now: float,
    opens: Opens | None = None,
) -> tuple[Step | None, Mapping[int, ReopenDenied]]:
    """Begin the next round of several failed deliveries in one write.

    Returns the step, ``None`` if no round begins, and the reasons of the places that stay. In a
    ``first_success`` message only the first one begins: later rounds do not wait for others [18].
    """
    after, denied = row, dict[int, ReopenDenied]()
    for place, policy in policies.items():
        reopened = _reopened(after, place, policy, token, now, opens)
        if isinstance(reopened, ReopenDenied):
            denied[place] = reopened
        else:
            after = reopened
    opened = tuple(place for place in policies if place not in denied)
    return _reopen_step(row, after, opened, now) if opened else None, denied


def _reopened(
    row: MessageRow,
    place: int,
    policy: RetryPolicy,
    token: str,
    now: float,
    opens: Opens | None,
    *,
    ignores_hours: bool = False,
) -> MessageRow | ReopenDenied:
    delivery = row.deliveries[place]
    if delivery.status != Status.FAILED:
        return ReopenDenied.NOT_FAILED
    if delivery.error_code == "content_expired":
        return ReopenDenied.CONTENT_EXPIRED
    if _is_expired(row, now):
        return ReopenDenied.EXPIRED
    without_success = {Status.FAILED, Status.SKIPPED}
    if row.mode == "first_success" and any(
        sibling.status not in without_success for sibling in row.deliveries
    ):
        return ReopenDenied.SIBLING
    reopened = replace(
        delivery,
        status=Status.PENDING,
        round=delivery.round + 1,
        tries=0,
        unknown=0,
        attempts=0,
        max_attempts=policy.max_attempts,
        retry_delay_seconds=policy.retry_delay_seconds,
        due_at=now,
        opened_by=token,
        dead_letter_owed=False,
        delivered_at=None,
        error_code=None,
        error_message=None,
        receipt=None,
        ignores_hours=ignores_hours,
    )
    after = replace(_with(row, place, reopened), rings=0)
    if opens is None or ignores_hours:
        return after
    opening = opens(after, reopened, now)
    if opening.at > max(now, _hold_end(after, reopened)):
        return ReopenDenied.CLOSED
    return _planned(after, place, now, opening)


def _reopen_step(row: MessageRow, after: MessageRow, places: Sequence[int], now: float) -> Step:
    opened = tuple(
        Event("round.opened", place, {"round": after.deliveries[place].round}) for place in places
    )
    return _step(Transition.REOPEN, row, after, now=now, retention=0.0, events=opened)


# Feedback -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Report:
    """A provider's report about a message that it accepted."""

    receipt: Receipt | None
    at: float
    error_code: str | None = None
    """One of ``REPORTED`` if the message was not delivered."""
    detail: str = ""


def reported(
    row: MessageRow,
    place: int,
    report: Report,
    *,
    round_number: int,
    now: float,
    retention: float,
    opens: Opens | None = None,
) -> Step | FeedbackDenied:
    """Merge the report of a provider; a success that was not delivered fails.

    In a ``first_success`` message the same write makes pending again what the success had
    skipped [41]. The result does not depend on the order of two reports [44]. Without ``opens``
    the user may be disturbed at any time.
    """
    delivery = row.deliveries[place]
    if delivery.round != round_number:
        return FeedbackDenied.OTHER_ROUND
    if delivery.is_pending:
        return FeedbackDenied.PENDING
    if _is_expired(row, now):
        return FeedbackDenied.EXPIRED
    says_more = _says_more(report.receipt, delivery.receipt)
    succeeded = delivery.status == Status.SUCCESS
    after = row
    if says_more:
        after = _with(after, place, replace(delivery, receipt=report.receipt))
    # A failure by the word of a provider follows the receipt.
    follows = says_more and delivery.status == Status.FAILED and delivery.error_code in REPORTED
    if report.error_code is not None and (succeeded or follows):
        after = _refuted(after, place, report, now)
        if succeeded and after.mode == "first_success":
            after = _revived(after, opens, now)
    if after is row:
        return FeedbackDenied.KNOWN
    step = _step(
        Transition.FEEDBACK,
        row,
        after,
        now=now,
        retention=retention,
        events=(_feedback_event(row, after, place, report, now),),
        moves_later=False,
    )
    # A ring only where the next due time changed, and no worker goes on with the row [42].
    rings = next_due(row) != next_due(step.row) and not is_claimed(row, now)
    ended = (place,) if _state_changed(row, step.row, place) else ()
    return replace(step, ended=ended, ring_for=step.ring_for if rings else None)


def _says_more(new: Receipt | None, old: Receipt | None) -> bool:
    """Return whether a receipt replaces another one: by rank, then by time [44]."""
    if new is None or old is None:
        return new is not None
    # A state that this version does not know was written by a later one, and stays.
    known = len(RANKS)
    return (RANKS.get(new.state, known), new.at, new.state, new.detail) > (
        RANKS.get(old.state, known),
        old.at,
        old.state,
        old.detail,
    )


def _refuted(row: MessageRow, place: int, report: Report, now: float) -> MessageRow:
    """End a delivery that its provider had accepted, but did not deliver."""
    code = report.error_code or ""
    message = ": ".join(filter(None, (REPORTED[code], report.detail)))
    delivery = row.deliveries[place]
    if delivery.error_code == code:
        # A dead letter was sent already, or has to be sent.
        return _with(row, place, replace(delivery, error_message=message))
    return _ended(row, place, Ending(Status.FAILED, code, message), now)


def _revived(row: MessageRow, opens: Opens | None, now: float) -> MessageRow:
    """Make the siblings that a success had skipped pending again, in their round."""
    for place, sibling in enumerate(row.deliveries):
        if sibling.status != Status.SKIPPED or sibling.error_code != "first_success":
            continue
        pending = replace(
            sibling, status=Status.PENDING, error_code=None, error_message=None, due_at=now
        )
        row = _with(row, place, pending)
        if opens is not None:
            row = _planned(row, place, now, opens(row, pending, now))
    return replace(row, rings=0)


def _state_changed(before: MessageRow, after: MessageRow, place: int) -> bool:
    return before.deliveries[place].status != after.deliveries[place].status


def _feedback_event(
    before: MessageRow, after: MessageRow, place: int, report: Report, now: float
) -> Event:
    delivery = after.deliveries[place]
    fields = {
        "round": delivery.round,
        "receipt": delivery.receipt and delivery.receipt.state,
        "ended": _state_changed(before, after, place),
        "status": str(delivery.status),
        "error_code": delivery.error_code,
        "lag_ms": max(0, round((now - report.at) * 1000)),
    }
    return Event("feedback.applied", place, fields)


# Dead letters -------------------------------------------------------------------------------------


def dead_letters_owed(row: MessageRow) -> tuple[DeadLetter, ...]:
    """Return the dead letters that have to be sent."""
    return tuple(
        DeadLetter(row.user_id, row.delivery_id(place), delivery.round + 1)
        for place, delivery in enumerate(row.deliveries)
        if delivery.dead_letter_owed
    )


def dead_letters_sent(
    row: MessageRow,
    sent: tuple[DeadLetter, ...],
    *,
    now: float,
    retention: float,
    rings: bool = True,
) -> Step | Unchanged:
    """Clear ``dead_letter_owed`` of the deliveries that are still failed in that round.

    ``rings`` tells whether the caller rings for the next due time afterwards.
    """
    after = row
    for dead_letter in dead_letters_owed(row):
        if dead_letter in sent:
            place = place_of(dead_letter.delivery_id)
            delivery = replace(row.deliveries[place], dead_letter_owed=False)
            after = _with(after, place, delivery)
    if after is row:
        return Unchanged.SETTLED
    return _step(None, row, after, now=now, retention=retention, moves_later=rings)


# Sweep --------------------------------------------------------------------------------------------


def stamp(row: MessageRow, *, read: bytes, now: float, retention: float) -> Step | Unchanged:
    """Set the next sweep of a row that has not changed since it was ``read``."""
    if row.rev != read:
        return Unchanged.MOVED_ON
    due_at = _least_due(row)
    if is_claimed(row, now):
        after = replace(row, sweep_at=row.lease_until)
    elif due_at is None:
        return _step(None, row, row, now=now, retention=retention)
    elif sweeper_rings_for(row, now) is None:
        after = replace(row, sweep_at=round(due_at - LONGEST_SQS_DELAY, 3))
    else:
        wait = BACK_OFF[min(row.rings, len(BACK_OFF) - 1)]
        after = replace(row, sweep_at=round(max(now, due_at) + wait, 3), rings=row.rings + 1)
    return Step(row=after)


# Parts --------------------------------------------------------------------------------------------


def _step(
    transition: Transition | None,
    before: MessageRow | None,
    after: MessageRow,
    *,
    now: float,
    retention: float,
    events: tuple[Event, ...] = (),
    told: int | None = None,
    moves_later: bool = True,
) -> Step:
    """Complete a successor: check its states, set ``sweep_at`` and ``ttl``, and add what follows.

    ``told`` is a place whose end another event reports.
    """
    _check(transition, before, after)
    after = _watched(after, now, retention, moves_later=moves_later)
    due_at = next_due(after)
    ended = _newly_ended(before, after) if before else ()
    ends = [_ended_event(after, place) for place in ended if place != told]
    holds = [_held_event(after, place) for place in _newly_held(before, after)]
    return Step(
        row=after,
        ring_for=due_at if due_at is not None and fits_sqs_delay(due_at, now) else None,
        dead_letters=dead_letters_owed(after),
        events=(*events, *ends, *holds),
        ended=ended,
    )


def _check(transition: Transition | None, before: MessageRow | None, after: MessageRow) -> None:
    allowed = TABLE[transition] if transition else {}
    for place in range(len(after.deliveries)):
        change = (state_of(before, place) if before else None, state_of(after, place))
        if change[0] is not change[1] and change not in allowed:
            raise IllegalTransitionError(f"{transition}: {change[0]} -> {change[1]}")


def _watched(row: MessageRow, now: float, retention: float, *, moves_later: bool) -> MessageRow:
    """Set the next sweep over all deliveries [2], and the time of the row's expiry."""
    wanted, present = _looked_at(row, now), row.sweep_at
    keeps = (
        wanted is not None
        and present is not None
        # A value that is at most 60 s early costs no index write [26]; a write that no ring
        # follows never moves it later [29].
        and (wanted - GRACE <= present <= wanted or (present <= wanted and not moves_later))
    )
    ttl = row.ttl
    if any(delivery.is_pending for delivery in row.deliveries):
        ttl = None
    elif ttl is None:
        ttl = math.ceil(max(now + retention, row.keep_until))
    sweep_at = present if keeps else wanted
    if (sweep_at, ttl) == (present, row.ttl):
        return row
    return replace(row, sweep_at=sweep_at, ttl=ttl)


def _looked_at(row: MessageRow, now: float) -> float | None:
    times = [
        max(due_at, now) + GRACE if fits_sqs_delay(due_at, now) else due_at - LONGEST_SQS_DELAY
        for due_at, _ in _open(row)
    ]
    if row.lease_until is not None:
        times.append(row.lease_until)
    if any(delivery.dead_letter_owed for delivery in row.deliveries):
        times.append(now + GRACE)
    return round(min(times), 3) if times else None


def _open(row: MessageRow) -> list[tuple[float, int]]:
    """Return due time and place of the deliveries that can be attempted once they are due."""
    return [
        (delivery.due_at, place)
        for place, delivery in enumerate(row.deliveries)
        if state_of(row, place) is State.PENDING
    ]


def _is_expired(row: MessageRow, now: float) -> bool:
    return row.ttl is not None and row.ttl <= now


def _least_due(row: MessageRow) -> float | None:
    claimed = [] if row.current is None else [row.deliveries[row.current].due_at]
    return min([due_at for due_at, _ in _open(row)] + claimed, default=None)


def _with(row: MessageRow, place: int, delivery: Delivery) -> MessageRow:
    before, after = row.deliveries[:place], row.deliveries[place + 1 :]
    return replace(row, deliveries=(*before, delivery, *after))


def _released(row: MessageRow, last_owner: str | None) -> MessageRow:
    return replace(
        row,
        owner=None,
        lease_until=None,
        current=None,
        last_owner=last_owner,
        rings=0,
    )


def _ended(row: MessageRow, place: int, ending: Ending, now: float) -> MessageRow:
    """End a delivery's round, and those of its siblings if a ``first_success`` has succeeded."""
    succeeded = ending.status == Status.SUCCESS
    delivery = row.deliveries[place]
    ended = replace(
        delivery,
        status=ending.status,
        delivered_at=now if succeeded else None,
        error_code=ending.code,
        error_message=ending.message and _cut(ending.message, NEWEST_DETAIL),
        metadata=ending.metadata if succeeded else delivery.metadata,
        dead_letter_owed=ending.status == Status.FAILED and ending.code not in NO_DEAD_LETTER,
        held=None,
        not_before=None,
    )
    row = _with(row, place, ended)
    if succeeded and row.mode == "first_success":
        not_needed = Ending(
            Status.SKIPPED, "first_success", "another integration delivered the message"
        )
        for sibling, other in enumerate(row.deliveries):
            if other.is_pending:
                row = _ended(row, sibling, not_needed, now)
    return row


def _ended_event(row: MessageRow, place: int) -> Event:
    delivery = row.deliveries[place]
    fields = {
        "status": str(delivery.status),
        "error_code": delivery.error_code,
        "round": delivery.round,
    }
    return Event("delivery.ended", place, fields)


def _held_event(row: MessageRow, place: int) -> Event:
    delivery = row.deliveries[place]
    fields = {"round": delivery.round, "reason": delivery.held, "until": rfc3339(delivery.due_at)}
    return Event("delivery.held", place, fields)


def _newly_held(before: MessageRow | None, after: MessageRow) -> list[int]:
    return [
        place
        for place, delivery in enumerate(after.deliveries)
        if delivery.held is not None and (before is None or before.deliveries[place].held is None)
    ]


def _newly_ended(before: MessageRow, after: MessageRow) -> tuple[int, ...]:
    return tuple(
        place
        for place, (old, new) in enumerate(zip(before.deliveries, after.deliveries, strict=True))
        if old.is_pending and not new.is_pending
    )


def _logged(delivery: Delivery, entry: LogEntry) -> tuple[LogEntry, ...]:
    older = delivery.attempt_log
    if older:
        older = (*older[:-1], replace(older[-1], detail=_cut(older[-1].detail, OLDER_DETAIL)))
    return (*older, entry)[-LOG_LENGTH:]


def _cut(text: str, most: int) -> str:
    """Return the text shortened to ``most`` bytes, at a whole character."""
    return text if len(text) * 4 <= most else text.encode()[:most].decode(errors="ignore")
