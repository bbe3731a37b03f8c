"""`make chaos`: the whole service under faults, crashes and failing receivers."""

from __future__ import annotations

import json
import os
import random
import signal
import sys

from tools.chaos.report import figures, report
from tools.chaos.run import Plan, run
from tools.failure import ToolFailure
from tools.narrator import Narrator, terminal
from tools.paths import LOCAL

HOME = LOCAL / "chaos"


def main() -> int:
    """Run with CHAOS_SEED and CHAOS_DELIVERIES, by default a random seed and 2,000."""
    # SIGTERM too has to stop everything that was started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    narrator = Narrator(terminal())
    try:
        plan = Plan(
            seed=_number("CHAOS_SEED", random.randrange(10**6)),  # noqa: S311 - no secret
            deliveries=_number("CHAOS_DELIVERIES", 2000),
        )
        narrator.scene(f"Chaos, CHAOS_SEED={plan.seed}")
        outcome = run(plan, HOME, narrator.says)
    except ToolFailure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    holds = report(outcome, narrator)
    path = HOME / "figures.json"
    path.write_text(json.dumps(figures(outcome), indent=2) + "\n")
    narrator.ends(f"{'All promises hold' if holds else 'Promises are broken'}: {path}")
    return 0 if holds else 1


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ToolFailure(f"{variable}={text} is not a number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
