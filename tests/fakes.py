"""The ports in memory.

The stores (``MemoryTable`` and ``MemoryOverrides``) pass the same contract suites as those in
DynamoDB: ``tests/adapters/test_deliveries.py`` and ``test_overrides.py``.
"""

# ruff: noqa: D102, D105, ARG002 - ports.py documents each method

from __future__ import annotations

import ast
import random
import threading
import uuid
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from dispatcher.configuration.rows import Policy, UserOverrides
from dispatcher.delivery.outcomes import Delivered
from dispatcher.delivery.ports import VisitRead
from dispatcher.delivery.rows import (
    MAILBOX,
    MESSAGE,
    REQUEST,
    MailboxRow,
    MessageRow,
    RequestRow,
    shard_of,
)
from dispatcher.errors import ConditionFailed, SealedError, UnavailableError
from dispatcher.messages.ports import HistoryPage, MailboxPage, MessageCount
from tests.log_events import require_declared


class MemoryTable:
    """The deliveries table in a dictionary; one lock makes every call atomic."""

    def __init__(self, overrides: MemoryOverrides) -> None:
        self.rows: dict[tuple[str, str], MessageRow | RequestRow | MailboxRow] = {}
        self._overrides = overrides
        self._lock = threading.Lock()

    # delivery.ports.MessageStore

    def message(self, user_id, message_id):
        with self._lock:
            return self.rows.get((user_id, MESSAGE + message_id))

    def visit(self, user_id, message_id, request_id):
        with self._lock:
            return VisitRead(
                self.rows.get((user_id, MESSAGE + message_id)),
                self.rows.get((user_id, f"{REQUEST}{request_id}")) if request_id else None,
                self._overrides.get(user_id),
            )

    def pending(self, user_id, *, pages):
        with self._lock:
            rows = [
                row
                for row in self.messages()
                if row.user_id == user_id and row.sweep_at is not None
            ]
        return tuple(sorted(rows, key=lambda row: row.message_id, reverse=True)), True

    def between(self, user_id, first, last, *, limit):
        found = [
            row
            for row in self.messages()
            if row.user_id == user_id and first <= row.message_id <= last
        ]
        rows = sorted(found, key=lambda row: row.message_id)
        return tuple(rows[:limit]), rows[limit - 1].message_id if len(rows) > limit else None

    def create(self, row):
        with self._lock:
            self.rows.setdefault((row.user_id, MESSAGE + row.message_id), row)

    def write(self, row, *, on):
        key = (row.user_id, MESSAGE + row.message_id)
        with self._lock:
            stored = self.rows.get(key)
            if stored is not None and stored.rev == on:
                stored = self.rows[key] = row
            return stored

    def overdue(self, shard, now):
        with self._lock:
            found = [
                row
                for row in self.messages()
                if shard_of(row.message_id) == shard
                and row.sweep_at is not None
                and row.sweep_at <= now
            ]
        for row in sorted(found, key=lambda row: row.sweep_at):
            yield row.user_id, row.message_id

    # messages.ports

    def request(self, user_id, request_id):
        with self._lock:
            return self.rows.get((user_id, REQUEST + request_id))

    def put_request(self, row, *, now):
        key = (row.user_id, REQUEST + row.request_id)
        with self._lock:
            stored = self.rows.get(key)
            if stored is None or stored.ttl < now:
                stored = self.rows[key] = row
            return stored

    def history(self, user_id, *, limit, newest, after):
        keys = sorted(
            (sk for user, sk in self.rows if user == user_id and sk.startswith(MESSAGE)),
            reverse=True,
        )
        keys = [
            sk
            for sk in keys
            if sk <= MESSAGE + (newest or "~") and (after is None or sk < MESSAGE + after)
        ]
        rows = tuple(self.rows[user_id, sk] for sk in keys[:limit])
        return HistoryPage(rows, rows[-1].message_id if len(keys) > limit else None)

    def counts(self, user_id, *, limit):
        rows = [row for row in self.messages() if row.user_id == user_id]
        for row in sorted(rows, key=lambda row: row.message_id, reverse=True):
            yield MessageCount(row.message_id, len(row.deliveries), row.ttl)

    def mailbox(self, user_id, integration_type, *, limit, after, now):
        prefix = f"{MAILBOX}{integration_type}#"
        keys = sorted(sk for user, sk in self.rows if user == user_id and sk.startswith(prefix))
        rows = [
            self.rows[user_id, sk]
            for sk in keys
            if (after is None or sk > prefix + after) and self.rows[user_id, sk].ttl >= now
        ]
        return MailboxPage(
            tuple(rows[:limit]), rows[limit - 1].message_id if len(rows) > limit else None
        )

    def remove_from_mailbox(self, user_id, integration_type, message_id):
        with self._lock:
            return self.rows.pop((user_id, f"{MAILBOX}{integration_type}#{message_id}"), None)

    # For tests

    def messages(self):
        """Return all message rows."""
        return [row for row in self.rows.values() if isinstance(row, MessageRow)]

    def put(self, row):
        """Store a row as it is."""
        kind = {
            MessageRow: lambda: MESSAGE + row.message_id,
            RequestRow: lambda: REQUEST + row.request_id,
            MailboxRow: lambda: f"{MAILBOX}{row.integration_type}#{row.message_id}",
        }
        self.rows[row.user_id, kind[type(row)]()] = row


