"""Measure all rows, or the named ones: `python -m evidence.bench [ROW…]`."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from evidence.bench import cloud, processes
from evidence.bench.figures import RUNS, Figure
from tools.build import build
from tools.failure import ToolFailure
from tools.paths import LOCAL

ROWS: dict[str, Callable[[], Iterable[Figure]]] = {
    "sizes": processes.sizes,
    "cold": processes.cold,
    "warm": processes.warm,
    "batch": processes.batch,
    "worker": processes.worker,
    "cloud": cloud.figures,
}

RESULTS = LOCAL / "bench.json"

CAPTION = (
    f"Ratios of medians of {RUNS} runs, in turn with the process that each is compared with. "
    "Processor time is judged, because a busy machine hardly changes it."
)


def measure(names: Iterable[str]) -> tuple[list[Figure], bool]:
    """Measure rows; tell whether all of them could be measured."""
    figures: list[Figure] = []
    is_complete = True
    for name in names:
        print(f"bench: {name} …", flush=True)
        try:
            figures += ROWS[name]()
        except ToolFailure as failure:
            print(f"error: {failure}", file=sys.stderr)
            is_complete = False
    return figures, is_complete


def table(figures: Sequence[Figure]) -> Table:
    """Return the table."""
    shown = Table("row", "what", "measured", "budget", "wall", "verdict", "note", caption=CAPTION)
    for figure in figures:
        wall = "" if figure.wall is None else f"{figure.wall:.3g}"
        budget = "" if figure.budget is None else f"≤ {figure.budget:g}"
        shown.add_row(
            *(figure.row, figure.what, f"{figure.value:.3g} {figure.unit}"),
            *(budget, wall, figure.verdict, figure.note),
        )
    return shown


def main(names: list[str]) -> int:
    """Measure, print and store; 1 if a budget is broken, 2 if a row could not be measured."""
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        print(f"error: no such row: {', '.join(unknown)}. Rows: {', '.join(ROWS)}", file=sys.stderr)
        return 2
    try:
        build()
    except ToolFailure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 2
    figures, is_complete = measure(names or ROWS)
    Console(width=None if sys.stdout.isatty() else 150).print(table(figures))
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "figures": [asdict(figure) | {"verdict": figure.verdict} for figure in figures],
    }
    RESULTS.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    if not is_complete:
        return 2
    return int(any(figure.verdict == "BROKEN" for figure in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
