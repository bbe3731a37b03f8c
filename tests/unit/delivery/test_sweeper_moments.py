"""The sweeper decides by one moment: time that passes during a sweep changes no decision."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import pytest

from dispatcher.delivery.perform import DeliveryContext
from dispatcher.delivery.sweeper import Sweeper
from tests.fakes import FakeClock, FakeIdGenerator, MemoryDoorbells, MemoryEventLog, MemoryTable
from tests.rows import DELIVERY, NOW, claimed, message


@dataclass
class TickingClock(FakeClock):
    """A clock that goes on by 10 ms whenever it is read."""

    def now(self):
        """Return the time and go on."""
        now = super().now()
        self.advance(0.01)
        return now


@pytest.mark.parametrize(
    "row",
    [
        message(replace(DELIVERY, due_at=NOW + 900.005), sweep_at=NOW - 55),
        claimed(message(), lease_until=NOW + 0.005, sweep_at=NOW - 55),
    ],
    ids=["due within reach a moment later", "lease over a moment later"],
)
def test_a_row_counts_as_rung_only_after_a_ring(row):
    """A stamp without a ring would leave the row unattended until a minute after its due time."""
    table = MemoryTable(overrides=None)
    table.put(row)
    context = DeliveryContext(
        messages=table,
        doorbells=MemoryDoorbells(),
        clock=TickingClock(NOW),
        id_generator=FakeIdGenerator(),
        event_log=MemoryEventLog(),
        retention=0.0,
    )

    Sweeper(context=context)._serve(row, Counter())

    [stored] = table.messages()
    assert (context.doorbells.rung, stored.rings) == ([], 0)
    assert stored.sweep_at == NOW + 0.005
