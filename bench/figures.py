"""The result of a measurement, and whether it keeps its budget."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

RUNS = 11
"""Times that each thing is measured, in turn with what it is compared with."""


class Cost(NamedTuple):
    """Seconds that one run took."""

    cpu: float
    """Of the processor, in user and system mode: the same on a machine that is busy otherwise."""
    wall: float


class Budget(NamedTuple):
    """The allowed range of a figure."""

    limit: float
    at_least: bool = False

    def allows(self, value: float) -> bool:
        """Return whether a figure keeps the budget."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        """Write it as the table shows it."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table; a figure without a budget is there to be read."""

    row: str
    what: str
    value: float
    unit: str = "times"
    budget: Budget | None = None
    wall: float | None = None
    """The same figure by the clock on the wall, which is not judged."""
    note: str = ""

    @property
    def is_broken(self) -> bool:
        """Return whether the budget is not kept."""
        return self.budget is not None and not self.budget.allows(self.value)

    @property
    def verdict(self) -> str:
        """Return a word on the budget, empty where there is none."""
        if self.budget is None:
            return ""
        return "BROKEN" if self.is_broken else "kept"

    def as_json(self) -> dict[str, Any]:
        """Return what results.json holds of it."""
        budget = str(self.budget) if self.budget else None
        return {
            "row": self.row,
            "what": self.what,
            "value": self.value,
            "unit": self.unit,
            "budget": budget,
            "verdict": self.verdict,
            "wall": self.wall,
            "note": self.note,
        }


def median(costs: Sequence[Cost]) -> Cost:
    """Return the medians of processor and wall time."""
    return Cost(
        statistics.median(one.cpu for one in costs), statistics.median(one.wall for one in costs)
    )


def ratio(costs: Sequence[Cost], floor: Sequence[Cost]) -> Cost:
    """Return how many times the floor's median another median is, by each clock."""
    mine, its = median(costs), median(floor)
    return Cost(mine.cpu / its.cpu, mine.wall / its.wall)


def percentile(values: Sequence[float], share: int) -> float:
    """Return the value that ``share`` per cent of all do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def exit_code(figures: Sequence[Figure]) -> int:
    """Return 1 if any budget is broken."""
    return int(any(figure.is_broken for figure in figures))
