"""Cold starts: from nothing to the response to the first request, in separate processes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from bench import artifacts, comparison
from bench.figures import Budget, Figure, median, ratio
from bench.processes import fake_server, interleaved
from tools.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.processes import Command


OVER_FLOOR = Budget(1.5)
WORKER_OVER_FLOOR = Budget(1.8)
OVER_YARDSTICK = Budget(0.45)


def figures() -> Iterator[Figure]:
    """Yield the cold start of each function, as a share of the floor and of the yardstick."""
    functions = artifacts.functions()
    with fake_server() as address:
        commands = {
            name: start_of(name, address)
            for name, parts in functions.items()
            if parts["is_api"] or name in {"deliver_messages", "authorize_request"}
        }
        costs = interleaved({"floor": floor(), "yardstick": yardstick(), **commands})
    its = {name: median(each) for name, each in costs.items()}
    for name, what in (
        ("floor", "floor: one boto3 client"),
        ("yardstick", "yardstick: eager, as sam build leaves it"),
    ):
        yield Figure(
            row="cold", what=what, value=its[name].cpu * 1000, unit="ms",
            wall=its[name].wall * 1000,
        )  # fmt: skip
    for name in commands:
        by_floor = ratio(costs[name], costs["floor"])
        budget = OVER_FLOOR if functions[name]["is_api"] else WORKER_OVER_FLOOR
        yield Figure(
            row="cold", what=f"{name} / floor", value=by_floor.cpu, budget=budget,
            wall=by_floor.wall, note=f"{its[name].cpu * 1000:.0f} ms",
        )  # fmt: skip
    slowest = max(
        (name for name in commands if functions[name]["is_api"]), key=lambda name: its[name].cpu
    )
    by_yardstick = ratio(costs[slowest], costs["yardstick"])
    yield Figure(
        row="cold", what=f"slowest API function ({slowest}) / yardstick",
        value=by_yardstick.cpu, budget=OVER_YARDSTICK, wall=by_yardstick.wall,
    )  # fmt: skip


def start_of(function: str, address: str) -> Command:
    """Return the process that imports a function and handles its sample event."""
    sample = str(ROOT / "events" / f"{function}.json")
    path = artifacts.search_path(function)
    command = artifacts.isolated(path, "first_request", sample)
    return command, artifacts.settings(f"{address}/{function}")


def floor() -> Command:
    """Return the process that makes one client."""
    path = artifacts.search_path("get_effective_configuration")
    return artifacts.isolated(path, "floor"), artifacts.SETTINGS


def yardstick() -> Command:
    """Return the process that imports what many do, without bytecode."""
    packages = comparison.packages()
    for compiled in packages.rglob("__pycache__"):
        shutil.rmtree(compiled)
    return artifacts.isolated([str(packages)], "yardstick"), artifacts.SETTINGS
