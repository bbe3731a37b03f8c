"""Preferences of the users in a run: hours, mutes and category choices, and their changes."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any
from zoneinfo import ZoneInfo

from evidence.chaos.ledger import Fate, Ledger
from evidence.chaos.traffic import BETA, Caller, User
from tools.mailbox import Mailbox, part

MINUTE = 60.0
OPEN = 15
PERIOD = 20
"""Minutes of a window, the shortest that the service allows, and from one to the next."""

WINDOWS = 14
"""As many as a user may have: enough for the hours of a run."""

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
TYPES = (("WEBHOOK",), ("WEBHOOK", "CLI"), ("WEBHOOK", "TEST", "CLI"))
ZONES = ("UTC", "Asia/Kolkata", "America/St_Johns")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A user's preferences; the service may go by them from ``since`` to ``until``."""

    since: float
    until: float = math.inf
    types: tuple[str, ...] = ()
    """The integrations that hours and mute hold."""
    windows: tuple[tuple[float, float], ...] = ()
    """Spans in which the user may be disturbed; none: always."""
    muted_until: float = 0.0
    wants_beta: bool = False
    zone: str = "UTC"

    def opening(self, integration_type: str, t: float) -> float:
        """Return the first time from ``t`` on at which a message may be sent."""
        if integration_type not in self.types:
            return t
        t = max(t, self.muted_until)
        return min((max(t, begin) for begin, end in self.windows if end > t), default=t)

    def body(self) -> dict[str, Any]:
        """Return the body of PUT; it names each field, so it may be repeated."""
        zone = ZoneInfo(self.zone)
        windows = [
            {"days": DAYS}
            | {
                name: datetime.fromtimestamp(at, zone).strftime("%H:%M")
                for name, at in zip(("from", "to"), span, strict=True)
            }
            for span in self.windows
        ]
        hours = {"integrations": list(self.types)} | ({"windows": windows} if windows else {})
        muted_until = datetime.fromtimestamp(self.muted_until, UTC).isoformat()
        return {
            "time_zone": self.zone,
            "hours": hours if self.types else None,
            "muted_until": muted_until if self.muted_until else None,
            "categories": {BETA: {"enabled": True} if self.wants_beta else None},
        }


def planned(
    seed: int, users: Sequence[User], now: float, lasts: float, *, all_open: bool
) -> Iterator[tuple[str, State]]:
    """Yield each user's preferences at the start, then their changes within ``lasts`` seconds.

    Three users in ten have hours, four in ten set mutes, and six in ten choose the opt-in category.
    ``all_open`` lets no user wait for a window: all hours are removed in the end.
    """
    chance = random.Random(f"{seed} preferences")  # noqa: S311 - no secret
    changes: list[tuple[str, State]] = []
    for number, user in enumerate(users):
        first = State(
            since=0.0,
            types=chance.choice(TYPES),
            wants_beta=number % 5 < 3,
            zone=chance.choice(ZONES),
        )
        states = [first]
        if number % 10 in {0, 3, 6}:
            states = _hours(chance, first, now, lasts, removed=all_open or number % 20 < 10)
        elif number % 10 in {1, 4, 7, 8}:
            states = _mutes(chance, first, now, lasts)
        if number % 5 == 2:
            off_at = now + chance.uniform(0.2, 0.8) * lasts
            # It is off from then on.
            states = [replace(one, wants_beta=one.since < off_at) for one in states]
            last = max((one for one in states if one.since < off_at), key=lambda one: one.since)
            states.append(replace(last, since=off_at, wants_beta=False))
        changes += [(user.user_id, state) for state in states]
    yield from sorted(changes, key=lambda change: change[1].since)


def _hours(
    chance: random.Random, first: State, now: float, lasts: float, *, removed: bool
) -> list[State]:
    """Return hours that are closed at the start or soon after it."""
    minute = now // MINUTE + chance.choice((2, 3, 4, 5, 6, 7, 8, 9)) - PERIOD
    starts = [(minute + PERIOD * number) * MINUTE for number in range(WINDOWS)]
    closed = replace(first, windows=tuple((at, at + OPEN * MINUTE) for at in starts))
    if not removed:
        return [closed]
    return [closed, replace(first, since=now + chance.uniform(0.5, 1.0) * lasts)]


def _mutes(chance: random.Random, first: State, now: float, lasts: float) -> list[State]:
    """Return two mutes; each ends by itself or is removed before its end."""
    states = [first]
    for begin in (0.0, 0.5):
        since = now + (begin + chance.uniform(0.0, 0.1)) * lasts
        length = chance.uniform(0.1, 0.3) * lasts
        states.append(replace(first, since=since, muted_until=round(since + length, 3)))
        if chance.random() < 0.6:
            states.append(replace(first, since=since + chance.uniform(0.3, 0.9) * length))
    return states


def apply(
    changes: Sequence[tuple[str, State]],
    caller: Caller,
    states: dict[str, list[State]] | None = None,
) -> dict[str, list[State]]:
    """Make each change at its time; return all states with the times at which they counted."""
    states = {} if states is None else states
    for user_id, state in changes:
        time.sleep(max(0.0, state.since - time.time()))
        before, since = states.setdefault(user_id, [State(since=0.0)]), time.time()
        caller.prefer(user_id, state.body())
        before[-1] = replace(before[-1], until=time.time())
        before.append(replace(state, since=since))
    return states


class Emails(Mailbox):
    """A mail server whose emails become arrivals as they come."""

    def __init__(self, port: int, ledger: Ledger) -> None:
        super().__init__(port)
        self._ledger = ledger

    def add(self, message: EmailMessage) -> None:
        """Add an email to the ledger; its Message-ID begins with the delivery's ID."""
        delivery_id = parseaddr(message["Message-ID"])[1].partition("@")[0]
        # Without the footer, which emails of a category have.
        content = part(message, "plain").partition("\n\n")[0]
        self._ledger.add_arrival(delivery_id, time.time(), Fate.ACCEPTED, content)
