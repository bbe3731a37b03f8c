"""The delivery protocol as a pure state machine: every write that a delivery row can see.

A step is a ``Change``: conditions, and what to set, add and remove. Whoever holds the table applies
it; the rules here know no AWS, no clock and no randomness. The protocol itself is told in
``docs/architecture.md``.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from dispatcher.delivery.rows import DELIVERY, Delivery, Item, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

LEASE = 60.0
"""Seconds that a claim holds: an attempt of 10 s and its record, six times over."""

LEASE_TO_SEND = 35.0
"""Seconds of the lease that must be left directly before a send."""

ATTEMPT = 10.0
"""Seconds after which the watchdog ends an attempt."""

LONGEST_DELAY = 900
"""Seconds: the most that SQS delays a message; what is due later is left to the sweeper."""

LONGEST_RETRY_AFTER = 86_400.0
"""Seconds: the most that a receiver's ``Retry-After`` may ask for."""

FORGIVEN = 3
"""Tries of a round without a known outcome that do not use up the budget."""

BACK_OFF = (60.0, 120.0, 240.0, 480.0, 900.0)
"""Seconds between the sweeper's rings for one row: a backlog is not multiplied."""

SHARDS = 8
"""Partitions of the sweep index."""

LOG_LENGTH = 25
"""Attempts that a row remembers."""

REQUEST_RINGS = 8
"""Rings after which a first try is rung for by its own doorbell and no longer by its request's."""

NO_TICKET = frozenset({"expired", "content_expired", "no_address", "not_configured"})
"""Failures that a fresh round cannot change."""

UNKNOWN_OUTCOME = "unknown_outcome"

Key = tuple[str, str]
"""A row's ``user_id`` and ``sk``."""


class Clause(NamedTuple):
    """One condition on one attribute; all clauses of a change must hold."""

    test: Literal[
        "equals", "absent", "present", "at_most", "absent_or_above", "absent_or_below", "one_of"
    ]
    name: str
    value: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A conditional update of one row.

    All of it happens or nothing. Without effects it only checks.
    """

    when: tuple[Clause, ...]
    set: Mapping[str, Any] = field(default_factory=dict)
    add: Mapping[str, int] = field(default_factory=dict)
    remove: tuple[str, ...] = ()


def applied(row: Delivery, change: Change) -> Delivery:
    """Return a row as a change leaves it that took effect."""
    item = {**row.as_item(), **change.set}
    for name, count in change.add.items():
        item[name] = item.get(name, 0) + count
    for name in change.remove:
        item.pop(name, None)
    return Delivery.of(item)


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A row written whole, on conditions on what stands there now."""

    item: Item
    when: tuple[Clause, ...]


class Write(NamedTuple):
    """One part of a transaction."""

    key: Key
    step: Change | Put


def equals(name: str, value: object) -> Clause:
    """Hold where the attribute has this value."""
    return Clause("equals", name, value)


def absent(name: str) -> Clause:
    """Hold where there is no such attribute (or no row)."""
    return Clause("absent", name)


def present(name: str) -> Clause:
    """Hold where there is such an attribute."""
    return Clause("present", name)


def key_of(user_id: str, delivery_id: str) -> Key:
    """Return the key of a delivery's row."""
    return user_id, DELIVERY + delivery_id


def shard_of(user_id: str) -> int:
    """Spread the users over the sweep index."""
    return zlib.crc32(user_id.encode()) % SHARDS


def delay_until(due_at: float, now: float) -> int:
    """Return the whole seconds to delay a ring: never early, never longer than SQS allows."""
    return min(LONGEST_DELAY, math.ceil(max(0.0, round(due_at - now, 3))))


def within_reach(due_at: float, now: float) -> bool:
    """Tell whether a ring can be delayed until then; else the sweeper rings."""
    return due_at - now <= LONGEST_DELAY


def watch_from(due_at: float, now: float) -> float:
    """Return when the sweeper looks after a row.

    After a ring that was lost, or in time to ring for a far one.
    """
    return due_at + 60 if within_reach(due_at, now) else due_at - LONGEST_DELAY


# Budget -------------------------------------------------------------------------------------------


def may_try(tries: int, unknown: int, max_attempts: int) -> bool:
    """Tell whether another try may start.

    Before a take-over the lost try counts as unknown already.
    """
    return tries - min(unknown, FORGIVEN) < max_attempts


# Claim --------------------------------------------------------------------------------------------


def claim(token: str, now: float) -> Change:
    """Take a due delivery that nobody has."""
    return Change(
        when=(
            equals("status", Status.PENDING),
            absent("waits"),
            Clause("at_most", "due_at", now),
            absent("owner"),
        ),
        set={"owner": token, "lease_until": now + LEASE, "sweep_at": now + LEASE},
        add={"tries": 1},
        remove=("rings",),
    )


