"""Messages of mode ``first_success``: one delivery after the other, until one succeeds."""

from __future__ import annotations

import pytest

from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.delivery.outcomes import Delivered, Permanent
from tests.visits import (
    BUSY,
    NOT_FOUND,
    SMS,
    count_calls,
    disturb,
    rehearse,
    ring_for,
    send,
    sends,
    statuses,
    visit,
)
from tests.world import USER


def chain(world) -> list[str]:
    """Accept a message over SMS (not configured here), WEBHOOK and TEST, one after the other."""
    world.override("SMS", **SMS, priority=1)
    world.webhook()
    return send(world, "SMS", "WEBHOOK", "TEST", mode="first_success")


def test_the_first_success_ends_the_others(world):
    """The write that records it skips them: they are not sent and have no dead letter."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST", mode="first_success")
    calls = count_calls(world)

    visit(world, first)

    row, skipped = world.row(second), world.delivery(second)
    assert statuses(world, [first, second]) == [("success", None), ("skipped", "first_success")]
    assert skipped.error_message == "another integration delivered the message"
    assert (skipped.tries, skipped.dead_letter_owed) == (0, False)
    assert (row.sweep_at, row.ttl) == (None, row.keep_until)
    assert (sends(world), world.doorbells.rung, calls) == (0, [], ["visit", "write", "write"])
    assert world.event_log.events()[1:] == ["delivery.attempted", "delivery.ended"]


def test_any_other_end_frees_the_next_delivery(world):
    """It is claimed in the same write; the deliveries after it still wait."""
    ids = chain(world)
    seen = []
    rehearse(world, lambda: seen.append(world.row(ids[0])) or BUSY, name="WEBHOOK")

    visit(world, ids[0])

    (row,) = seen
    assert (row.current, [delivery.tries for delivery in row.deliveries]) == (1, [1, 1, 0])
    assert statuses(world, ids) == [
        ("failed", "not_configured"),
        ("pending", "http_503"),
        ("pending", None),
    ]
    assert (sends(world), world.doorbells.rung) == (0, [ring_for(world, ids[1], 30)])


def test_a_chain_runs_until_one_succeeds(world):
    """Each delivery has its own retries, strictly one after the other."""
    ids = chain(world)
    rehearse(world, BUSY, BUSY, name="WEBHOOK")

    visit(world, ids[0])
    world.run()

    assert statuses(world, ids) == [
        ("failed", "not_configured"),
        ("failed", "http_503"),
        ("success", None),
    ]
    assert (sends(world, "WEBHOOK"), sends(world)) == (2, 1)


def test_a_waiting_delivery_is_not_sent(world):
    """It is not attempted although its own due time has come."""
    ids = chain(world)
    world.put(ids[0], due_at=world.clock.now() + 50)

    visit(world, ids[2])

    tries = [delivery.tries for delivery in world.row(ids[0]).deliveries]
    assert (tries, sends(world), world.doorbells.rung) == ([0, 0, 0], 0, [])


def test_an_opt_out_frees_the_next_delivery(world):
    """A skipped delivery ended without success."""
    ids = chain(world)
    world.override("SMS", enabled=False)

    visit(world, ids[0])

    assert statuses(world, ids) == [
        ("skipped", "disabled_by_user"),
        ("success", None),
        ("skipped", "first_success"),
    ]


def test_a_take_over_that_ends_a_delivery_frees_the_next(world):
    """One write fails the lost SMS and claims the WEBHOOK."""
    ids = chain(world)
    world.another_claims(ids[0])
    world.clock.advance(61)

    visit(world, ids[0])

    assert statuses(world, ids) == [
        ("failed", "unknown_outcome"),
        ("success", None),
        ("skipped", "first_success"),
    ]
    assert world.doorbells.rung == [("dead_letter", DeadLetter(USER, ids[0], 2), 0)]


def test_a_cancelled_delivery_is_passed_over(world):
    """The next one that still waits is attempted."""
    ids = chain(world)
    world.rounds.cancel(USER, ids[1])

    visit(world, ids[0])

    assert statuses(world, ids) == [
        ("failed", "not_configured"),
        ("skipped", "cancelled"),
        ("success", None),
    ]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Delivered(), [("success", None), ("skipped", "cancelled"), ("skipped", "first_success")]),
        (
            Permanent("http_400", "no"),
            [("failed", "http_400"), ("skipped", "cancelled"), ("success", None)],
        ),
    ],
)
def test_an_outcome_is_recorded_beside_a_cancelled_sibling(world, outcome, expected):
    """A refused record is computed again on the changed row: nothing is dropped [24]."""
    ids = chain(world)
    world.environ["SMS_ENABLED"] = "true"
    rehearse(world, outcome, name="SMS")
    disturb(world, "", lambda: world.rounds.cancel(USER, ids[1]))

    visit(world, ids[0])

    assert statuses(world, ids) == expected
    assert "record.lost" not in world.event_log.events()


def test_a_new_round_touches_no_sibling(world):
    """The others have ended, and stay as they ended."""
    ids = chain(world)
    rehearse(world, NOT_FOUND, name="WEBHOOK")
    rehearse(world, NOT_FOUND)
    visit(world, ids[0])
    before = world.row(ids[0])
    world.doorbells.taken()
    world.rounds.retry(USER, ids[1])

    world.run()

    after = world.row(ids[0])
    assert statuses(world, ids) == [
        ("failed", "not_configured"),
        ("success", None),
        ("failed", "http_404"),
    ]
    assert (after.deliveries[0], after.deliveries[2]) == (
        before.deliveries[0],
        before.deliveries[2],
    )
