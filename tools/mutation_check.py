"""Check that the unit tests notice a wrong operator or constant in the heart of the delivery.

``python -m tools.mutation_check [TEST …]`` makes 40 changes, one at a time, in a copy of the
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
from typing import NamedTuple

from tools.paths import ROOT

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

CHANGES = """
# delivery/transitions.py
LEASE = 60.0 => LEASE = 61.0
SQS_DELAY = 900 => SQS_DELAY = 899
_AFTER = 86_400.0 => _AFTER = 172_800.0
FORGIVEN = 3 => FORGIVEN = 4
120.0, 240.0 => 120.0, 300.0
GRACE = 60.0 => GRACE = 30.0
_MARGIN = 3600.0 => _MARGIN = 0.0
LOG_LENGTH = 25 => LOG_LENGTH = 24
_DETAIL = 300, 80 => _DETAIL = 300, 81
and delivery.round == 1 => and delivery.round >= 1
due_at - now <= LONGEST_SQS_DELAY => due_at - now < LONGEST_SQS_DELAY
row.lease_until > now => row.lease_until >= now
or row.owner is not None) => or row.owner is None)
FORGIVEN) < delivery.max_attempts => FORGIVEN) <= delivery.max_attempts
min(delivery.unknown, => max(delivery.unknown,
request.ttl + IDENTITY_MARGIN => request.ttl - IDENTITY_MARGIN
or now) - LEASE => or now) + LEASE
if not catalogue() => if catalogue()
elif not may_attempt(unknown) => elif may_attempt(unknown)
in _open(row) if due_at <= now => in _open(row) if due_at < now
place = min(due)[1] => place = max(due)[1]
row.owner != token or row.current => row.owner != token and row.current
after, place, replace(delivery, tries= => after, place, replace(delivery, tries=1 +
max(delivery.retry_delay_seconds, asked_for) => min(delivery.retry_delay_seconds, asked_for)
opens_at > row.expires_at => opens_at >= row.expires_at
step if next_due(row) != next_due(step.row) => step if next_due(row) == next_due(step.row)
row.ttl <= now => row.ttl < now
row.delivery_id(place), delivery.round + 1 => row.delivery_id(place), delivery.round + 0
wanted - GRACE <= present => wanted - GRACE < present
<= wanted and not moves_later => <= wanted and moves_later
max(now + retention, row.keep_until) => min(now + retention, row.keep_until)
ending.status == Status.FAILED and => ending.status == Status.FAILED or
if succeeded and row.mode == "first_success" => if succeeded or row.mode == "first_success"
# delivery/perform.py
MOST_REFUSALS = 10 => MOST_REFUSALS = 11
remaining() >= TIME_TO => remaining() > TIME_TO
TIME_TO_WRITE + pause => TIME_TO_WRITE - pause
LONGEST_PAUSE = 0.05, 2.0 => LONGEST_PAUSE = 0.05, 4.0
due_at is None or row.owner is not None => due_at is None or row.owner is None
before.owner} and stored => before.owner} or stored
old.opened_by and now => old.opened_by or now
"""
"""Modules, each with its changes: a text that occurs once in it, and what is written instead."""


class Mutation(NamedTuple):
    """One change of a module."""

    module: str
    before: str
    after: str


def mutations(changes: str) -> list[Mutation]:
    """Read changes."""
    found, module = [], ""
    for line in changes.split("\n"):
        before, arrow, after = line.partition(" => ")
        if arrow:
            found.append(Mutation(module, before, after))
        else:
            module = line.removeprefix("# ")
    return found


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
