"""Chances that depend on the seed and on what is asked about, not on who asks first."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeededRandom:
    """The same questions get the same answers in every run with this seed."""

    seed: int

    def roll(self, *question: object) -> float:
        """Return a number from 0 to 1, without 1."""
        text = "|".join(map(str, (self.seed, *question)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7]) / 2**56
