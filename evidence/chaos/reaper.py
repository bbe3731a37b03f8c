"""Decides which processes are killed at which step."""

from __future__ import annotations

import threading
from typing import Literal

from evidence.chaos.calls import Step
from evidence.chaos.ledger import Ledger
from evidence.chaos.seeded_random import roll
from evidence.chaos.workers import Workers

WORKER = "DeliverMessages"
FACTORS = {
    "SendMessage": 1.0,
    WORKER: 1.0,
    "SweepDeliveries": 0.1,
    "CancelDelivery": 5.0,
    "RetryDelivery": 5.0,
    "UpdatePreferences": 5.0,
}
"""The functions that may be killed, each with a factor of the share.

A single sweep passes hundreds of steps; there are few cancels, retries and changes of preferences.
"""


class Reaper:
    """Kills processes at steps; at each step a message or delivery is hit once at most."""

    def __init__(self, workers: Workers, ledger: Ledger, seed: int, share: float) -> None:
        self.workers = workers
        self.ledger = ledger
        self.seed = seed
        self._share = share
        self._struck: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self.is_on = False
        self.crashes: list[str] = []

    def function(self, pid: int) -> str | None:
        """Return the function that a process runs, if it may be killed."""
        # As deployed, a name has a prefix and a suffix, and may be cut.
        deployed = self.workers.function(pid)
        return next((name for name in FACTORS if f"-{name}" in deployed), None)

    def strikes(
        self, moment: Literal["before", "after"], step: Step, subject: str, pid: int | None
    ) -> bool:
        """Kill the process that makes a step if the random numbers say so; tell whether it was."""
        if not self.is_on or pid is None:
            return False
        function, name = self.function(pid), self.ledger.name(subject)
        if function is None:
            return False
        label = f"{function}: {moment} {step}"
        if (label, name) in self._struck:
            return False
        is_spared = roll(self.seed, "crash", label, name) >= self._share * FACTORS[function]
        if is_spared or not self.workers.kill(pid):
            return False
        with self._lock:
            self._struck.add((label, name))
            self.crashes.append(label)
        return True
