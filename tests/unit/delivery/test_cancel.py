"""Cancelling pending deliveries: ``DELETE …/deliveries/{delivery_id}``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.delivery.describe import delivery_detail
from dispatcher.delivery.outcomes import Delivered
from dispatcher.errors import ConflictError, NotFoundError, UnavailableError
from dispatcher.responses import rfc3339
from tests.visits import (
    BUSY,
    NOT_FOUND,
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

UNKNOWN = "00000000-0000-7000-8000-000000000001"


def chain(world, **body) -> list[str]:
    """Accept a ``first_success`` message over a WEBHOOK, then a TEST."""
    world.webhook()
    return send(world, "WEBHOOK", "TEST", mode="first_success", **body)


def conflict(world, delivery_id: str) -> str:
    """Return why a cancel gets 409."""
    with pytest.raises(ConflictError) as caught:
        world.rounds.cancel(USER, delivery_id)
    return str(caught.value)


# Cancelled deliveries -----------------------------------------------------------------------------


def test_a_pending_delivery_is_cancelled(world):
    """It is returned as it is then, and never sent; nothing is left to do for the row."""
    (only,) = send(world)
    before, delivery = world.row(only), world.delivery(only)

    response = world.rounds.cancel(USER, only)
    visit(world, only)

    row = world.row(only)
    cancelled = replace(
        delivery,
        status="skipped",
        error_code="cancelled",
        error_message="cancelled before it was sent",
    )
    assert row == replace(
        before, rev=row.rev, deliveries=(cancelled,), sweep_at=None, ttl=before.keep_until
    )
    assert response == delivery_detail(row, 0)
    assert (sends(world), world.doorbells.rung) == (0, [])
    ids = {
        "user_id": USER,
        "delivery_id": only,
        "request_id": "r-1",
        "integration_type": "TEST",
    }
    assert world.event_log.lines[1:] == [("delivery.cancelled", ids)]


def test_cancelling_twice_returns_the_same(world):
    """The second call writes nothing."""
    (only,) = send(world)

    first = world.rounds.cancel(USER, only)
    row = world.row(only)
    second = world.rounds.cancel(USER, only)

    assert (second, world.row(only)) == (first, row)
    assert world.event_log.events().count("delivery.cancelled") == 1


def test_a_retry_under_way_is_cancelled(world):
    """Between two attempts no worker has a claim; the log keeps the attempt."""
    (only,) = send(world)
    rehearse(world, BUSY)
    visit(world, only)

    response = world.rounds.cancel(USER, only)
    world.run()

    assert (response["status"], response["error_code"]) == ("skipped", "cancelled")
    assert (response["attempts"], len(response["attempt_log"]), sends(world)) == (1, 1, 1)


def test_a_delivery_beside_a_claimed_one_is_cancelled(world):
    """Only the delivery that is being attempted cannot be cancelled; its holder passes it over."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    rehearse(world, lambda: world.rounds.cancel(USER, second) and Delivered(), name="WEBHOOK")

    visit(world, first)

    assert statuses(world, [first, second]) == [("success", None), ("skipped", "cancelled")]
    assert sends(world) == 0
    assert "record.lost" not in world.event_log.events()


def test_a_delivery_of_a_later_round_is_cancelled(world):
    """Its siblings have ended and stay as they are."""
    ids = chain(world)
    rehearse(world, NOT_FOUND, name="WEBHOOK")
    rehearse(world, NOT_FOUND)
    visit(world, ids[0])
    world.rounds.retry(USER, ids[0])
    before = world.delivery(ids[1])
    world.doorbells.taken()

    world.rounds.cancel(USER, ids[0])

    assert statuses(world, ids) == [("skipped", "cancelled"), ("failed", "http_404")]
    assert (world.delivery(ids[1]), world.doorbells.rung) == (before, [])


