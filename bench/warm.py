"""A warm GET of the effective configuration beside the bare read that it cannot do without."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench import artifacts
from bench.figures import RUNS, Budget, Cost, Figure, ratio
from bench.processes import fake_server, last_line
from tools.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTION = "get_effective_configuration"
OVER_READ = Budget(1.5)


def figures() -> Iterator[Figure]:
    """Yield how many bare reads one GET costs."""
    sample = str(ROOT / "events" / f"{FUNCTION}.json")
    command = artifacts.isolated(artifacts.search_path(FUNCTION), "warm", sample)
    with fake_server() as address:
        runs = [json.loads(last_line((command, artifacts.settings(address)))) for _ in range(RUNS)]
    costs = {name: [Cost(*run[name]) for run in runs] for name in ("get", "bare")}
    over = ratio(costs["get"], costs["bare"])
    yield Figure(
        row="warm", what="GET effective configuration / bare GetItem",
        value=over.cpu, budget=OVER_READ, wall=over.wall,
    )  # fmt: skip
