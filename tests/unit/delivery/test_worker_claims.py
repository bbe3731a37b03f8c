"""Claims: which delivery may be attempted, in which order, and by which worker."""

from __future__ import annotations

import itertools

import pytest

from dispatcher.delivery import transitions, worker
from dispatcher.delivery.outcomes import ATTEMPT, Delivered
from dispatcher.errors import UnavailableError
from tests.visits import (
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

THREE = ["TEST", "WEBHOOK", "TOOL"]


def three(world) -> list[str]:
    """Accept a message over WEBHOOK, TEST and TOOL, in this order."""
    world.environ["TOOL_BUS_NAME"] = "tools"
    world.webhook()
    world.override("TOOL", enabled=True)
    return send(world, *THREE)


def record_order(world) -> list[str]:
    """Return a list that gets the name of each integration as it sends."""
    order: list[str] = []
    for name in THREE:
        rehearse(world, lambda name=name: order.append(name) or Delivered(), name=name)
    return order


def test_the_limits_are_those_of_the_design():
    """A lease lasts 60 s; 35 s of it must be left for an attempt of at most 10 s."""
    assert (transitions.LEASE, worker.LEASE_TO_SEND, worker.TIME_TO_SEND, ATTEMPT) == (
        60,
        35,
        25,
        10,
    )


# Order --------------------------------------------------------------------------------------------


def test_first_attempts_follow_the_priority_order(world):
    """One visit attempts all deliveries one after the other, in the order of acceptance."""
    world.webhook(priority=1)
    world.override("SMS", **SMS, priority=50)
    ids = send(world, "TEST", "WEBHOOK", "SMS")
    order = record_order(world)
    world.webhook(priority=99)

    visit(world, ids[0])

    assert order == ["WEBHOOK", "TEST"]
    assert statuses(world, ids) == [
        ("success", None),
        ("success", None),
        ("failed", "not_configured"),
    ]


@pytest.mark.parametrize("ages", [*itertools.permutations([1, 2, 3]), (1, 2, 2), (2, 2, 1)])
def test_the_delivery_that_is_due_first_is_attempted_first(world, ages):
    """The order is by due time, then by place [13]."""
    ids, now = three(world), world.clock.now()
    for delivery_id, age in zip(ids, ages, strict=True):
        world.put(delivery_id, due_at=now - age)
    order = record_order(world)

    visit(world, ids[0])

    places = sorted(range(3), key=lambda place: (-ages[place], place))
    assert order == [("WEBHOOK", "TEST", "TOOL")[place] for place in places]


def test_a_delivery_that_is_not_due_is_passed_over(world):
    """A retry later does not hold up the other deliveries of the message."""
    first, second, third = three(world)
    world.put(second, due_at=world.clock.now() + 0.001)

    visit(world, first)

    assert statuses(world, [first, second, third]) == [
        ("success", None),
        ("pending", None),
        ("success", None),
    ]
    assert world.doorbells.rung == [ring_for(world, second, 1)]


def test_a_doubled_doorbell_sends_once(world):
    """A visit to a message that has ended changes nothing."""
    (only,) = send(world)
    doorbell = world.doorbell(only)
    world.handle(doorbell)
    ended = world.row(only)

    for _ in range(2):
        world.handle(doorbell)

    assert (sends(world), world.row(only), world.doorbells.rung) == (1, ended, [])


# Live leases --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 30, 59.999])
def test_a_live_lease_ends_the_visit(world, seconds):
    """Its holder continues with everything that is due, so nothing is written or rung [11]."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    claimed = world.another_claims(first)
    world.clock.advance(seconds)

    visit(world, first)
    visit(world, second)

    assert world.row(first) == claimed
    assert (sends(world, "WEBHOOK"), sends(world), world.doorbells.rung) == (0, 0, [])


def test_one_lease_holds_the_whole_message(world):
    """While one delivery is attempted, a second doorbell attempts no other one of the message."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    seen = []

    def during_the_send():
        visit(world, second)
        seen.append((sends(world), world.doorbells.rung))
        return Delivered()

    rehearse(world, during_the_send, name="WEBHOOK")

    visit(world, first)

    assert seen == [(0, [])]
    assert (sends(world, "WEBHOOK"), sends(world)) == (1, 1)


# Claims that are refused --------------------------------------------------------------------------


def test_a_claim_that_fails_returns_the_message(world):
    """Without the claim nothing is attempted; the queue delivers the doorbell again."""
    (only,) = send(world)
    before = world.row(only)
    disturb(world, "throttled")

    with pytest.raises(UnavailableError):
        visit(world, only)

    assert (world.row(only), sends(world)) == (before, 0)


def test_a_claim_whose_response_was_lost_is_held(world):
    """The refusal shows the worker's own write: it continues, and sends once [16]."""
    (only,) = send(world)
    disturb(world, "repeated")

    visit(world, only)

    delivery = world.delivery(only)
    assert (sends(world), delivery.status, delivery.tries) == (1, "success", 1)


def test_a_claim_is_computed_again_on_a_changed_row(world):
    """A write of the sweeper in between costs nothing but another write."""
    (only,) = send(world)
    disturb(world, lambda: world.put(only, rings=1), lambda: world.put(only, rings=2))

    visit(world, only)

    delivery = world.delivery(only)
    assert (sends(world), delivery.status, delivery.tries) == (1, "success", 1)


def test_a_claim_that_another_worker_made_first_is_theirs(world):
    """The refused worker finds the lease live and sends nothing."""
    (only,) = send(world)
    disturb(world, lambda: world.another_claims(only))

    visit(world, only)

    row = world.row(only)
    assert (row.owner, row.deliveries[0].tries) == ("another", 1)
    assert (sends(world), world.doorbells.rung) == (0, [])


def test_a_delivery_that_is_cancelled_before_its_claim_is_not_sent(world):
    """The refused claim is computed again, and nothing is due."""
    (only,) = send(world)
    disturb(world, lambda: world.rounds.cancel(USER, only))

    visit(world, only)

    assert (sends(world), statuses(world, [only])) == (0, [("skipped", "cancelled")])


def test_ten_refusals_in_a_row_count_as_a_failed_call(world):
    """The doorbell comes back, and nothing was sent."""
    (only,) = send(world)
    disturb(world, *[lambda: world.put(only, rings=1)] * 10)

    with pytest.raises(UnavailableError) as caught:
        visit(world, only)

    assert str(caught.value) == "the message row was changed by others 10 times in a row"
    assert (sends(world), world.delivery(only).tries) == (0, 0)
