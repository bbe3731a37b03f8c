"""Runs and times whole processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.figures import RUNS, Cost
from tools.failure import ToolFailure
from tools.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO

Command = tuple[list[str], dict[str, str]]
"""Arguments and environment."""


def timed(command: Command) -> Cost:
    """Run a process to its end and return what it cost; ``ToolFailure`` if it failed."""
    arguments, environment = command
    began = time.perf_counter()
    process = subprocess.Popen(
        arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None  # noqa: S101 - for the type checker
    errors = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise ToolFailure(f"A measured process failed:\n{errors}")
    return Cost(used.ru_utime + used.ru_stime, wall)


def interleaved(commands: Mapping[str, Command], runs: int = RUNS) -> dict[str, list[Cost]]:
    """Time every process so many times, in turn, so that other load on the machine meets all alike.

    A first round fills the file cache and does not count.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(-1, runs):
        for name, command in commands.items():
            cost = timed(command)
            if number >= 0:
                costs[name].append(cost)
    return costs


def last_line(command: Command) -> str:
    """Run a process and return the last line that it printed; ``ToolFailure`` if it failed."""
    arguments, environment = command
    done = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode:
        raise ToolFailure(f"A measured process failed:\n{done.stderr}")
    return done.stdout.splitlines()[-1]


@contextmanager
def fake_server() -> Iterator[str]:
    """Run ``bench.fake_server`` in a separate process; yield its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.fake_server"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        output: IO[str] | None = process.stdout
        assert output is not None  # noqa: S101 - for the type checker
        yield output.readline().strip()
    finally:
        process.terminate()
        process.communicate()
