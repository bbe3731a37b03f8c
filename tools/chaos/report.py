"""The findings of a run, for a person and for a program."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tools.chaos.audit import BUDGET, DEAD_LETTERS, DUPLICATES, EARLY, PROMISES

if TYPE_CHECKING:
    from tools.chaos.run import Outcome
    from tools.narrator import Narrator

EXAMPLES = 5
"""Cases that are printed of each broken promise."""


def figures(outcome: Outcome) -> dict[str, Any]:
    """Return everything that was counted and measured, as JSON."""
    found, plan, broken = outcome.findings, outcome.plan, outcome.findings.broken
    return {
        "seed": plan.seed,
        "accepted": outcome.accepted,
        "accepted, without a 202 for the caller": found.unpromised,
        "requests without a message, never accepted": found.never_accepted,
        "requests repeated by the caller": outcome.repeats,
        "success": found.statuses["success"],
        "failed": found.statuses["failed"],
        "skipped": found.statuses["skipped"],
        "lost": found.lost,
        "webhook requests at a receiver": found.webhooks,
        "mailbox writes": found.mailbox_writes,
        "duplicates": dict(sorted(found.duplicates.items())),
        "duplicates without a cause": len(broken.get(DUPLICATES, ())),
        "mailbox rows overwritten": found.overwritten,
        "processes killed": sum(found.crashes.values()),
        "killed": dict(sorted(found.crashes.items())),
        "attempts that died between send and record": found.crashes_between,
        "claims": found.claims,
        "claims given back": found.given_back,
        "attempts without a record": found.unknown,
        "new rounds": found.rounds,
        "AWS calls": outcome.calls.seen,
        "AWS calls, faulty": sum(outcome.calls.faulty.values()),
        "AWS calls, faulty, by kind": dict(sorted(outcome.calls.faulty.items())),
        "AWS calls, faulty, by operation": dict(sorted(outcome.calls.by_operation.items())),
        "deliveries over their budget": len(broken.get(BUDGET, ())),
        "early attempts": len(broken.get(EARLY, ())),
        "retry after it was due, seconds": _rounded(asdict(found.retries)),
        "take-over after the lease, seconds": _rounded(asdict(found.take_overs)),
        "dead letters missing or wrong": len(broken.get(DEAD_LETTERS, ())),
        "dead letters doubled": found.doubled_dead_letters,
        "seconds": _rounded(outcome.times._asdict()),
        "broken": {rule: list(cases) for rule, cases in broken.items() if cases},
    }


def report(outcome: Outcome, narrator: Narrator) -> bool:
    """Print the figures and the promises; tell whether all of them hold."""
    narrator.scene(f"Figures of {outcome.plan.deliveries} deliveries")
    rows: list[tuple[str, object]] = []
    for name, value in figures(outcome).items():
        if name in {"broken", "seed", "AWS calls, faulty, by operation"}:
            continue
        if isinstance(value, dict):
            rows += [(f"{name}: {part}", number) for part, number in value.items()]
        else:
            rows.append((name, value))
    narrator.rows(("", "count"), rows)
    narrator.scene("Promises")
    broken = outcome.findings.broken
    for rule in PROMISES:
        narrator.verdict(rule, broken.get(rule, ()), at_most=EXAMPLES)
    return not any(broken.values())


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in values.items()}