class Refusal(Enum):
    """What the row says where a claim was refused."""

    MINE = "our own claim, whose answer was lost"
    ENDED = "no longer pending"
    WAITING = "a sibling goes first"
    EARLY = "not due yet"
    LIVE = "another worker has it"
    LAPSED = "another worker had it and its lease is over"
    GONE = "there is no such row"


def why_refused(row: Item | None, token: str, now: float) -> Refusal:
    """Read a refused claim's row."""
    if row is None:
        return Refusal.GONE
    if row.get("owner") == token:
        return Refusal.MINE
    if row["status"] != Status.PENDING:
        return Refusal.ENDED
    if row.get("waits"):
        return Refusal.WAITING
    if "owner" not in row:
        return Refusal.EARLY
    return Refusal.LIVE if row["lease_until"] > now else Refusal.LAPSED


def on_first_try(row: Delivery) -> bool:
    """Tell whether a claimed row is on the first try that counts.

    A lower priority must not overtake it.
    """
    return row.round == 1 and row.attempts == 0 and row.tries - row.unknown <= 1


def take_over(row: Delivery, token: str, now: float) -> Change:
    """Take a delivery whose owner's lease is over; the lost try is logged as unknown."""
    return Change(
        when=_same_claim(row),
        set={
            "owner": token,
            "lease_until": now + LEASE,
            "sweep_at": now + LEASE,
            "attempt_log": _logged(row, lost_try(row)),
        },
        add={"tries": 1, "unknown": 1},
        remove=("rings",),
    )


def give_back(token: str, now: float) -> Change:
    """Return a claim unused: too little of the lease or of the invocation is left to send."""
    return Change(
        when=(equals("owner", token),),
        set={"sweep_at": now + 60, "last_owner": token},
        add={"tries": -1},
        remove=("owner", "lease_until"),
    )


def lost_try(row: Delivery) -> dict[str, Any]:
    """Describe the try that a dead or stalled worker left without a record."""
    started = (row.lease_until or 0.0) - LEASE
    return attempt_entry(
        row,
        started=started,
        seconds=None,
        outcome="unknown",
        code=UNKNOWN_OUTCOME,
        detail="the worker ended before it recorded an outcome",
    )


# Record -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a round ends."""

    status: Status
    code: str | None = None
    message: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def owes_ticket(self) -> bool:
        """Tell whether an operator may want to start a fresh round."""
        return self.status == Status.FAILED and self.code not in NO_TICKET


def attempt_entry(
    row: Delivery,
    *,
    started: float,
    seconds: float | None,
    outcome: str,
    code: str | None,
    detail: str,
) -> dict[str, Any]:
    """Describe one attempt for the row's log."""
    return {
        "number": row.tries,
        "round": row.round,
        "started_at": started,
        "duration_ms": None if seconds is None else round(seconds * 1000),
        "outcome": outcome,
        "code": code,
        "detail": detail,
    }


def record_retry(
    row: Delivery, token: str, entry: Mapping[str, Any], *, due_at: float, now: float
) -> Change:
    """Write down a failed attempt that is to be repeated."""
    return Change(
        when=(equals("owner", token),),
        set={
            **_attempted(row, entry),
            "last_owner": token,
            "due_at": due_at,
            "sweep_at": watch_from(due_at, now),
            "error_code": entry["code"],
            "error_message": entry["detail"],
        },
        remove=("owner", "lease_until"),
    )


def record_end(
    row: Delivery,
    token: str,
    ending: Ending,
    *,
    entry: Mapping[str, Any] | None,
    now: float,
    ttl: float,
) -> Change:
    """Write down how the round ended.

    ``entry`` is the attempt that ended it, ``None`` where nothing was sent.
    """
    return Change(
        when=(equals("owner", token),),
        set={
            "last_owner": token,
            **(_attempted(row, entry) if entry else {}),
            **_ended(ending, now, ttl),
        },
        remove=("owner", "lease_until", *_cleared(ending)),
    )


def end_unknown(row: Delivery, token: str, ending: Ending, *, now: float, ttl: float) -> Change:
    """Give up a delivery whose last try left no record and whose budget is used up."""
    return Change(
        when=_same_claim(row),
        set={
            "last_owner": token,
            "attempt_log": _logged(row, lost_try(row)),
            **_ended(ending, now, ttl),
        },
        add={"unknown": 1},
        remove=("owner", "lease_until", *_cleared(ending)),
    )


def is_ours(row: Item | None, token: str) -> bool:
    """Tell whether a refused record was our own write, whose answer was lost."""
    return row is not None and bool(row.get("last_owner") == token)


def retry_due(end: float, delay: float, after: float | None) -> float:
    """Return when to try again.

    The delivery's own delay, or the receiver's longer wish, counted from the end.
    """
    return round(end + max(delay, min(after or 0.0, LONGEST_RETRY_AFTER)), 3)


# Siblings of a first_success request --------------------------------------------------------------

STILL_WAITS = (equals("status", Status.PENDING), present("waits"))


