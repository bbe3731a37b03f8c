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
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change: a text that occurs once in a module, and what is written in its place."""

    module: str
    before: str
    after: str


def transitions(before: str, after: str) -> Mutation:
    """Change the rules."""
    return Mutation("delivery/transitions.py", before, after)


def perform(before: str, after: str) -> Mutation:
    """Change the loop."""
    return Mutation("delivery/perform.py", before, after)


MUTATIONS = {
    "a lease of 61 s": transitions("LEASE = 60.0", "LEASE = 61.0"),
    "rings up to 899 s ahead": transitions("SQS_DELAY = 900", "SQS_DELAY = 899"),
    "Retry-After up to two days": transitions("_AFTER = 86_400.0", "_AFTER = 172_800.0"),
    "4 unknown outcomes forgiven": transitions("FORGIVEN = 3", "FORGIVEN = 4"),
    "third back-off of 300 s": transitions("120.0, 240.0", "120.0, 300.0"),
    "grace of 30 s": transitions("GRACE = 60.0", "GRACE = 30.0"),
    "no margin after the identity": transitions("_MARGIN = 3600.0", "_MARGIN = 0.0"),
    "a log of 24 entries": transitions("LOG_LENGTH = 25", "LOG_LENGTH = 24"),
    "older details of 81 bytes": transitions("_DETAIL = 300, 80", "_DETAIL = 300, 81"),
    "waiting in every round": transitions("delivery.round == 1", "delivery.round >= 1"),
    "900 s do not fit SQS": transitions(
        "due_at - now <= LONGEST_SQS_DELAY", "due_at - now < LONGEST_SQS_DELAY"
    ),
    "a lease is live at its end": transitions("row.lease_until > now", "row.lease_until >= now"),
    "an expired claim is no reason to ring": transitions(
        "or row.owner is not None)", "or row.owner is None)"
    ),
    "one attempt too many": transitions(
        "FORGIVEN) < delivery.max_attempts", "FORGIVEN) <= delivery.max_attempts"
    ),
    "all unknown outcomes forgiven": transitions("min(delivery.unknown,", "max(delivery.unknown,"),
    "the row is deleted before its request": transitions(
        "request.ttl + IDENTITY_MARGIN", "request.ttl - IDENTITY_MARGIN"
    ),
    "a lost attempt begins at the lease's end": transitions("or now) - LEASE", "or now) + LEASE"),
    "an SMS is sent again": transitions("if not catalogue()", "if catalogue()"),
    "an attempt without a budget": transitions(
        "elif not may_attempt(unknown)", "elif may_attempt(unknown)"
    ),
    "due is after now": transitions(
        "in _open(row) if due_at <= now", "in _open(row) if due_at < now"
    ),
    "the last due time first": transitions("place = min(due)[1]", "place = max(due)[1]"),
    "a foreign token records": transitions(
        "row.owner != token or row.current", "row.owner != token and row.current"
    ),
    "a give-back costs a try": transitions("delivery.tries - 1", "delivery.tries - 0"),
    "the shorter delay wins": transitions(
        "max(delivery.retry_delay_seconds, asked_for)",
        "min(delivery.retry_delay_seconds, asked_for)",
    ),
    "a retry at expires_at expires": transitions(
        "due_at > row.expires_at", "due_at >= row.expires_at"
    ),
    "a cancel rings if nothing changed": transitions(
        "next_due(row) != next_due(step.row)", "next_due(row) == next_due(step.row)"
    ),
    "a row is reopened at its ttl": transitions("row.ttl <= now", "row.ttl < now"),
    "a dead letter for the failed round": transitions(
        "row.delivery_id(place), delivery.round + 1", "row.delivery_id(place), delivery.round + 0"
    ),
    "sweep_at always moves": transitions("wanted - GRACE <= present", "wanted - GRACE < present"),
    "a cancel moves sweep_at later": transitions(
        "<= wanted and not moves_later", "<= wanted and moves_later"
    ),
    "the shorter lifetime wins": transitions(
        "max(now + retention, row.keep_until)", "min(now + retention, row.keep_until)"
    ),
    "a success owes a dead letter": transitions(
        "ending.status == Status.FAILED and", "ending.status == Status.FAILED or"
    ),
    "every success skips the siblings": transitions(
        'if succeeded and row.mode == "first_success"',
        'if succeeded or row.mode == "first_success"',
    ),
    "eleven refusals": perform("MOST_REFUSALS = 10", "MOST_REFUSALS = 11"),
    "no claim at exactly 30 s": perform("remaining() >= TIME_TO", "remaining() > TIME_TO"),
    "a repeat too late": perform("TIME_TO_WRITE + pause", "TIME_TO_WRITE - pause"),
    "pauses of up to 4 s": perform("LONGEST_PAUSE = 0.05, 2.0", "LONGEST_PAUSE = 0.05, 4.0"),
    "a ring although a worker holds the claim": perform(
        "due_at is None or row.owner is not None", "due_at is None or row.owner is None"
    ),
    "a claim is recognized without its token": perform(
        "before.owner} and stored", "before.owner} or stored"
    ),
    "a round is recognized without its token": perform(
        "old.opened_by and now", "old.opened_by or now"
    ),
}
"""The changes by what they do wrong."""


def main(tests: list[str]) -> int:
    """Print for each change whether the tests catch it; return 1 if too many survive."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as threads:
        if _run(Path(folder) / "unchanged", tests) != "survived":
            print("The tests fail without a change.", file=sys.stderr)
            return 1
        results = threads.map(
            lambda pair: _run(Path(folder) / str(pair[0]), tests, pair[1]),
            enumerate(MUTATIONS.values()),
        )
        counts = {"caught": 0, "survived": 0}
        for name, mutation, result in zip(MUTATIONS, MUTATIONS.values(), results, strict=True):
            counts[result] += 1
            where = f"{mutation.module}: {mutation.before} → {mutation.after}"
            print(f"{result:<8}  {name:<42}  {where}", flush=True)
    print(f"{counts['caught']} of {len(MUTATIONS)} changes were caught; {ENOUGH} must be.")
    return int(counts["caught"] < ENOUGH)


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
