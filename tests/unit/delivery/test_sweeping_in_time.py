"""The sweeper's minutes, hours and days, on a clock that only this test moves."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter

import pytest

from dispatcher.delivery.doorbells import DeliveryBell, RequestBell
from dispatcher.delivery.outcomes import Permanent, Retry
from tests.world import USER, World

BUSY = Retry("http_503", "the receiver answered 503")


class Timeline:
    """A world whose sweeper runs every minute and whose queues ring when their delay is over.

    ``phase`` is when the first sweep comes, in seconds from the beginning. Tickets stay where they
    are, and while ``deaf`` nothing that rings is answered.
    """

    def __init__(self, world: World, phase: float) -> None:
        self.world = world
        self.deaf = False
        self.rings: list[tuple[float, object]] = []
        self._sweep_at = world.clock.seconds + phase
        self._order = itertools.count()
        self._queue: list[tuple[float, int, object]] = []

    def lose(self) -> None:
        """Lose all that is in the queues."""
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
                if not self.deaf:
                    self.world.answer(doorbell)
            else:
                self._sweep_at += 60
                self.world.sweeper.sweep()


def tries(world, delivery_id) -> list[float]:
    """Return when each try of a delivery began."""
    return [entry["started_at"] for entry in world.row(delivery_id).attempt_log]


# A lost ring --------------------------------------------------------------------------------------

WORST = 59.999
"""Seconds after the beginning: the first sweep just misses what waits from 60 on."""


@pytest.mark.parametrize("phase", [0.0, 0.001, 30.0, WORST])
@pytest.mark.parametrize("case", ["first", "retry", "delayed first", "released", "fresh round"])
def test_a_lost_ring_is_made_good_within_two_minutes(world, case, phase):
    """Whichever ring it was, and wherever in its minute the sweeper stands when it should ring."""
    world.webhook(retry_delay_seconds=30)
    world.override("TEST", enabled=True, retry_delay_seconds=30)
    body = {"request_id": "r-1"}
    match case:
        case "first":
            *_, one = world.send(**body)
        case "retry":
            world.channels["TEST"].outcomes.append(BUSY)
            (one,) = world.send(integration_types=["TEST"], **body)
            world.answer(RequestBell(USER, "r-1"))
        case "delayed first":
            (one,) = world.send(integration_types=["TEST"], **body)
            due_at = world.clock.now() + 600
            world.put(one, due_at=due_at, sweep_at=due_at + 60)
        case "released":
            before, one = world.send(mode="first_success", **body)
            world.rounds.cancel(USER, before)
        case "fresh round":
            world.channels["TEST"].outcomes.append(Permanent("http_404", "no"))
            (one,) = world.send(integration_types=["TEST"], **body)
            world.answer(RequestBell(USER, "r-1"))
            world.rounds.retry(USER, one)
    due_at = world.row(one).due_at
    world.clock.seconds = due_at
    timeline = Timeline(world, phase)
    timeline.lose()

    timeline.until(due_at + 120)

    assert world.row(one).status == "success"
    late = tries(world, one)[-1] - due_at
    assert late == pytest.approx(60 + phase, abs=0.001)


def test_a_dead_worker_is_made_good_within_a_minute_of_its_lease(world):
    """Whose doorbell was acknowledged or lost with it."""
    (one,) = world.send()
    world.another_claims(one)
    lease_until = world.row(one).lease_until
    timeline = Timeline(world, WORST)
    timeline.lose()

    timeline.until(lease_until + 60)

    assert world.row(one).status == "success"
    assert tries(world, one)[-1] == pytest.approx(lease_until + WORST)


# Long delays --------------------------------------------------------------------------------------

DELAYS = [901, 959, 960, 961, 1799.5, 1800, 1801, 3600.001]
PHASES = [0, WORST, *(each / 1000 for each in random.Random(900).choices(range(60_000), k=3))]


@pytest.mark.parametrize(
    ("delay", "phase"), [*itertools.product(DELAYS, PHASES), (40_000, 31.7), (86_400, WORST)]
)
def test_a_long_delay_is_kept(world, delay, phase):
    """To the second, though SQS delays nothing for more than 15 minutes: a try, then a retry."""
    world.override("TEST", enabled=True, retry_delay_seconds=int(delay))
    world.channels["TEST"].outcomes.append(BUSY)
    (one,) = world.send()
    world.doorbells.taken()
    due_at = world.clock.now() + delay
    world.put(one, due_at=due_at, sweep_at=due_at - 900)
    timeline = Timeline(world, phase)

    timeline.until(due_at + delay + 5)

    first, second = tries(world, one)
    assert 0 <= first - due_at < 1
    assert 0 <= second - (first + int(delay)) < 1
    assert world.row(one).status == "success"


# A backlog ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [0.0, 17.5, WORST])
def test_a_backlog_is_not_multiplied(world, phase):
    """Deliveries that nobody works on are rung for 7 times in the first hour, then 4 times."""
    ids = [one for number in range(50) for one in world.send(request_id=f"r-{number}")]
    begin = world.clock.now()
    timeline = Timeline(world, phase)
    timeline.deaf = True
    timeline.lose()

    timeline.until(begin + 3600)
    first = Counter(doorbell for _, doorbell in timeline.rings)
    timeline.rings.clear()
    timeline.until(begin + 4 * 3600)
    later = Counter(doorbell.__class__ for _, doorbell in timeline.rings)

    assert set(first) == {RequestBell(USER, f"r-{number}") for number in range(50)}
    assert max(first.values()) <= 7
    assert sum(later.values()) <= 50 * 4 * 3
    assert later[DeliveryBell] > later[RequestBell]
    timeline.deaf = False
    timeline.until(begin + 4 * 3600 + 16 * 60)
    assert {world.row(one).status for one in ids} == {"success"}
