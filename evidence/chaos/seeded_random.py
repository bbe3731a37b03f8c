"""Random numbers that depend on the seed and the question, not on the order of the questions."""

from __future__ import annotations

import hashlib


def roll(seed: int, *question: object) -> float:
    """Return a number of at least 0 and below 1: the same one in every run with this seed."""
    text = "|".join(map(str, (seed, *question)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7]) / 2**56
