"""An operator during the run, who redrives some dead letters and retries some failed deliveries."""

from __future__ import annotations

import threading

from dispatcher.delivery.doorbells import DeadLetter
from evidence.chaos.ledger import Ledger
from evidence.chaos.seeded_random import roll
from evidence.chaos.stores import Stores
from evidence.chaos.traffic import Caller

REDRIVEN = (0.0, 0.35)
RETRIED = (0.25, 0.6)
RETRIED_NOW = (0.4, 0.6)
"""From which random number to which a dead letter is redriven, and its delivery retried."""

FIRST_NEW_ROUND = 2


class Operator:
    """Gives each delivery one new round; ``redriven`` are the dead letters that were moved."""

    def __init__(self, stores: Stores, caller: Caller, ledger: Ledger, seed: int) -> None:
        self._stores = stores
        self._caller = caller
        self._ledger = ledger
        self._seed = seed
        self._retried: set[DeadLetter] = set()
        self.redriven: set[DeadLetter] = set()

    def work(self, is_over: threading.Event, pause: float) -> None:
        """Read the dead letters, with a pause before each time, until it is over."""
        while not is_over.wait(pause):
            for letter in self._stores.dead_letters():
                if self._is_chosen(letter, RETRIED) and letter not in self._retried:
                    self._retried.add(letter)
                    now = self._is_chosen(letter, RETRIED_NOW)
                    self._caller.retry(letter.user_id, letter.delivery_id, now=now)
            self._stores.redrive(self._move)

    def _move(self, letter: DeadLetter) -> bool:
        """Return whether to redrive a dead letter; a second copy of it stays."""
        if letter in self.redriven or not self._is_chosen(letter, REDRIVEN):
            return False
        self.redriven.add(letter)
        return True

    def _is_chosen(self, letter: DeadLetter, share: tuple[float, float]) -> bool:
        number = roll(self._seed, "operator", self._ledger.name(letter.delivery_id))
        return letter.round == FIRST_NEW_ROUND and share[0] <= number < share[1]
