"""Failures that a person reads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import ParamSpec

from tools.paths import ROOT

P = ParamSpec("P")


class ToolFailure(Exception):  # noqa: N818 - a person reads it as a sentence, not as a type
    """Say what went wrong and what to do about it, without a stack trace."""


def reported(main: Callable[P, int]) -> Callable[P, int]:
    """Decorate a command: it prints its failure and returns 1, or 130 if it was interrupted."""

    @wraps(main)
    def command(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except ToolFailure as failure:
            print(f"error: {failure}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130

    return command


def run_logged(
    what: str, command: list[str], log: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Run a program with its output in a log; show the end of the log only if it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        told = complaint(log.read_text())
        raise ToolFailure(f"{what} failed:\n{told}\n(all of it: {short(log)})")


def complaint(log: str) -> str:
    """Return what a log says of a failure: from SAM's `Error:` on, else the last 30 lines.

    Where single resources failed, why is in the table of events before it.
    """
    before, error, after = log.rpartition("\nError:")
    told = f"Error:{after}" if error and "_FAILED" not in before else log
    return "\n".join(told.splitlines()[-30:])


def short(path: Path) -> str:
    """Name a file as seen from the checkout, where that is shorter."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
