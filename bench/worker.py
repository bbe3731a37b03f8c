"""The worker's processor time for one webhook, beside a plain loop and beside Apprise."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench import comparison
from bench.figures import RUNS, Budget, Cost, Figure, median, ratio
from bench.processes import fake_server, last_line
from bench.rows import CONTENT, SUBJECT
from tools.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

OVER_LOOP = Budget(2)
OVER_APPRISE = Budget(1, at_least=True)
COUNT = 200
"""Deliveries of one run."""


def figures() -> Iterator[Figure]:
    """Yield the cost of a webhook over a loop's, and the deliveries for a second over Apprise's."""
    inside = Path(__file__).with_name("inside")
    ours, theirs = [sys.executable, "-B"], comparison.python()
    scripts = {
        "worker": [*ours, str(inside / "worker.py")],
        "session": [*ours, str(inside / "session.py")],
        "apprise": [*theirs, str(inside / "apprise_notify.py")],
    }
    costs: dict[str, list[Cost]] = {name: [] for name in scripts}
    with fake_server() as address, tempfile.NamedTemporaryFile("w", suffix=".json") as content:
        json.dump({"subject": SUBJECT, "content": CONTENT}, content)
        content.flush()
        environment = {"CONTENT": content.name, "PYTHONPATH": str(ROOT)}
        for _ in range(RUNS):
            for name, script in scripts.items():
                command = [*script, f"{address}/hook/0", str(COUNT)]
                costs[name].append(Cost(*json.loads(last_line((command, environment)))))
    milliseconds = {name: median(each).cpu * 1000 for name, each in costs.items()}
    over = ratio(costs["worker"], costs["session"])
    yield Figure(
        row="worker", what="processor time per webhook / requests.Session loop",
        value=over.cpu, budget=OVER_LOOP, wall=over.wall,
        note=f"{milliseconds['worker']:.2f} ms / {milliseconds['session']:.2f} ms",
    )  # fmt: skip
    rate = ratio(costs["apprise"], costs["worker"])
    yield Figure(
        row="worker", what="deliveries per processor second / Apprise's",
        value=rate.cpu, budget=OVER_APPRISE, wall=rate.wall,
        note=f"Apprise {milliseconds['apprise']:.2f} ms",
    )  # fmt: skip
