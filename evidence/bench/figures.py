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


class Budget(NamedTuple):
    """The limit of a figure."""

    limit: float
    at_least: bool = False

    def allows(self, value: float) -> bool:
        """Tell whether a figure keeps the budget."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        """Return it as the table shows it."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table; a figure without a budget is not judged."""

    row: str
    what: str
    value: float
    unit: str = "times"
    budget: Budget | None = None
    wall: float | None = None
    """The same figure by wall time, which is not judged."""
    note: str = ""

    @property
    def verdict(self) -> str:
        """Return a word on the budget, empty if there is none."""
        if self.budget is None:
            return ""
        return "kept" if self.budget.allows(self.value) else "BROKEN"


def median(costs: Sequence[Cost]) -> Cost:
    """Return the medians of processor and wall time."""
    return Cost(*(statistics.median(times) for times in zip(*costs, strict=True)))


def ratio(costs: Sequence[Cost], floor: Sequence[Cost]) -> Cost:
    """Return the ratio of two medians, by each clock."""
    mine, its = median(costs), median(floor)
    return Cost(mine.cpu / its.cpu, mine.wall / its.wall)