# Refused cancellations ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        ("success", None, "has succeeded"),
        ("failed", "http_404", "has failed"),
        ("skipped", "disabled_by_user", "was skipped"),
    ],
)
def test_a_delivery_that_has_ended_cannot_be_cancelled(world, status, code, sentence):
    """409 says how it ended."""
    (only,) = send(world)
    world.put(only, status=status, error_code=code)
    before = world.row(only)

    reason = conflict(world, only)

    assert reason == f"Delivery {only} {sentence}; only pending deliveries can be cancelled."
    assert world.row(only) == before


@pytest.mark.parametrize("seconds", [0, 59, 61, 5000])
def test_a_claimed_delivery_cannot_be_cancelled(world, seconds):
    """An expired lease is still a claim: the message may have been sent [23]."""
    (only,) = send(world)
    claimed = world.another_claims(only)
    world.clock.advance(seconds)

    reason = conflict(world, only)

    assert reason == f"Delivery {only} is being attempted and can no longer be cancelled."
    assert world.row(only) == claimed


@pytest.mark.parametrize("kind", ["unknown", "another user's", "no such place", "expired"])
def test_a_delivery_that_is_not_found_cannot_be_cancelled(world, kind):
    """The response is 404; another user's delivery cannot be told from an unknown one."""
    (only,) = send(world)
    world.run()
    if kind == "expired":
        world.put(only, ttl=world.clock.now() - 0.001)
    user_id, delivery_id = {
        "unknown": (USER, UNKNOWN),
        "another user's": ("grace", only),
        "no such place": (USER, only[:-2] + "02"),
        "expired": (USER, only),
    }[kind]

    with pytest.raises(NotFoundError) as caught:
        world.rounds.cancel(user_id, delivery_id)

    assert str(caught.value) == f"User {user_id} has no delivery {delivery_id}."


def test_a_worker_that_claims_first_wins(world):
    """The refused cancel is computed again on the claimed row."""
    (only,) = send(world)
    disturb(world, lambda: world.another_claims(only))

    reason = conflict(world, only)

    assert reason == f"Delivery {only} is being attempted and can no longer be cancelled."
    assert world.delivery(only).status == "pending"


# Rings --------------------------------------------------------------------------------------------


def test_a_cancel_rings_if_the_next_due_time_changed(world):
    """The ring of the cancelled delivery no longer serves the next one [25]."""
    ids = chain(world)
    rehearse(world, BUSY, name="WEBHOOK")
    visit(world, ids[0])
    world.doorbells.taken()

    world.rounds.cancel(USER, ids[0])

    assert world.doorbells.rung == [ring_for(world, ids[1], 0)]
    world.run()
    assert statuses(world, ids) == [("skipped", "cancelled"), ("success", None)]


@pytest.mark.parametrize(
    ("aheads", "delay"),
    [((30, 800.5), 801), ((30, 900), 900), ((30, 900.5), None), ((30, 30), None), ((90, 30), None)],
)
def test_a_cancel_rings_as_late_as_the_next_due_time(world, aheads, delay):
    """It rings up to 900 s ahead, and not at all if another delivery was due first anyway."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    for delivery_id, ahead in zip((first, second), aheads, strict=True):
        world.put(delivery_id, due_at=world.clock.now() + ahead)

    world.rounds.cancel(USER, first)

    assert world.doorbells.rung == ([] if delay is None else [ring_for(world, second, delay)])


def test_a_cancel_never_moves_the_sweep_later(world):
    """No ring may follow it, so the sweeper looks as early as before [29]."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    world.put(first, due_at=world.clock.now() + 30)
    world.put(second, due_at=world.clock.now() + 800)
    before = world.row(first)

    world.rounds.cancel(USER, first)

    assert world.row(first).sweep_at == before.sweep_at


