"""An operator during the run, who redrives some dead letters and retries some failed deliveries."""

from __future__ import annotations

import threading
from typing import Self

from dispatcher.delivery.doorbells import DeadLetter
from evidence.chaos.ledger import Ledger
from evidence.chaos.seeded_random import SeededRandom
from evidence.chaos.stores import Stores
from evidence.chaos.traffic import Caller

REDRIVEN = (0.0, 0.35)
RETRIED = (0.25, 0.6)
RETRIED_NOW = (0.4, 0.6)
"""From which random number to which a dead letter is redriven, and its delivery retried."""

FIRST_NEW_ROUND = 2


class Operator:
    """Works in a thread while its ``with`` block lasts; each delivery gets one new round."""

    def __init__(
        self,
        stores: Stores,
        caller: Caller,
        ledger: Ledger,
        seeded_random: SeededRandom,
        pause: float,
    ) -> None:
        self._pause = pause
        self._stores = stores
        self._caller = caller
        self._ledger = ledger
        self._seeded_random = seeded_random
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._retried: set[DeadLetter] = set()
        self.redriven: set[DeadLetter] = set()
        """Dead letters that were moved to the delivery queue."""

    def __enter__(self) -> Self:
        """Begin to work."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the current call, then stop."""
        self._is_over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._is_over.wait(self._pause):
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
        name = self._ledger.name(letter.delivery_id)
        roll = self._seeded_random.roll("operator", name)
        return letter.round == FIRST_NEW_ROUND and share[0] <= roll < share[1]
