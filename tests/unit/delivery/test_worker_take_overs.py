"""Take-overs: what follows a worker that died or stalled with a claim."""

from __future__ import annotations

import threading

import pytest

from dispatcher.delivery.doorbells import DeadLetter, encode
from dispatcher.delivery.outcomes import Delivered
from dispatcher.delivery.rows import LogEntry
from tests.visits import (
    BUSY,
    SMS,
    disturb,
    rehearse,
    ring_for,
    send,
    sends,
    statuses,
    visit,
)
from tests.world import USER


def test_an_expired_claim_is_taken_over(world):
    """The lost attempt is logged as unknown and uses up no budget."""
    (only,) = send(world)
    start = world.clock.now()
    world.another_claims(only)
    world.clock.advance(60)
    rehearse(world, BUSY)

    visit(world, only)

    delivery = world.delivery(only)
    lost, recorded = delivery.attempt_log
    assert (delivery.status, delivery.tries, delivery.unknown, delivery.attempts) == (
        "pending",
        2,
        1,
        1,
    )
    assert lost == LogEntry(
        number=1,
        round=1,
        started_at=start,
        duration_ms=None,
        outcome="unknown",
        code="unknown_outcome",
        detail="the worker ended before it recorded an outcome",
    )
    assert (recorded.number, recorded.outcome) == (2, "retry")
    assert world.event_log.lines[1] == (
        "claim.taken_over",
        {
            "user_id": USER,
            "delivery_id": only,
            "request_id": "r-1",
            "integration_type": "TEST",
            "tries": 1,
            "unknown": 1,
        },
    )


@pytest.mark.parametrize(
    ("most", "tries", "unknown", "again"),
    [
        (1, 1, 0, True),
        (1, 2, 1, True),
        (1, 3, 2, True),
        (1, 4, 3, False),
        (2, 4, 3, True),
        (2, 5, 4, False),
        (4, 4, 0, True),
        (4, 5, 0, False),
        (21, 23, 2, True),
        (21, 24, 3, False),
    ],
)
def test_three_unknown_outcomes_are_forgiven(world, most, tries, unknown, again):
    """A take-over checks the budget with the lost attempt already counted as unknown."""
    (only,) = send(world)
    claim = {"owner": "dead", "lease_until": world.clock.now(), "current": 0}
    world.put(only, tries=tries, unknown=unknown, max_attempts=most, **claim)

    visit(world, only)

    row, delivery = world.row(only), world.delivery(only)
    assert (row.owner, delivery.unknown) == (None, unknown + 1)
    if again:
        assert (sends(world), delivery.status, delivery.tries) == (1, "success", tries + 1)
        return
    assert (sends(world), delivery.status, delivery.tries, delivery.attempts) == (
        0,
        "failed",
        tries,
        0,
    )
    assert (delivery.error_code, delivery.error_message) == (
        "unknown_outcome",
        "the last attempt left no record, and the budget of attempts is used up",
    )
    assert world.doorbells.rung == [("dead_letter", DeadLetter(USER, only, 2), 0)]
    assert (delivery.dead_letter_owed, row.sweep_at) == (False, None)


def test_sms_is_never_sent_again_after_an_unknown_outcome(world):
    """A doubled text message is worse than a lost one; a person may retry it."""
    world.override("SMS", **SMS)
    (only,) = send(world, "SMS")
    world.another_claims(only)
    world.clock.advance(61)

    visit(world, only)

    delivery = world.delivery(only)
    assert (delivery.status, delivery.error_code, delivery.unknown) == (
        "failed",
        "unknown_outcome",
        1,
    )
    assert delivery.error_message == "the attempt left no record, and SMS is never sent twice"
    assert (sends(world, "SMS"), world.doorbells.rung) == (
        0,
        [("dead_letter", DeadLetter(USER, only, 2), 0)],
    )


def test_a_take_over_claims_the_next_delivery_in_the_same_write(world):
    """No other worker can come between, so the priority order holds [14]."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    world.put(first, max_attempts=1, unknown=3, tries=3)
    world.another_claims(first)
    world.clock.advance(61)
    writes, seen = [], []
    disturb(world, *[lambda: writes.append(world.row(first))] * 9)
    rehearse(world, lambda: seen.append((len(writes), world.row(first))) or Delivered())

    visit(world, first)

    ((count, row),) = seen
    assert (count, row.current, row.lease_until) == (1, 1, world.clock.now() + 60)
    assert [str(delivery.status) for delivery in row.deliveries] == ["failed", "pending"]
    assert statuses(world, [first, second]) == [("failed", "unknown_outcome"), ("success", None)]
    assert world.doorbells.rung == [("dead_letter", DeadLetter(USER, first, 2), 0)]
    assert world.event_log.events()[1:] == [
        "claim.taken_over",
        "delivery.ended",
        "delivery.attempted",
    ]


def test_after_a_take_over_the_delivery_that_is_due_first_comes_first(world):
    """The lost attempt has no precedence: the order stays that of the due times."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    world.another_claims(first)
    world.put(second, due_at=world.clock.now() - 1)
    world.clock.advance(61)
    order = []
    for name in ("WEBHOOK", "TEST"):
        rehearse(world, lambda name=name: order.append(name) or Delivered(), name=name)

    visit(world, first)

    assert order == ["TEST", "WEBHOOK"]
    assert world.delivery(first).unknown == 1


