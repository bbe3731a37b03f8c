"""Measure all, or the rows that are named: `python -m bench [ROW…]`."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from bench import comparison
from bench.figures import RUNS, exit_code
from tools.build import build
from tools.failure import ToolFailure
from tools.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figures import Figure

ROWS = ("sizes", "cold", "warm", "batch", "worker", "cloud")
"""Modules of this package, each of which has a function ``figures``."""

COLOURS = {"": "", "kept": "[green]", "BROKEN": "[red]"}

RESULTS = ROOT / "bench" / "results.json"

FOOT = (
    f"Ratios of medians of {RUNS} runs of whole processes, in turn with what they are compared "
    "with. Judged is processor time, user and system, which a busy machine hardly changes; wall "
    "time stands beside. Batches are rounds of one process, the flow is one drain of each consumer."
)


def measure(rows: Sequence[str]) -> tuple[list[Figure], bool]:
    """Measure rows one after the other; tell whether all of them could be measured."""
    figures: list[Figure] = []
    whole = True
    for row in rows:
        began = time.monotonic()
        print(f"bench: {row} …", flush=True)
        try:
            figures += import_module(f"bench.{row}").figures()
        except ToolFailure as failure:
            print(f"error: {failure}", file=sys.stderr)
            whole = False
        print(f"bench: {row} took {time.monotonic() - began:.0f} s", flush=True)
    return figures, whole


def table(figures: Sequence[Figure]) -> Table:
    """Return the one table."""
    shown = Table("row", "what", "measured", "budget", "wall", "", caption=FOOT)
    for index, one in enumerate(figures):
        wall = "" if one.wall is None else f"{one.wall:.3g} {one.unit}"
        verdict = COLOURS[one.verdict] + one.verdict
        last = index + 1 == len(figures) or figures[index + 1].row != one.row
        shown.add_row(
            *(one.row, one.what, f"{one.value:.3g} {one.unit}", str(one.budget or ""), wall),
            " ".join(part for part in (verdict, f"[dim]{one.note}" if one.note else "") if part),
            end_section=last,
        )
    return shown


def main(names: list[str]) -> int:
    """Measure, print, write down; 1 if a budget is broken, 2 if something could not be measured."""
    unknown = sorted(set(names) - set(ROWS))
    if unknown:
        print(f"error: no such row: {', '.join(unknown)}. Rows: {', '.join(ROWS)}", file=sys.stderr)
        return 2
    try:
        build()
    except ToolFailure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 2
    figures, whole = measure(names or ROWS)
    Console(width=None if sys.stdout.isatty() else 150).print(table(figures))
    written = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "figures": [figure.as_json() for figure in figures],
    }
    RESULTS.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n")
    plot = [*comparison.python(), "-m", "bench.plot", str(RESULTS)]
    subprocess.run(plot, cwd=ROOT, check=True)
    return exit_code(figures) if whole else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
