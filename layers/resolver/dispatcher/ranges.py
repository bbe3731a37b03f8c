"""Ranges of whole numbers, and the one reader of such numbers from text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """The whole numbers from ``low`` to ``high``, both included and neither negative."""

    low: int
    high: int

    def __contains__(self, number: int) -> bool:
        """Return whether a number is in the range."""
        return self.low <= number <= self.high

    def __str__(self) -> str:
        """Return a phrase for error texts."""
        return f"a whole number from {self.low} to {self.high}"

    def read(self, text: str) -> int | None:
        """Return the number that a text writes in ASCII digits; ``None`` if it is not in range."""
        # isdigit alone accepts the digits of every script, and int() accepts "+5" and "1_0". The
        # length bounds the work of int().
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(self.high))):
            return None
        number = int(text)
        return number if number in self else None
