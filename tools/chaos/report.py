"""What a run came to, for a person and for a program."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tools.chaos.audit import BUDGET, DUPLICATES, EARLY, PROMISES, TICKETS

if TYPE_CHECKING:
    from tools.chaos.run import Outcome
    from tools.narrator import Narrator

EXAMPLES = 5
"""Of each broken promise."""


def figures(outcome: Outcome) -> dict[str, Any]:
    """Return everything that was counted and measured."""
    found, plan = outcome.reckoning, outcome.plan
    return {
        "seed": plan.seed,
        "accepted": outcome.accepted,
        "accepted, without a 202 for the caller": found.unpromised,
        "requests sent again": outcome.repeats,
        "success": found.statuses["success"],
        "failed": found.statuses["failed"],
        "skipped": found.statuses["skipped"],
        "lost": found.lost,
        "duplicates": dict(sorted(found.duplicates.items())),
        "duplicates without an explanation": len(found.broken.get(DUPLICATES, ())),
        "crashes by step": dict(sorted(found.crashes.items())),
        "crashes between send and record": found.crashes_between,
        "tries without a record": found.unknown,
        "AWS calls": outcome.calls.seen,
        "AWS calls, faulty": sum(outcome.calls.faulty.values()),
        "AWS calls, faulty, by kind": dict(sorted(outcome.calls.faulty.items())),
        "AWS calls, faulty, by operation": dict(sorted(outcome.calls.by_operation.items())),
        "deliveries over their budget": len(found.broken.get(BUDGET, ())),
        "early tries": len(found.broken.get(EARLY, ())),
        "retry after it was due, seconds": _rounded(asdict(found.retries)),
        "take-over after the lease, seconds": _rounded(asdict(found.takeovers)),
        "tickets missing or wrong": len(found.broken.get(TICKETS, ())),
        "tickets doubled": found.doubled_tickets,
        "seconds": _rounded(outcome.times._asdict()),
        "broken": {rule: list(each) for rule, each in found.broken.items() if each},
    }


def tell(outcome: Outcome, narrator: Narrator) -> bool:
    """Print the figures and the promises; tell whether all were kept."""
    narrator.scene(f"What {outcome.plan.deliveries} deliveries came to")
    rows: list[tuple[str, object]] = []
    for name, value in figures(outcome).items():
        if name in {"broken", "seed", "AWS calls, faulty, by operation"}:
            continue
        if isinstance(value, dict):
            rows += [(f"{name}: {part}", number) for part, number in value.items()]
        else:
            rows.append((name, value))
    narrator.rows(("", "count"), rows)
    narrator.scene("What was promised")
    broken = outcome.reckoning.broken
    for rule in PROMISES:
        narrator.verdict(rule, broken.get(rule, ()), at_most=EXAMPLES)
    return not any(broken.values())


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in values.items()}
