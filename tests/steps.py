"""Work that stands still at every call of a port until it is told to go on.

So a test decides who comes next, whose call goes wrong and how, and who dies where. One thread runs
at a time: the order is the test's, and the same in every run.
"""

from __future__ import annotations

import math
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from dispatcher.errors import ConditionFailed, UnavailableError
from tests.fakes import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 60.0
"""Seconds after which an actor that neither stops nor ends has hung."""

FATES = {"throttled": 0.7, "lost": 9.0, "repeated": 3.0}
"""What AWS may make of a call, and the seconds that it takes.

``throttled``: no effect. ``lost``: the effect, and no answer. ``repeated``: the effect, no answer,
and the SDK calls again, which a transaction's token makes one write, but neither an update nor a
ring.
"""

MOMENT = 0.02
"""Seconds that a call takes to which nothing happens."""

_here = threading.local()


def acting() -> Actor:
    """Return whose thread this is."""
    actor: Actor = _here.actor
    return actor


class CrashError(BaseException):
    """The process ended here."""


class Actor:
    """Somebody who does one piece of work, from stop to stop."""

    def __init__(
        self, name: str, work: Callable[[], Any], *, skew: float = 0.0, until: float = math.inf
    ) -> None:
        self.name = name
        self.skew = skew
        self.until = until
        self.at = "the beginning"
        self.done = False
        self.crashed = False
        self.error: Exception | None = None
        self.result: Any = None
        self._work = work
        self._fate = ""
        self._turn, self._back = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def __repr__(self) -> str:
        """Tell who it is and where it stands."""
        return f"<{self.name} {'done' if self.done else self.at}>"

    def go_on(self, fate: str = "") -> None:
        """Meet this fate at the stop where it stands, then go on to the next."""
        self._fate = fate
        self._turn.release()
        if not self._back.acquire(timeout=PATIENCE):
            raise AssertionError(f"{self} hangs")

    def stop(self, at: str) -> str:
        """Stand still; return the fate that is met here, unless it is death."""
        self.at = at
        self._back.release()
        self._turn.acquire()
        return self._fated()

    def _fated(self) -> str:
        if self._fate == "crash":
            raise CrashError(self.at)
        return self._fate

    def _run(self) -> None:
        self._turn.acquire()
        _here.actor = self
        try:
            self._fated()
            self.result = self._work()
        except CrashError:
            self.crashed = True
        except Exception as error:  # noqa: BLE001 - whoever started the work asks for it
            self.error = error
        finally:
            self.done = True
            self._back.release()


class SkewedClock(FakeClock):
    """One time for all, which each actor reads off its own clock."""

    def now(self):
        """Return what the actor's clock shows."""
        return round(self.seconds + acting().skew, 3)


class Gate:
    """Wraps a port: whoever calls one of the given names stops before the call, and may not return.

    ``seen(name, call, args)`` makes the call, so that a test can look at what it changes.
    """

    def __init__(self, port, clock, *names: str, seen=lambda _name, call, _args: call()) -> None:
        self._port = port
        self._clock = clock
        self._names = names
        self._seen = seen

    def __getattr__(self, name):
        """Return the port's own, behind the gate if it was given."""
        call = getattr(self._port, name)
        return partial(self._call, name, call) if name in self._names else call

    def _call(self, name, call, *args, **kwargs):
        actor = acting()
        fate = actor.stop(f"before {name}")
        self._clock.advance(FATES.get(fate, MOMENT))
        if fate == "throttled":
            raise UnavailableError(f"{name} was throttled: rehearsed")
        result, refused = self._done(name, call, args, kwargs)
        if fate == "repeated":
            actor.stop(f"between two tries of {name}")
            if name != "commit" or refused:
                result, refused = self._done(name, call, args, kwargs)
        if fate == "crash after":
            raise CrashError(f"after {name}")
        if fate == "slow":
            actor.stop(f"after {name}")
        if fate == "lost":
            raise UnavailableError(f"the answer of {name} was lost: rehearsed")
        if refused:
            raise refused
        return result

    def _done(self, name, call, args, kwargs):
        try:
            result = self._seen(name, partial(call, *args, **kwargs), args)
        except ConditionFailed as refused:
            return None, refused
        # A listing is read when it is asked for, not when its first row is looked at.
        return iter(list(result)) if name == "due" else result, None
