"""`make chaos`: the whole service under faults, crashes and failing receivers."""

from __future__ import annotations

import json
import random
import signal
import sys

from evidence.chaos.run import Plan, run
from tools.cloud import number
from tools.failure import reported
from tools.paths import LOCAL

HOME = LOCAL / "chaos"

EXAMPLES = 5
"""Cases that are printed of each broken promise."""


@reported
def main() -> int:
    """Run with CHAOS_SEED and CHAOS_DELIVERIES, by default a random seed and 2,000."""
    # SIGTERM has to stop all started processes, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    plan = Plan(
        seed=number("CHAOS_SEED", random.randrange(1, 10**6), most=10**18),  # noqa: S311 - no secret
        deliveries=number("CHAOS_DELIVERIES", 2000, most=10**6),
    )
    print(f"Chaos, CHAOS_SEED={plan.seed}")
    outcome = run(plan, HOME, print)
    path = HOME / "figures.json"
    shown = json.dumps(outcome.figures, indent=2)
    path.write_text(shown + "\n")
    print(shown)
    for promise, cases in outcome.broken.items():
        print(f"{'BROKEN' if cases else 'kept'}  {promise}")
        for case in cases[:EXAMPLES]:
            print(f"        {case}")
    is_broken = any(outcome.broken.values())
    print(f"{'Promises are broken' if is_broken else 'All promises hold'}: {path}")
    return int(is_broken)


if __name__ == "__main__":
    sys.exit(main())
