"""The sweeper's minutes, hours and days, on a clock that only this test moves."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import Counter

import pytest

from dispatcher.delivery.outcomes import Permanent, Retry
from dispatcher.responses import rfc3339
from tests.world import USER, World

BUSY = Retry("http_503", "the receiver returned 503")


class Timeline:
    """A world whose sweeper runs every minute and whose queues deliver when their delay is over.

    ``phase`` is when the first sweep begins, in seconds from the beginning. Dead letters stay in
    their queue, and while the workers are ``down`` no doorbell is handled.
    """

    def __init__(self, world: World, phase: float) -> None:
        self.world = world
        self.down = False
        self.rings: list[tuple[float, object]] = []
        self._sweep_at = world.clock.seconds + phase
        self._order = itertools.count()
        self._queue: list[tuple[float, int, object]] = []

    def purge(self) -> None:
        """Lose everything that is in the queues."""
        self.world.doorbells.taken()
        self._queue.clear()

    def until(self, end: float) -> None:
        """Let time pass, and everything happen that falls into it."""
        clock = self.world.clock
        while True:
            for queue, doorbell, delay in self.world.doorbells.taken():
                if queue != "dead_letter":
                    self.rings.append((clock.seconds, doorbell))
                    entry = (clock.seconds + delay, next(self._order), doorbell)
                    heapq.heappush(self._queue, entry)
            ring_at = self._queue[0][0] if self._queue else end + 1
            if min(ring_at, self._sweep_at) > end:
                clock.seconds = end
                return
            clock.seconds = max(clock.seconds, min(ring_at, self._sweep_at))
            if ring_at <= self._sweep_at:
                doorbell = heapq.heappop(self._queue)[2]
                if not self.down:
                    self.world.handle(doorbell)
            else:
                self._sweep_at += 60
                self._sweep()

    def _sweep(self) -> None:
        # Without an overdue row a sweep changes nothing: days have thousands of them.
        now = self.world.clock.now()
        if any((row.sweep_at or now + 1) <= now for row in self.world.table.messages()):
            self.world.sweeper.sweep()


def attempts(world, delivery_id) -> list[float]:
    """Return when each attempt of a delivery began."""
    return [entry.started_at for entry in world.delivery(delivery_id).attempt_log]


# A lost ring --------------------------------------------------------------------------------------

WORST = 59.999
"""Seconds after the beginning: the first sweep just misses a row that is overdue from 60 on."""


@pytest.mark.parametrize("phase", [0.0, 0.001, 30.0, WORST])
@pytest.mark.parametrize("case", ["first", "retry", "delayed first", "freed", "new round"])
def test_a_lost_ring_is_repaired_within_two_minutes(world, case, phase):
    """Whichever ring is lost, and wherever in its minute the sweeper is."""
    world.webhook(retry_delay_seconds=30)
    world.override("TEST", enabled=True, retry_delay_seconds=30)
    match case:
        case "first":
            *_, one = world.send()
        case "retry":
            world.channels["TEST"].outcomes.append(BUSY)
            (one,) = world.send(integration_types=["TEST"])
            world.handle(world.doorbell(one))
        case "delayed first":
            deliver_at = rfc3339(world.clock.now() + 600)
            (one,) = world.send(integration_types=["TEST"], deliver_at=deliver_at)
        case "freed":
            before, one = world.send(mode="first_success")
            world.rounds.cancel(USER, before)
        case "new round":
            world.channels["TEST"].outcomes.append(Permanent("http_404", "no"))
            (one,) = world.send(integration_types=["TEST"])
            world.handle(world.doorbell(one))
            world.rounds.retry(USER, one)
    due_at, sweep_at = world.delivery(one).due_at, world.row(one).sweep_at
    world.clock.seconds = due_at
    timeline = Timeline(world, phase)
    timeline.purge()

    timeline.until(due_at + 120)

    assert 0 < sweep_at - due_at <= 60
    assert world.delivery(one).status == "success"
    first_sweep = phase + 60 * math.ceil((sweep_at - due_at - phase) / 60)
    late = attempts(world, one)[-1] - due_at
    assert late == pytest.approx(first_sweep, abs=0.001)


def test_a_crashed_worker_is_replaced_within_a_minute_of_its_lease(world):
    """Its doorbell was acknowledged or lost with it."""
    (one,) = world.send()
    lease_until = world.another_claims(one).lease_until
    timeline = Timeline(world, WORST)
    timeline.purge()

    timeline.until(lease_until + 60)

    assert world.delivery(one).status == "success"
    assert attempts(world, one)[-1] == pytest.approx(lease_until + WORST)


# Long delays --------------------------------------------------------------------------------------

DELAYS = [901, 959, 960, 961, 1799.5, 1800, 1801, 3600.001]
PHASES = [0, WORST, *(each / 1000 for each in random.Random(900).choices(range(60_000), k=3))]


@pytest.mark.parametrize(
    ("delay", "phase"), [*itertools.product(DELAYS, PHASES), (40_000, 31.7), (86_400, WORST)]
)
def test_a_long_delay_is_kept(world, delay, phase):
    """A first attempt and a retry begin within a second, though SQS delays at most 15 minutes."""
    world.override("TEST", enabled=True, retry_delay_seconds=int(delay))
    world.channels["TEST"].outcomes.append(BUSY)
    due_at = world.clock.now() + delay
    (one,) = world.send(deliver_at=rfc3339(due_at))
    timeline = Timeline(world, phase)

    timeline.until(due_at + delay + 5)

    first, second = attempts(world, one)
    assert 0 <= first - due_at < 1
    assert 0 <= second - (first + int(delay)) < 1
    assert world.delivery(one).status == "success"


@pytest.mark.parametrize("phase", [0, WORST])
def test_each_delivery_of_a_message_keeps_its_own_delay(world, phase):
    """One row, one ``sweep_at``: a retry in a minute, one in an hour and one in a day."""
    types = {"TEST": 60, "CLI": 3600, "WEBHOOK": 86_400}
    world.webhook(retry_delay_seconds=types["WEBHOOK"])
    for name in ("TEST", "CLI"):
        world.override(name, enabled=True, retry_delay_seconds=types[name])
    for name in types:
        world.channels[name].outcomes.append(BUSY)
    ids = world.send(integration_types=list(types))
    timeline = Timeline(world, phase)

    timeline.until(world.clock.now() + 86_405)

    delays = {}
    for one in ids:
        first, second = attempts(world, one)
        delays[world.delivery(one).type] = second - first
    assert delays == {name: pytest.approx(delay, abs=1) for name, delay in types.items()}


# A backlog ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [0.0, 17.5, WORST])
def test_a_backlog_is_not_multiplied(world, phase):
    """Messages that no worker handles are rung for 7 times in the first hour, then 4 times."""
    ids = [one for number in range(50) for one in world.send(request_id=f"r-{number}")]
    begin = world.clock.now()
    timeline = Timeline(world, phase)
    timeline.down = True
    timeline.purge()

    timeline.until(begin + 3600)
    first = Counter(doorbell for _, doorbell in timeline.rings)
    timeline.rings.clear()
    timeline.until(begin + 4 * 3600)
    later = Counter(doorbell for _, doorbell in timeline.rings)

    assert set(first) == set(later) == {world.doorbell(one) for one in ids}
    assert max(first.values()) <= 7
    assert max(later.values()) <= 4 * 3
    timeline.down = False
    timeline.until(begin + 4 * 3600 + 16 * 60)
    assert {world.delivery(one).status for one in ids} == {"success"}
