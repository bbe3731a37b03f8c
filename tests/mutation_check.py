"""Check that the unit tests notice a wrong operator or constant in the heart of the delivery.

``python -m tests.mutation_check [TEST …]`` makes 40 changes, one at a time, in a copy of the
package, and runs the tests against each. It fails below 38 caught changes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from tools.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

ENOUGH = 38
"""Changes that the tests must catch."""

PACKAGE = ROOT / "layers" / "resolver" / "dispatcher"
OTHER_PACKAGES = (ROOT / "layers" / "channels", ROOT / "cli")

TESTS = (
    # The tests of the changed modules come first: they catch most changes within a second.
    "tests/unit/delivery/test_transitions.py",
    "tests/unit/delivery/test_perform.py",
    "tests/unit/delivery",
    "tests/adapters/test_items.py",
)

LONGEST_RUN = 600
"""Seconds after which a run counts as an endless loop."""

PASSED, FAILED = 0, 1
"""Exit codes of pytest; any other one means that the tests did not run."""

CHANGES: Mapping[str, list[str]] = yaml.safe_load((ROOT / "tests/data/mutations.yaml").read_text())


class Mutation(NamedTuple):
    """One change of a module."""

    module: str
    before: str
    after: str


def mutations(changes: Mapping[str, list[str]]) -> list[Mutation]:
    """Read changes."""
    return [
        Mutation(module, *change.split(" => "))
        for module, each in changes.items()
        for change in each
    ]


def main(tests: list[str]) -> int:
    """Print for each change whether the tests catch it; return 1 if too many survive."""
    wanted = mutations(CHANGES)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as threads:
        if _run(Path(folder) / "unchanged", tests) != "survived":
            print("The tests fail without a change.", file=sys.stderr)
            return 1
        results = threads.map(
            lambda pair: _run(Path(folder) / str(pair[0]), tests, pair[1]), enumerate(wanted)
        )
        caught = 0
        for mutation, result in zip(wanted, results, strict=True):
            caught += result == "caught"
            print(f"{result:<8}  {' | '.join(mutation)}", flush=True)
    print(f"{caught} of {len(wanted)} changes were caught; {ENOUGH} must be.")
    return int(caught < ENOUGH)


def mutated(mutation: Mutation, text: str) -> str:
    """Return a module's text with the change; ``ValueError`` unless it applies exactly once."""
    count = text.count(mutation.before)
    if count != 1:
        raise ValueError(f"{mutation.module} contains {mutation.before!r} {count} times, not once.")
    return text.replace(mutation.before, mutation.after)


def _run(folder: Path, tests: list[str], mutation: Mutation | None = None) -> str:
    """Run the tests against a copy of the package: ``caught``, or ``survived`` if they pass."""
    package = folder / PACKAGE.name
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    if mutation:
        module = package / mutation.module
        module.write_text(mutated(mutation, module.read_text()))
    paths = os.pathsep.join(map(str, (folder, *OTHER_PACKAGES)))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    try:
        run = subprocess.run(
            [*command, *(tests or TESTS)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": paths},
            timeout=LONGEST_RUN,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "caught"
    if run.returncode not in {PASSED, FAILED}:
        raise RuntimeError(f"The tests did not run against {mutation}:\n{run.stdout}{run.stderr}")
    return "caught" if run.returncode == FAILED else "survived"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