class MemoryOverrides:
    """Overrides in a dictionary, with the row's version and last writer."""

    def __init__(self) -> None:
        self.rows: dict[str, UserOverrides] = {}
        self._writers: dict[str, str] = {}

    def get(self, user_id):
        return self.rows.get(user_id, UserOverrides())

    def create(self, user_id, integration_type, override, *, now, token):
        stored = self.get(user_id)
        if integration_type in stored.by_type:
            return self._refuse(user_id, token)
        version = stored.version or int(now * 1000)
        return self._put(
            user_id, {**stored.by_type, integration_type: override}, version + 1, token
        )

    def replace(self, user_id, integration_type, override, *, version, token):
        stored = self.get(user_id)
        if stored.version != version or integration_type not in stored.by_type:
            return self._refuse(user_id, token)
        return self._put(
            user_id, {**stored.by_type, integration_type: override}, version + 1, token
        )

    def delete(self, user_id, integration_type, *, token):
        stored = self.get(user_id)
        if integration_type not in stored.by_type:
            return self._refuse(user_id, token)
        left = {name: one for name, one in stored.by_type.items() if name != integration_type}
        self._put(user_id, left, stored.version + 1, token)
        return stored.by_type[integration_type]

    def clear(self, user_id, *, token):
        stored = self.rows.get(user_id, UserOverrides())
        if stored.by_type:
            self._put(user_id, {}, stored.version + 1, token)
        return stored.by_type

    def set_preferences(self, user_id, preferences, *, version, now, token):
        stored = self.get(user_id)
        if stored.version != version:
            self._refuse(user_id, token)
            return stored.version
        new_version = (version or int(now * 1000)) + 1
        self.rows[user_id] = replace(stored, preferences=preferences, version=new_version)
        self._writers[user_id] = token
        return new_version

    def delete_preferences(self, user_id, *, token, version=None):
        stored = self.get(user_id)
        if version is not None and (stored.preferences is None or stored.version != version):
            self._refuse(user_id, token)
            return True
        if stored.preferences is None:
            return self._writers.get(user_id) == token
        self.rows[user_id] = replace(stored, preferences=None)
        self._put(user_id, stored.by_type, stored.version + 1, token)
        return True

    def set_suppressions(self, user_id, suppressions, *, stored, now, token):
        row = self.rows.get(user_id, UserOverrides())
        if row.version != stored.version:
            return self._refuse(user_id, token)
        version = (row.version or int(now * 1000)) + 1
        self.rows[user_id] = replace(row, suppressions=dict(suppressions))
        return self._put(user_id, row.by_type, version, token)

    def _put(self, user_id, by_type, version, token):
        new = replace(self.get(user_id), by_type=by_type, version=version)
        if new.is_empty:
            del self.rows[user_id]
        else:
            self.rows[user_id] = new
        self._writers[user_id] = token

    def _refuse(self, user_id, token):
        if self._writers.get(user_id) != token:
            raise ConditionFailed


class MemoryPolicies:
    """Categories in memory; ``broken`` lets every call fail, ``reads`` holds the reads."""

    def __init__(self) -> None:
        self.policy, self.broken = Policy(), False
        self.reads: list[str] = []
        self._writer: str | None = None

    def read(self, *, consistent):
        self.reads.append("consistent" if consistent else "eventual")
        if self.broken:
            raise UnavailableError("the table is out of reach")
        return self.policy

    def write(self, policy, *, version, token):
        if self.policy.version != version:
            if self._writer != token:
                raise ConditionFailed
            return self.policy
        self.policy, self._writer = replace(policy, version=version + 1), token
        return self.policy


