"""Random numbers that depend on the seed and the question, not on the order of the questions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeededRandom:
    """The same question has the same number in every run with this seed."""

    seed: int

    def roll(self, *question: object) -> float:
        """Return a number of at least 0 and below 1."""
        text = "|".join(map(str, (self.seed, *question)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7]) / 2**56
