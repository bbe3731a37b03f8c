"""The ports in memory: what the contract suite proves to behave as the real ones do."""

# ruff: noqa: D102, D105, ARG002 - what each method does is told in ports.py

from __future__ import annotations

import ast
import copy
import random
import threading
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dispatcher.configuration.resolution import UserOverrides
from dispatcher.delivery.outcomes import Delivered
from dispatcher.delivery.ports import Page
from dispatcher.delivery.protocol import Change, Put
from dispatcher.errors import ConditionFailed, SealedError, UnavailableError


def holds(clause, row) -> bool:
    """Evaluate one clause on a row; no row has no attributes."""
    row = row or {}
    there, value, wanted = clause.name in row, row.get(clause.name), clause.value
    return {
        "absent": lambda: not there,
        "present": lambda: there,
        "equals": lambda: there and value == wanted,
        "at_most": lambda: there and value <= wanted,
        "absent_or_above": lambda: not there or value > wanted,
        "absent_or_below": lambda: not there or value < wanted,
        "one_of": lambda: there and value in wanted,
    }[clause.test]()


def plain(value):
    """Copy a value as a table gives it back: enumerations become text, tuples lists."""
    match value:
        case str():
            return str(value)
        case dict():
            return {name: plain(part) for name, part in value.items()}
        case list() | tuple():
            return [plain(part) for part in value]
        case _:
            return value


class MemoryDeliveries:
    """Rows in a dictionary; one lock makes every call atomic."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        self._lock = threading.Lock()

    def get(self, key):
        with self._lock:
            return copy.deepcopy(self.rows.get(key))

    def apply(self, key, change):
        with self._lock:
            self._check([(key, change)])
            return self._do(key, change)

    def commit(self, writes):
        with self._lock:
            self._check(writes)
            for key, step in writes:
                self._do(key, step)

    def _check(self, writes):
        refused = {
            index: copy.deepcopy(self.rows.get(key))
            for index, (key, step) in enumerate(writes)
            if not all(holds(clause, self.rows.get(key)) for clause in step.when)
        }
        if refused:
            raise ConditionFailed(refused)

    def _do(self, key, step):
        if isinstance(step, Put):
            self.rows[key] = plain(step.item)
        elif step.set or step.add or step.remove:
            row = self.rows.setdefault(key, {"user_id": key[0], "sk": key[1]})
            for name, count in step.add.items():
                row[name] += count
            row.update(plain(dict(step.set)))
            for name in step.remove:
                row.pop(name, None)
        return copy.deepcopy(self.rows.get(key))

    def remove(self, key):
        with self._lock:
            return self.rows.pop(key, None)

    def listing(
        self, user_id, prefix, *, limit, newest_first, now, after=None, equal=None, without=()
    ):
        keys = sorted((key for key in list(self.rows) if key[0] == user_id), reverse=newest_first)
        rows = [
            self.rows[key]
            for key in keys
            if key[1].startswith(prefix)
            and (after is None or (key[1] < after if newest_first else key[1] > after))
        ]
        if equal:
            part, rest = rows[: limit + 1], rows[limit + 1 :]
        else:
            part, rest = rows, []
        kept = [
            row
            for row in part
            if row.get("ttl", now) >= now
            and all(row.get(name) == value for name, value in (equal or {}).items())
        ]
        shown = [{k: v for k, v in row.items() if k not in without} for row in kept]
        if len(kept) > limit:
            return Page(tuple(copy.deepcopy(shown[:limit])), kept[limit - 1]["sk"])
        return Page(tuple(copy.deepcopy(shown)), part[-1]["sk"] if rest else None)

    def skip(self, user_id, prefix, count):
        keys = sorted(
            (sk for user, sk in self.rows if user == user_id and sk.startswith(prefix)),
            reverse=True,
        )
        return keys[count - 1] if len(keys) >= count else None

    def due(self, shard, now):
        with self._lock:
            found = copy.deepcopy(
                [
                    row
                    for row in self.rows.values()
                    if row.get("sweep_shard") == shard and row.get("sweep_at", now + 1) <= now
                ]
            )
        yield from sorted(found, key=lambda row: row["sweep_at"])

    def delivery(self, user_id, delivery_id):
        """Return a delivery's row as it is stored."""
        return self.get((user_id, f"DELIVERY#{delivery_id}"))


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
        if left:
            return self._put(user_id, left, stored.version + 1, token)
        del self.rows[user_id]
        return None

    def clear(self, user_id):
        return tuple(self.rows.pop(user_id, UserOverrides()).by_type)

    def _put(self, user_id, by_type, version, token):
        self.rows[user_id] = UserOverrides(by_type, version)
        self._writers[user_id] = token

    def _refuse(self, user_id, token):
        if self._writers.get(user_id) != token:
            raise ConditionFailed({0: {}})


@dataclass
class MemoryDoorbells:
    """Keeps what was rung: queue, doorbell and delay."""

    rung: list[tuple[str, object, int]] = field(default_factory=list)
    parked: list[tuple[str, str, str]] = field(default_factory=list)
    broken: bool = False

    def ring(self, doorbell, *, delay=0):
        self._ring("delivery", doorbell, delay)

    def ring_retry(self, doorbell, *, delay=0):
        self._ring("retry", doorbell, delay)

    def leave_ticket(self, ticket):
        self._ring("dead_letter", ticket, 0)

    def park(self, body, *, reason, source):
        self.parked.append((body, reason, source))

    def _ring(self, queue, doorbell, delay):
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
    """Stands still until it is told to go on."""

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

    def delivery_id(self, now):
        self._count += 1
        value = int(now * 1000) << 80 | 7 << 76 | self._count << 64 | 2 << 62
        return str(uuid.UUID(int=value | self._random.getrandbits(62)))

    def token(self):
        return f"{self._random.getrandbits(64):016x}"

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
    """Answers with the outcomes it was given, one after the other, then delivers.

    A function among them is called in the middle of the send and returns its outcome.
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
    """Wraps a port: before each call of the given names, ``fate`` says what becomes of it.

    ``throttled``: it fails without an effect. ``lost``: its answer is lost, after the effect.
    ``repeated``: its answer is lost and the client calls again, which a transaction's token makes
    one write, but neither an update nor a ring.
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
    """Answers as it was told, and counts how often it was asked."""

    troubles: dict[str, str | None] = field(
        default_factory=lambda: {"DeliveriesTable": None, "DeliveryQueue": None}
    )
    asked: list[tuple[float, list[str]]] = field(default_factory=list)

    def all_within(self, seconds, integrations):
        self.asked.append((seconds, list(integrations)))
        return dict(self.troubles)


def changed(**effects) -> Change:
    """Make an unconditional change that sets attributes."""
    return Change(when=(), set=effects)
