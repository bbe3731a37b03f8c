"""A batch of ten messages beside one message, to receivers that take 100 ms each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench import artifacts
from bench.figures import RUNS, Budget, Cost, Figure, ratio
from bench.processes import fake_server, last_line
from bench.rows import HOOKED

if TYPE_CHECKING:
    from collections.abc import Iterator

RECEIVER = 100
OVER_ONE = Budget(1.5)


def figures() -> Iterator[Figure]:
    """Yield how many times as long a batch takes: by the wall clock, since it is about waiting."""
    path = artifacts.search_path("deliver_messages")
    command = artifacts.isolated(path, "batch", f"{HOOKED}{RECEIVER}", str(2 * RUNS))
    with fake_server() as address:
        taken = json.loads(last_line((command, artifacts.settings(address))))
    costs = {size: [Cost(*one) for one in each] for size, each in taken.items()}
    over = ratio(costs["ten"], costs["one"])
    yield Figure(
        row="batch", what=f"10 messages to receivers of {RECEIVER} ms / one",
        value=over.wall, budget=OVER_ONE, wall=over.wall, note="judged by wall time",
    )  # fmt: skip
