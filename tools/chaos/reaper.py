"""Decides which workers die at which step, and keeps book of claims, records and deaths."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from tools.chaos.audit import Claim, Crash
from tools.chaos.calls import Call, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.chaos.seeded_random import SeededRandom
    from tools.chaos.workers import Workers

MORTAL = {
    Step.COMMIT: "-SendMessage",
    Step.CLAIM: "-DeliverMessages",
    Step.RECORD: "-DeliverMessages",
    Step.RING: "-DeliverMessages",
    Step.TICKET: "-DeliverMessages",
}
"""Whose process may be killed at a step, by a part of its name: the sweeper, say, rings too."""


class Reaper:
    """Decides who dies where, and remembers; at each step a delivery is hit once at most."""

    def __init__(self, workers: Workers, seeded_random: SeededRandom, share: float) -> None:
        self._workers = workers
        self._seeded_random = seeded_random
        self._share = share
        self._struck: set[tuple[str, str]] = set()
        self._names: dict[str, str] = {}
        self._claims: dict[str, Claim] = {}
        self._latest: dict[str, str] = {}
        self._lock = threading.Lock()
        self.is_on = False
        self.crashes: list[Crash] = []
        self.claimants: dict[str, int] = {}
        """Process by the token of its claim, granted or not."""

    @property
    def claims(self) -> list[Claim]:
        """Return all claims that were granted."""
        with self._lock:
            return [
                replace(claim, pid=self.claimants[token]) for token, claim in self._claims.items()
            ]

    def introduce(self, call: Call) -> None:
        """Learn what deliveries are called in every run: their ids are never the same."""
        with self._lock:
            self._names.update(call.names or {})

    def name_of(self, delivery_id: str) -> str:
        """Return what a delivery is called in every run."""
        with self._lock:
            return self._names.get(delivery_id, delivery_id)

    def strikes(self, step: str, call: Call, peer: Callable[[], int | None]) -> bool:
        """Kill who makes this call if the random numbers say so, if it runs the step's function."""
        return self._strikes(step, call.delivery_id, peer, MORTAL[call.step])

    def strikes_sender(self, step: str, delivery_id: str) -> bool:
        """Kill who holds the claim on a delivery if the random numbers say so."""

        def sender() -> int | None:
            with self._lock:
                return self.claimants.get(self._latest.get(delivery_id, ""))

        return self._strikes(step, delivery_id, sender, MORTAL[Step.CLAIM])

    def _strikes(
        self, step: str, delivery_id: str, find: Callable[[], int | None], function: str
    ) -> bool:
        name = self.name_of(delivery_id)
        if not self.is_on or (step, name) in self._struck:
            return False
        if self._seeded_random.roll("crash", step, name) >= self._share:
            return False
        pid = find()
        if pid is None or function not in self._workers.function(pid):
            return False
        if not self._workers.kill(pid):
            return False
        with self._lock:
            self._struck.add((step, name))
            self.crashes.append(Crash(time.time(), step, pid))
        return True

    def claiming(self, call: Call, pid: int | None) -> None:
        """Note who tries to claim: the answer may be lost, and then it dies."""
        with self._lock:
            # Where a worker gave up waiting, its connection tells nothing: its next one does.
            self.claimants[call.token] = pid or self.claimants.get(call.token, 0)

    def granted(self, call: Call, at: float) -> None:
        """Note a claim."""
        with self._lock:
            self._latest[call.delivery_id] = call.token
            self._claims.setdefault(
                call.token,
                Claim(
                    delivery_id=call.delivery_id,
                    token=call.token,
                    pid=self.claimants[call.token],
                    at=at,
                    lease_until=call.lease_until,
                ),
            )

    def recording(self, call: Call) -> None:
        """Note that a record is tried."""
        with self._lock:
            if claim := self._claims.get(call.token):
                self._claims[call.token] = replace(claim, records=claim.records + 1)

    def recorded(self, call: Call) -> None:
        """Note that a record is written."""
        with self._lock:
            claim = self._claims.get(call.token)
            if claim and claim.recorded_at is None:
                self._claims[call.token] = replace(claim, recorded_at=time.time())
