"""The end of a visit: dead letters first, then the ring for what is due next."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.errors import UnavailableError
from tests.visits import (
    BUSY,
    NOT_FOUND,
    SMS,
    disturb,
    rehearse,
    ring_for,
    send,
    visit,
)
from tests.world import USER


@pytest.mark.parametrize("aheads", [*itertools.permutations([30.5, 500.0, 899.0]), (900, 901, 1e6)])
def test_the_end_of_a_visit_rings_for_the_next_due_time(world, aheads):
    """One ring serves the whole message; a doorbell for a later due time is not needed."""
    world.environ["TOOL_BUS_NAME"] = "tools"
    world.webhook()
    world.override("TOOL", enabled=True)
    ids, now = send(world, "WEBHOOK", "TEST", "TOOL"), world.clock.now()
    for name, after in zip(("WEBHOOK", "TEST", "TOOL"), aheads, strict=True):
        rehearse(world, replace(BUSY, after=after), name=name)

    visit(world, ids[0])

    (next_one,) = (one for one in ids if world.delivery(one).due_at == now + min(aheads))
    delay = {30.5: 31, 900: 900}[min(aheads)]
    assert world.doorbells.rung == [ring_for(world, next_one, delay)]


def test_the_end_of_a_visit_rings_for_nothing_beyond_900_seconds(world):
    """The sweeper rings 900 s before the due time."""
    (only,) = send(world)
    rehearse(world, replace(BUSY, after=901.0))

    visit(world, only)

    assert (world.doorbells.rung, world.row(only).sweep_at) == ([], world.clock.now() + 1)


def test_a_ring_for_a_later_retry_that_fails_is_left_to_the_sweeper(world):
    """The visit has done its work, so its message does not come back."""
    (only,) = send(world)
    rehearse(world, lambda: setattr(world.doorbells, "broken", True) or BUSY)

    visit(world, only)
    world.doorbells.broken = False
    world.clock.advance(60)
    world.sweeper.sweep()

    assert world.event_log.lines[2] == ("doorbell.lost", {"user_id": USER, "request_id": "r-1"})
    assert world.doorbells.rung == [ring_for(world, only, 0)]


def test_dead_letters_are_sent_after_the_last_record(world):
    """They precede the ring; one write then clears the flags of all of them."""
    world.override("SMS", **SMS, priority=1)
    world.environ["SMS_ENABLED"] = "true"
    world.webhook()
    ids = send(world, "SMS", "WEBHOOK", "TEST")
    rehearse(world, NOT_FOUND, name="SMS")
    rehearse(world, NOT_FOUND, name="WEBHOOK")
    seen = []
    rehearse(world, lambda: seen.append((world.row(ids[0]), [*world.doorbells.rung])) or BUSY)

    visit(world, ids[0])

    ((row, rung_before),) = seen
    assert [delivery.dead_letter_owed for delivery in row.deliveries] == [True, True, False]
    assert rung_before == []
    assert world.doorbells.rung == [
        ("dead_letter", DeadLetter(USER, ids[0], 2), 0),
        ("dead_letter", DeadLetter(USER, ids[1], 2), 0),
        ring_for(world, ids[2], 10),
    ]
    assert [delivery.dead_letter_owed for delivery in world.row(ids[0]).deliveries] == [False] * 3


def test_a_dead_letter_that_fails_returns_the_message(world):
    """The row keeps it as unsent, so the sweeper sends it; a dead letter is never lost."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    rehearse(world, NOT_FOUND, name="WEBHOOK")
    rehearse(world, BUSY)
    disturb(world, "throttled", method="send_dead_letter")

    with pytest.raises(UnavailableError):
        visit(world, first)
    owed, rung_before = world.row(first), world.doorbells.taken()
    world.clock.advance(60)
    world.sweeper.sweep()

    assert (owed.deliveries[0].dead_letter_owed, rung_before) == (True, [])
    assert owed.sweep_at == world.clock.now()
    line = ("dead_letter.delayed", {"user_id": USER, "request_id": "r-1"})
    assert world.event_log.lines[-2] == line
    assert world.doorbells.rung == [
        ("dead_letter", DeadLetter(USER, first, 2), 0),
        ring_for(world, second, 0),
    ]
    assert world.delivery(first).dead_letter_owed is False


@pytest.mark.parametrize("fate", ["throttled", "lost"])
def test_a_dead_letter_whose_flag_cannot_be_cleared_returns_the_message(world, fate):
    """It is sent again by the sweeper if the flag is still set: twice, but never lost."""
    (only,) = send(world)
    rehearse(world, NOT_FOUND)
    disturb(world, "", "", fate)

    with pytest.raises(UnavailableError):
        visit(world, only)
    world.clock.advance(60)
    world.sweeper.sweep()

    times = 2 if fate == "throttled" else 1
    assert world.doorbells.rung == [("dead_letter", DeadLetter(USER, only, 2), 0)] * times
    assert (world.delivery(only).dead_letter_owed, world.row(only).sweep_at) == (False, None)


def test_a_round_that_opens_before_the_flag_is_cleared_stays_open(world):
    """The dead letter of the round before clears nothing, and is a no-op when it is redriven."""
    (only,) = send(world)
    rehearse(world, NOT_FOUND)
    disturb(world, lambda: world.rounds.retry(USER, only), method="send_dead_letter")

    visit(world, only)

    opened = world.row(only)
    assert (opened.deliveries[0].status, opened.deliveries[0].round) == ("pending", 2)
    assert [queue for queue, _, _ in world.doorbells.rung] == ["retry", "dead_letter", "retry"]
