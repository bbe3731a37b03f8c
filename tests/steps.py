"""Actors: work that stands still at every call of a port until its driver lets it go on.

So the driver decides which actor is next, which call meets a fault, and which process ends where.
One thread runs at a time, so a run is the same every time. Two drivers use this: the state machine
of ``tests/unit/delivery/test_promises.py`` and the scenario player of ``tests/player.py``.
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
"""Seconds of real time after which an actor that neither stops nor ends has hung."""

READ_TIMEOUT = 3.0
"""Seconds after which the SDK gives up waiting for a response."""

FATES = ("throttled", "lost", "repeated", "slow", "crash", "crash after")
"""The fates of a call, beside the empty one.

``throttled``: no effect, and the SDK gives up. ``lost``: the effect, no response, and the SDK gives
up. ``repeated``: the effect, no response, and the SDK calls again, which is another stop. ``slow``:
the effect, and a stop before the response. ``crash`` and ``crash after``: the process ends before
or after the effect.
"""

_here = threading.local()


def acting() -> Actor:
    """Return the actor whose thread this is."""
    actor: Actor = _here.actor
    return actor


class CrashError(BaseException):
    """The process ended here."""


class Actor:
    """One piece of work, from stop to stop.

    Between two stops the driver decides; ``wants`` holds the seconds that the actor waits for on
    its own account (a pause, a send), and is ``None`` at a stop.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Any],
        clock: FakeClock,
        *,
        skew: float = 0.0,
        until: float = math.inf,
    ) -> None:
        self.name = name
        self.skew = skew
        self.until = until
        """When the invocation times out."""
        self.at = "the beginning"
        self.wants: float | None = None
        self.started_at = clock.seconds
        self.done = False
        self.crashed = False
        self.error: Exception | None = None
        self.result: Any = None
        self._work = work
        self._clock = clock
        self._fate = ""
        self._thread: _Thread | None = None
        self._stood = 0.0
        self._since = clock.seconds

    def __repr__(self) -> str:
        """Name the actor and where it stands."""
        return f"<{self.name} {'done' if self.done else self.at}>"

    @property
    def stood(self) -> float:
        """The seconds that it stood still so far, beside those it waited for."""
        if self.done:
            return self._stood
        return self._stood + self._clock.seconds - self._since - (self.wants or 0.0)

    def go_on(self, fate: str = "") -> None:
        """Meet this fate at the stop, then go on to the next stop, the next wait or the end."""
        self._stood, self._since = self.stood, self._clock.seconds
        self._fate, self.wants = fate, None
        if self._thread is None:
            self._thread = _Thread.take()
        self._thread.go_on(self)

    def stop(self, at: str) -> str:
        """Stand still; return the fate to meet here, unless the process ends."""
        self.at = at
        self._rest()
        return self._fated()

    def wait(self, seconds: float) -> None:
        """Let some time pass; the process may end meanwhile."""
        self.at, self.wants = f"waiting for {seconds:.2f} s", seconds
        self._rest()
        self._fated()

    def _rest(self) -> None:
        self._since = self._clock.seconds
        assert self._thread
        self._thread.rest()

    def _fated(self) -> str:
        if self._fate == "crash":
            raise CrashError(self.at)
        return self._fate

    def run(self) -> None:
        """Do the work; for the thread alone."""
        try:
            self._fated()
            self.result = self._work()
        except CrashError:
            self.crashed = True
        except Exception as error:  # noqa: BLE001 - the driver asks for it
            self.error = error
        finally:
            self.done = True


class _Thread:
    """A thread that runs actors, one after the other: thousands begin in a run."""

    _idle: list[_Thread] = []  # noqa: RUF012 - one list for all threads, on purpose

    def __init__(self) -> None:
        self._actor: Actor | None = None
        self._turn, self._back = threading.Lock(), threading.Lock()
        self._turn.acquire()
        self._back.acquire()
        threading.Thread(target=self._serve, daemon=True).start()

    @classmethod
    def take(cls) -> _Thread:
        """Return a thread that has nothing to do."""
        return cls._idle.pop() if cls._idle else cls()

    def go_on(self, actor: Actor) -> None:
        """Let the actor run until it rests or ends."""
        self._actor = actor
        self._turn.release()
        if not self._back.acquire(timeout=PATIENCE):
            raise AssertionError(f"{actor} hangs")

    def rest(self) -> None:
        """Hand control back to the driver, and wait for the next turn."""
        self._back.release()
        self._turn.acquire()

    def _serve(self) -> None:
        while True:
            self._turn.acquire()
            _here.actor = self._actor
            assert self._actor
            self._actor.run()
            self._actor = _here.actor = None
            self._idle.append(self)
            self._back.release()


class SkewedClock(FakeClock):
    """One time for all, which each actor reads off its own clock."""

    def now(self):
        """Return the time that the actor's clock shows."""
        return round(self.seconds + acting().skew, 3)

    def pause(self, seconds):
        """Let the actor wait."""
        acting().wait(seconds)


class ActorLock:
    """A lock of one process whose holder may stand still: the others wait for it."""

    def __init__(self) -> None:
        self._held = False

    def __enter__(self) -> None:
        """Wait until it is free, and hold it."""
        while self._held:
            acting().wait(0.5)
        self._held = True

    def __exit__(self, *_: object) -> None:
        """Free it."""
        self._held = False


class Gate:
    """Wraps a port: each call of one of the given names is a stop, where it meets its fate.

    ``seen(name, call, args)`` makes the call, so that a test can inspect its changes.
    """

    def __init__(self, port, *names: str, seen=lambda _name, call, _args: call()) -> None:
        self._port = port
        self._names = names
        self._seen = seen

    def __getattr__(self, name):
        """Return the port's own attribute, behind the gate if its name was given."""
        call = getattr(self._port, name)
        return partial(self._call, name, call) if name in self._names else call

    def _call(self, name, call, *args, **kwargs):
        actor, fate = acting(), "repeated"
        while fate == "repeated":
            fate = actor.stop(f"before {name}")
            if fate == "throttled":
                raise UnavailableError(f"{name} was throttled: rehearsed")
            refused = None
            try:
                result = self._seen(name, partial(call, *args, **kwargs), args)
            except ConditionFailed as error:
                refused = error
            if fate in {"lost", "repeated"}:
                actor.wait(READ_TIMEOUT)
        if fate == "lost":
            raise UnavailableError(f"the response of {name} was lost: rehearsed")
        if fate == "crash after":
            raise CrashError(f"after {name}")
        if fate == "slow":
            actor.stop(f"after {name}")
        if refused:
            raise refused
        return result