@dataclass
class MemoryDoorbells:
    """Keeps what was rung: queue, doorbell and delay."""

    rung: list[tuple[str, object, int]] = field(default_factory=list)
    parked: list[tuple[str, str, str]] = field(default_factory=list)
    broken: bool = False

    def ring_first(self, doorbell, *, delay=0):
        self._send("delivery", doorbell, delay)

    def ring(self, doorbell, *, delay=0):
        self._send("retry", doorbell, delay)

    def send_dead_letter(self, dead_letter):
        self._send("dead_letter", dead_letter, 0)

    def park(self, body, *, reason, source):
        self.parked.append((body, reason, source))

    def _send(self, queue, doorbell, delay):
        assert 0 <= delay <= 900
        if self.broken:
            raise UnavailableError("SendMessage failed: rehearsed")
        self.rung.append((queue, doorbell, delay))

    def taken(self):
        """Return what was rung since the last time."""
        rung, self.rung = self.rung, []
        return rung


@dataclass
class FakeClock:
    """A clock that moves only if the test moves it."""

    seconds: float = 1_800_000_000.0

    def now(self):
        return round(self.seconds, 3)

    def monotonic(self):
        return self.seconds

    def pause(self, seconds):
        self.advance(seconds)

    def advance(self, seconds):
        self.seconds += seconds


class FakeIdGenerator:
    """Random as the real ones, and the same in every run."""

    def __init__(self, seed: int = 7) -> None:
        self._random = random.Random(seed)
        self._count = 0

    def message_id(self, now):
        self._count += 1
        value = int(now * 1000) << 80 | 7 << 76 | self._count << 64 | 2 << 62
        return str(uuid.UUID(int=value | self._random.getrandbits(54) << 8))

    def token(self):
        return f"{self._random.getrandbits(64):016x}"

    def rev(self):
        return self._random.randbytes(8)

    def random(self, count):
        return self._random.randbytes(count)


class MemoryVault:
    """Seals under the owner's name, so that another owner cannot open it."""

    def __init__(self) -> None:
        self.broken = False

    def seal(self, user_id, integration_type, secrets):
        return (repr((user_id, integration_type, secrets)).encode(),)

    def open(self, user_id, integration_type, sealed):
        if self.broken:
            raise SealedError("Decrypt failed: rehearsed")
        owner, kind, secrets = ast.literal_eval(sealed[0].decode())
        assert (owner, kind) == (user_id, integration_type)
        return secrets


@dataclass
class MemoryEventLog:
    """Keeps what was noted."""

    lines: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    invocation: tuple[object, dict[str, Any]] | None = None

    def begin(self, context, **ids):
        self.invocation = (context, ids)

    def emit(self, event, **fields):
        require_declared(event, fields)
        self.lines.append((event, fields))

    def events(self):
        """Return the names of what happened, in order."""
        return [event for event, _ in self.lines]


class PatientWatchdog:
    """Lets the work finish, however long it takes."""

    def within(self, seconds, work):
        return work()


@dataclass
class ScriptedChannel:
    """Returns the given outcomes one after the other, then delivers.

    A function among them is called during the send and returns its outcome.
    """

    outcomes: list = field(default_factory=list)
    messages: list = field(default_factory=list)

    def deliver(self, message):
        self.messages.append(message)
        outcome = self.outcomes.pop(0) if self.outcomes else Delivered({"id": len(self.messages)})
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome() if callable(outcome) else outcome


class Faulty:
    """Wraps a port: before each call of the given methods, ``fate`` chooses its fault.

    ``throttled``: the call fails without an effect. ``lost``: its response is lost after the
    effect. ``repeated``: its response is lost and the client calls again. A transaction's token
    makes this one write; updates and rings happen twice.
    """

    def __init__(self, port, fate, *names: str) -> None:
        self._port = port
        self._fate = fate
        self._names = names

    def __getattr__(self, name):
        call = getattr(self._port, name)
        return partial(self._call, name, call) if name in self._names else call

    def _call(self, name, call, *args, **kwargs):
        fate = self._fate(name)
        if fate == "throttled":
            raise UnavailableError(f"{name} was throttled: rehearsed")
        result = call(*args, **kwargs)
        if fate == "lost":
            raise UnavailableError(f"the answer of {name} was lost: rehearsed")
        if fate == "repeated":
            return call(*args, **kwargs)
        return result


@dataclass
class FakeProbes:
    """Returns the given results, and counts the calls."""

    troubles: dict[str, str | None] = field(
        default_factory=lambda: {"DeliveriesTable": None, "DeliveryQueue": None}
    )
    asked: list[tuple[float, list[str]]] = field(default_factory=list)

    def all_within(self, seconds, integrations):
        self.asked.append((seconds, list(integrations)))
        return dict(self.troubles)
