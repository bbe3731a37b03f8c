"""Draw results.json, beside it: `python -m bench.plot FILE`, in the environment of comparisons."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

COLOURS = {"kept": "tab:green", "BROKEN": "tab:red"}


def share(figure: dict[str, Any]) -> float:
    """Return how much of its budget a figure uses; above 1 it is broken."""
    sign, limit = figure["budget"].split()
    used: float = figure["value"] / float(limit)
    return used if sign == "≤" else 1 / used


def draw(results: Path) -> None:
    """Draw what share of each budget is used, and what a deep offset costs."""
    figures = json.loads(results.read_text())["figures"]
    judged = [one for one in figures if one["budget"]][::-1]
    curve = [one for one in figures if one["what"].startswith("read units at offset")]
    drawing, (bars, line) = plt.subplots(
        1, 2, figsize=(14, 0.3 * len(judged) + 2), width_ratios=(3, 2), layout="constrained"
    )
    colours = [COLOURS[one["verdict"]] for one in judged]
    bars.barh(
        [f"{one['row']}: {one['what']}" for one in judged], list(map(share, judged)), color=colours
    )
    bars.axvline(1, color="black", linewidth=1)
    bars.set_xlabel("share of the budget")
    offsets = [int(one["what"].rsplit(" ", 1)[1].replace(",", "")) for one in curve]
    line.plot(offsets, [one["value"] for one in curve], marker="o")
    line.set_xlabel("offset of a page of the history")
    line.set_ylabel("read units")
    drawing.savefig(results.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