@pytest.mark.parametrize("ahead", [45, 3600])
def test_a_delivery_that_waited_is_not_early_after_a_cancel(world, ahead):
    """It is due when the message is: at ``deliver_at``, for which the accepting call rang."""
    due_at = world.clock.now() + ahead
    first, second = chain(world, deliver_at=rfc3339(due_at))

    world.rounds.cancel(USER, first)
    visit(world, second)

    assert (world.delivery(second).due_at, sends(world)) == (due_at, 0)
    assert world.doorbells.rung == [ring_for(world, second, min(ahead, 900))]


def test_cancelling_a_delivery_that_waits_frees_no_other(world):
    """The ones after it still wait for the ones before."""
    world.override("SMS", **SMS)
    world.webhook()
    ids = send(world, "WEBHOOK", "SMS", "TEST", mode="first_success")
    world.put(ids[0], due_at=world.clock.now() + 30)

    world.rounds.cancel(USER, ids[1])
    visit(world, ids[2])

    assert (world.doorbells.rung, sends(world)) == ([], 0)
    world.rounds.cancel(USER, ids[0])
    assert world.doorbells.rung == [ring_for(world, ids[2], 0)]
    world.run()
    assert statuses(world, ids) == [("skipped", "cancelled")] * 2 + [("success", None)]


def test_cancelling_all_deliveries_leaves_nothing_to_do(world):
    """The row leaves the sweep index and gets its ``ttl``."""
    ids = chain(world)

    for delivery_id in ids:
        world.rounds.cancel(USER, delivery_id)

    row = world.row(ids[0])
    assert (row.sweep_at, row.ttl, world.doorbells.rung) == (None, row.keep_until, [])


def test_a_ring_that_fails_is_left_to_the_sweeper(world):
    """The cancel stands."""
    ids = chain(world)
    rehearse(world, BUSY, name="WEBHOOK")
    visit(world, ids[0])
    world.doorbells.taken()
    world.doorbells.broken = True

    response = world.rounds.cancel(USER, ids[0])
    world.doorbells.broken = False
    world.clock.advance(60)
    world.sweeper.sweep()

    assert response["status"] == "skipped"
    assert "doorbell.lost" in world.event_log.events()
    assert world.doorbells.rung == [ring_for(world, ids[1], 0)]


# Faults -------------------------------------------------------------------------------------------


def test_a_cancel_whose_response_was_lost_is_recognized(world):
    """The refusal shows the call's own write; the line of the log is written once."""
    (only,) = send(world)
    disturb(world, "repeated")

    response = world.rounds.cancel(USER, only)

    assert response["error_code"] == "cancelled"
    assert world.event_log.events().count("delivery.cancelled") == 1


@pytest.mark.parametrize("fate", ["throttled", "lost"])
def test_a_failed_cancel_can_be_repeated(world, fate):
    """The caller gets 503; the next call returns the cancelled delivery in any case."""
    (only,) = send(world)
    disturb(world, fate)

    with pytest.raises(UnavailableError):
        world.rounds.cancel(USER, only)

    assert world.rounds.cancel(USER, only)["error_code"] == "cancelled"


def test_a_cancel_is_computed_again_on_a_changed_row(world):
    """Two cancels of one message at the same moment both take effect."""
    ids = chain(world)
    disturb(world, lambda: world.rounds.cancel(USER, ids[1]))

    world.rounds.cancel(USER, ids[0])

    assert statuses(world, ids) == [("skipped", "cancelled")] * 2


def test_a_row_that_never_stands_still_is_unavailable(world):
    """After ten refused writes in a row the caller gets 503."""
    (only,) = send(world)
    disturb(world, *[lambda: world.put(only, rings=1)] * 10)

    with pytest.raises(UnavailableError):
        world.rounds.cancel(USER, only)

    assert world.delivery(only).status == "pending"


def test_a_row_that_is_deleted_meanwhile_is_not_found(world):
    """The response is 404."""
    (only,) = send(world)
    disturb(world, world.table.rows.clear)

    with pytest.raises(NotFoundError):
        world.rounds.cancel(USER, only)