def test_a_take_over_without_another_claim_still_rings(world):
    """The visit's end is the same: dead letters, then the ring for the next due time."""
    world.webhook()
    world.override("SMS", **SMS, priority=1)
    first, second = send(world, "SMS", "WEBHOOK")
    world.put(second, due_at=world.clock.now() + 300)
    world.another_claims(first)
    world.clock.advance(61)

    visit(world, first)

    assert statuses(world, [first, second]) == [("failed", "unknown_outcome"), ("pending", None)]
    assert world.doorbells.rung == [
        ("dead_letter", DeadLetter(USER, first, 2), 0),
        ring_for(world, second, 239),
    ]


def test_a_take_over_that_another_worker_made_first_is_theirs(world):
    """The refused worker finds the new lease live and sends nothing."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    world.another_claims(first)
    world.clock.advance(61)
    taken_over = []
    disturb(world, lambda: taken_over.append(world.another_claims(first)))

    visit(world, second)

    assert [world.row(first)] == taken_over
    assert (sends(world, "WEBHOOK"), sends(world), world.doorbells.rung) == (0, 0, [])


def test_a_take_over_whose_response_was_lost_is_held(world):
    """The worker continues, and the lost attempt is logged once."""
    (only,) = send(world)
    world.another_claims(only)
    world.clock.advance(61)
    disturb(world, "repeated")

    visit(world, only)

    delivery = world.delivery(only)
    assert (sends(world), delivery.status, delivery.unknown, delivery.tries) == (
        1,
        "success",
        1,
        2,
    )


# Attempts that may end their process --------------------------------------------------------------


def lost_in(world, request_id: str, *types: str) -> str:
    """Accept a message whose first attempt leaves no record; return its first delivery."""
    ids = send(world, *types, request_id=request_id)
    world.another_claims(ids[0])
    return ids[0]


def test_two_lost_attempts_are_never_repeated_side_by_side(world):
    """One of them may end the process: the other is not even claimed meanwhile."""
    world.webhook()
    first, second = lost_in(world, "r-1", "WEBHOOK"), lost_in(world, "r-2", "TEST")
    world.clock.advance(61)
    has_read, has_ended = threading.Event(), threading.Event()
    seen = []

    def visit_the_second():
        visit(world, second)
        has_ended.set()

    def during_the_first():
        threading.Thread(target=visit_the_second).start()
        assert has_read.wait(10)
        seen.append((has_ended.wait(0.2), world.row(second).owner))
        return Delivered()

    disturb(world, "", has_read.set, method="visit")
    rehearse(world, during_the_first, name="WEBHOOK")

    visit(world, first)

    assert has_ended.wait(10)
    assert seen == [(False, "another")]
    assert statuses(world, [first, second]) == [("success", None)] * 2


def test_a_live_lease_waits_for_no_repeated_attempt(world):
    """Its doorbell is acknowledged beside the repetition of another message's lost attempt."""
    world.webhook()
    lost = lost_in(world, "r-1", "WEBHOOK")
    world.clock.advance(61)
    live = lost_in(world, "r-2", "TEST")
    has_ended = threading.Event()
    seen = []

    def visit_the_live():
        visit(world, live)
        has_ended.set()

    def during_the_repetition():
        threading.Thread(target=visit_the_live).start()
        seen.append(has_ended.wait(5))
        return Delivered()

    rehearse(world, during_the_repetition, name="WEBHOOK")

    visit(world, lost)

    assert seen == [True]
    assert world.row(live).owner == "another"


def test_a_lost_attempt_that_waited_too_long_for_its_turn_is_rung_for(world):
    """Nothing is taken over without the time to attempt it; the row stays as it is."""
    (only,) = send(world)
    world.another_claims(only)
    world.clock.advance(61)
    before, left = world.row(only), iter([30.0])
    doorbell = encode(world.doorbell(only))

    world.worker.handle(doorbell, "DeliveryQueue", lambda: next(left, 29.9))

    assert (world.row(only), sends(world)) == (before, 0)
    assert world.doorbells.rung == [ring_for(world, only, 0)]
