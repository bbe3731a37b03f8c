"""Measures processes on this machine: artifact sizes, cold starts, warm requests and batches."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from evidence.bench import artifacts
from evidence.bench.figures import RUNS, Cost, Figure, median, ratio
from evidence.bench.rows import HOOKED
from tools.failure import ToolFailure
from tools.paths import BUILD, ROOT

Command = tuple[list[str], dict[str, str]]
"""Arguments and environment."""

MEGABYTE = 1024 * 1024

WARM = (
    *("get_effective_configuration", "warm"),
    str(ROOT / "events" / "get_effective_configuration.json"),
)
"""A function, and the kind and subject of its turns."""

BUDGET = 1.7
"""Of the API's cold starts: record 19 derives it."""


def sizes() -> Iterator[Figure]:
    """Yield the size of each zip file that holds libraries: both layers, and one function."""
    for file in sorted(BUILD.glob("*.zip")):
        size = file.stat().st_size / MEGABYTE
        budget = 12 if file.stem == "ResolverLayer" else None
        yield Figure(row="sizes", what=f"{file.stem}, zipped", value=size, unit="MB", budget=budget)


def cold() -> Iterator[Figure]:
    """Yield the cold start of each function, relative to a process that makes one boto3 client."""
    functions = artifacts.functions()
    with fake_server() as address:
        commands = {name: start_of(name, address) for name in measured_functions()}
        path = artifacts.search_path("get_effective_configuration")
        floor = (artifacts.isolated(path, "floor"), artifacts.SETTINGS)
        costs = interleaved({"floor": floor, **commands})
    milliseconds = {name: median(each).cpu * 1000 for name, each in costs.items()}
    yield Figure(row="cold", what="floor: one client", value=milliseconds["floor"], unit="ms")
    for name in commands:
        over = ratio(costs[name], costs["floor"])
        yield Figure(
            row="cold", what=f"{name} / floor", value=over.cpu, wall=over.wall,
            budget=BUDGET if functions[name]["is_api"] else 1.8,
            note=f"{milliseconds[name]:.0f} ms",
        )  # fmt: skip


def measured_functions() -> list[str]:
    """Return the functions whose cold start a caller or a receiver waits for."""
    others = {"deliver_messages", "authorize_request"}
    functions = artifacts.functions().items()
    return [name for name, parts in functions if parts["is_api"] or name in others]


def start_of(function: str, address: str) -> Command:
    """Return the process that imports a function and handles its sample event."""
    sample = str(ROOT / "events" / f"{function}.json")
    command = artifacts.isolated(artifacts.search_path(function), "first_request", sample)
    return command, artifacts.settings(f"{address}/{function}")


def warm() -> Iterator[Figure]:
    """Yield the cost of a warm GET, relative to the DynamoDB read that it contains."""
    with fake_server() as address:
        runs = [turns(address, *WARM, "12", "40") for _ in range(RUNS)]
    over = ratio(*([cost for run in runs for cost in run[name]] for name in ("get", "bare")))
    what = "GET effective configuration / bare GetItem"
    yield Figure(row="warm", what=what, value=over.cpu, budget=1.5, wall=over.wall)


def batch() -> Iterator[Figure]:
    """Yield the wall time of a batch of ten, relative to one message, with slow receivers."""
    with fake_server() as address:
        taken = turns(address, "deliver_messages", "batch", f"{HOOKED}100", str(2 * RUNS), "1")
    over = ratio(taken["ten"], taken["one"]).wall
    what = "10 messages to receivers of 100 ms / one"
    note = "judged by wall time"
    yield Figure(row="batch", what=what, value=over, budget=1.5, wall=over, note=note)


def turns(address: str, function: str, *arguments: str) -> dict[str, list[Cost]]:
    """Run calls of a warm function in turn: kind, its subject, turns, and calls in each."""
    command = artifacts.isolated(artifacts.search_path(function), "turns", *arguments)
    taken = json.loads(last_line((command, artifacts.settings(address))))
    return {name: [Cost(*cost) for cost in costs] for name, costs in taken.items()}


def worker() -> Iterator[Figure]:
    """Yield the cost of a webhook, relative to a plain loop of requests."""
    with fake_server() as address:
        command = webhooks(f"{address}/hook/0", 200)
        runs = [json.loads(last_line(command)) for _ in range(RUNS)]
    ours, plain = ([Cost(*run[name]) for run in runs] for name in ("worker", "session"))
    over = ratio(ours, plain)
    note = " / ".join(f"{median(each).cpu * 1000:.2f} ms" for each in (ours, plain))
    what = "processor time per webhook / requests.Session loop"
    yield Figure(row="worker", what=what, value=over.cpu, budget=2, wall=over.wall, note=note)


def webhooks(url: str, count: int) -> Command:
    """Return the process that sends so many webhooks, as the worker does and as a plain loop."""
    script = str(Path(__file__).with_name("inside") / "worker.py")
    return [sys.executable, "-B", script, url, str(count)], {"PYTHONPATH": str(ROOT)}


# Processes ----------------------------------------------------------------------------------------


def interleaved(commands: Mapping[str, Command], runs: int = RUNS) -> dict[str, list[Cost]]:
    """Time processes in turn, so that other load on the machine affects all of them.

    A first round fills the file cache and does not count.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(1 + runs):
        for name, command in commands.items():
            costs[name].append(timed(command))
    return {name: each[1:] for name, each in costs.items()}


def timed(command: Command) -> Cost:
    """Run a process to its end and return its cost."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    last_line(command)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def last_line(command: Command) -> str:
    """Run a process and return the last line that it printed; ``ToolFailure`` if it failed."""
    arguments, environment = command
    done = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode:
        raise ToolFailure(f"A measured process failed:\n{done.stderr}")
    return done.stdout.rpartition("\n")[0].rpartition("\n")[2]


@contextmanager
def fake_server() -> Iterator[str]:
    """Run ``fake_server`` in its own process; yield its address."""
    command = [sys.executable, "-m", "evidence.bench.fake_server"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