def release(sibling: Delivery, now: float) -> Change:
    """Let the next sibling go: now, but not before the message's ``deliver_at``."""
    due_at = max(now, sibling.due_at)
    return Change(
        when=STILL_WAITS,
        set={"due_at": due_at, "sweep_at": watch_from(due_at, now)},
        remove=("waits",),
    )


def skip_sibling(now: float, ttl: float) -> Change:
    """End a sibling that is no longer needed: another one succeeded."""
    ending = Ending(
        status=Status.SKIPPED,
        code="first_success",
        message="another integration delivered the message",
    )
    return Change(
        when=STILL_WAITS, set=_ended(ending, now, ttl), remove=("waits", *_cleared(ending))
    )


WITHOUT_SUCCESS = Change(when=(Clause("one_of", "status", (Status.FAILED, Status.SKIPPED)),))
"""Checks that a sibling does not forbid a fresh round: it neither succeeded nor may still."""


# Tickets, rounds, cancelling ----------------------------------------------------------------------


def ticket_sent(round_number: int) -> Change:
    """Settle the ticket that a failed round owed."""
    return Change(
        when=(equals("status", Status.FAILED), equals("round", round_number)),
        remove=("ticket_owed", "sweep_at"),
    )


def new_round(
    row: Delivery, token: str, *, max_attempts: int, retry_delay_seconds: int, now: float
) -> Change:
    """Open a fresh round of attempts for a failed delivery, its policy taken anew."""
    return Change(
        when=(
            equals("status", Status.FAILED),
            equals("round", row.round),
            Clause("absent_or_above", "ttl", now),
        ),
        set={
            "status": Status.PENDING,
            "round": row.round + 1,
            "tries": 0,
            "unknown": 0,
            "attempts": 0,
            "max_attempts": max_attempts,
            "retry_delay_seconds": retry_delay_seconds,
            "due_at": now,
            "sweep_at": now + 60,
            "opened_by": token,
        },
        remove=(
            "ttl",
            "ticket_owed",
            "owner",
            "lease_until",
            "rings",
            "delivered_at",
            "error_code",
            "error_message",
        ),
    )


def has_opened(row: Item | None, token: str) -> bool:
    """Tell whether a refused new round was our own write, whose answer was lost.

    Whatever became of the round since: a worker may have recorded a try of it meanwhile.
    """
    return row is not None and bool(row.get("opened_by") == token)


def cancel(row: Delivery, token: str, *, now: float, ttl: float) -> Change:
    """End a pending delivery that no worker has; a lease that has run out is still a claim."""
    ending = Ending(status=Status.SKIPPED, code="cancelled", message="cancelled before it was sent")
    waits = present("waits") if row.waits else absent("waits")
    return Change(
        when=(equals("status", Status.PENDING), absent("owner"), waits),
        set={"last_owner": token, **_ended(ending, now, ttl)},
        remove=("waits", *_cleared(ending)),
    )


# Sweep --------------------------------------------------------------------------------------------


def rings_for_request(row: Item) -> bool:
    """Tell whether the sweeper rings for the whole request.

    A first try must keep its place among its siblings.
    """
    return bool(row["round"] == 1) and row["tries"] == 0 and row.get("rings", 0) < REQUEST_RINGS


def stamp(row: Item, now: float) -> Change:
    """Note that the sweeper rang, unless something happened to the row since it looked."""
    rings = row.get("rings", 0)
    wait = BACK_OFF[min(rings, len(BACK_OFF) - 1)]
    return Change(
        when=(equals("sweep_at", row["sweep_at"]),),
        set={"sweep_at": max(now, row["due_at"]) + wait, "rings": rings + 1},
    )


# Parts --------------------------------------------------------------------------------------------


def _same_claim(row: Delivery) -> tuple[Clause, ...]:
    return equals("owner", row.owner), equals("lease_until", row.lease_until)


def _logged(row: Delivery, entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*row.attempt_log, entry][-LOG_LENGTH:]


def _attempted(row: Delivery, entry: Mapping[str, Any]) -> dict[str, Any]:
    first = entry["started_at"] if row.first_attempt_at is None else row.first_attempt_at
    return {
        "attempts": row.attempts + 1,
        "first_attempt_at": first,
        "last_attempt_at": entry["started_at"],
        "attempt_log": _logged(row, entry),
    }


def _ended(ending: Ending, now: float, ttl: float) -> dict[str, Any]:
    fields: dict[str, Any] = {"status": ending.status, "ttl": ttl}
    if ending.status == Status.SUCCESS:
        fields |= {"delivered_at": now, "metadata": dict(ending.metadata)}
    else:
        fields |= {"error_code": ending.code, "error_message": ending.message}
    if ending.owes_ticket:
        fields |= {"ticket_owed": True, "sweep_at": now + 60}
    return fields


def _cleared(ending: Ending) -> tuple[str, ...]:
    errors = ("error_code", "error_message") if ending.status == Status.SUCCESS else ()
    return ("rings", *errors) if ending.owes_ticket else ("rings", "sweep_at", *errors)
