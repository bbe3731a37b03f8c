"""A measurement and its budget."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

RUNS = 11
"""Times that each process is measured, in turn with the one that it is compared with."""


class Cost(NamedTuple):
    """Seconds that one run took."""

    cpu: float
    """User and system time, which other load on the machine hardly changes."""
    wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table; a figure without a budget is not judged."""

    row: str
    what: str
    value: float
    unit: str = "times"
    budget: float | None = None
    """The largest value that is kept."""
    wall: float | None = None
    """The same figure by wall time, which is not judged."""
    note: str = ""

    @property
    def verdict(self) -> str:
        """Return a word on the budget, empty if there is none."""
        if self.budget is None:
            return ""
        return "kept" if self.value <= self.budget else "BROKEN"


def median(costs: Sequence[Cost]) -> Cost:
    """Return the medians of processor and wall time."""
    return Cost(*(statistics.median(times) for times in zip(*costs, strict=True)))


def ratio(costs: Sequence[Cost], floor: Sequence[Cost]) -> Cost:
    """Return the ratio of two medians, by each clock."""
    mine, its = median(costs), median(floor)
    return Cost(mine.cpu / its.cpu, mine.wall / its.wall)
