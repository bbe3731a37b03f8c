"""Claims that are given back: nothing was sent, and no attempt counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.configuration.rows import UserOverrides
from dispatcher.errors import UnavailableError
from tests.visits import (
    break_overrides,
    disturb,
    rehearse,
    ring_for,
    send,
    sends,
    slowly,
    statuses,
    visit,
)
from tests.world import USER


def check_given_back(world, before, delivery_id: str) -> None:
    """Check that only the claim was undone, and that the doorbell was rung again."""
    row = world.row(delivery_id)
    assert row == replace(before, rev=row.rev, last_owner=row.last_owner)
    assert row.last_owner is not None
    assert world.doorbells.rung == [ring_for(world, delivery_id, 0)]
    ids = {
        "user_id": USER,
        "delivery_id": delivery_id,
        "request_id": "r-1",
        "integration_type": row.deliveries[0].type,
    }
    assert world.event_log.lines[1:] == [("claim.given_back", ids)]


@pytest.mark.parametrize(("waited", "is_sent"), [(25.0, True), (25.001, False)])
def test_a_claim_with_too_little_of_its_lease_left_is_given_back(world, waited, is_sent):
    """35 s must be left before the send, counted from before the claim was written [12]."""
    world.webhook()
    first, _ = send(world, "WEBHOOK", "TEST")
    before = world.row(first)
    disturb(world, lambda: world.clock.advance(waited))

    visit(world, first)

    assert (sends(world, "WEBHOOK"), sends(world)) == (int(is_sent),) * 2
    if not is_sent:
        check_given_back(world, before, first)


@pytest.mark.parametrize(("left", "is_sent"), [(25.0, True), (24.999, False)])
def test_a_claim_with_too_little_of_the_invocation_left_is_given_back(world, left, is_sent):
    """25 s must be left before the send, to end it and record it."""
    world.webhook()
    first, _ = send(world, "WEBHOOK", "TEST")
    before = world.row(first)
    disturb(world, lambda: setattr(world, "seconds_left", left))

    visit(world, first)

    assert (sends(world, "WEBHOOK"), sends(world)) == (int(is_sent), 0)
    if not is_sent:
        check_given_back(world, before, first)


def test_a_claim_is_given_back_if_a_secret_cannot_be_decrypted_now(world, monkeypatch):
    """A key that does not respond costs no attempt."""
    world.webhook()
    override = world.overrides.get(USER).by_type["WEBHOOK"]
    sealed = {"WEBHOOK": replace(override, sealed=(b"sealed",))}
    world.overrides.rows[USER] = UserOverrides(sealed, 5)
    first, _ = send(world, "WEBHOOK", "TEST")
    before = world.row(first)

    def throttle(*_):
        raise UnavailableError("Decrypt failed: ThrottlingException")

    monkeypatch.setattr(world.vault, "open", throttle)

    visit(world, first)

    check_given_back(world, before, first)
    assert sends(world) == 0


def test_a_claim_is_given_back_if_the_overrides_cannot_be_read_again(world):
    """A table that does not respond costs no attempt; the attempt before it is recorded."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    rehearse(world, slowly(world, 10.001), name="WEBHOOK")
    break_overrides(world, lambda _: "throttled")

    visit(world, first)

    row, delivery = world.row(second), world.delivery(second)
    assert statuses(world, [first, second]) == [("success", None), ("pending", None)]
    assert (row.owner, delivery.tries, delivery.attempts, sends(world)) == (None, 0, 0, 0)
    assert world.doorbells.rung == [ring_for(world, second, 0)]
    assert world.event_log.events()[-1] == "claim.given_back"


def test_a_claim_that_is_given_back_is_attempted_at_the_next_ring(world):
    """It has its whole budget then."""
    (only,) = send(world)
    disturb(world, lambda: world.clock.advance(30))

    visit(world, only)
    world.run()

    delivery = world.delivery(only)
    assert (delivery.status, delivery.tries, delivery.attempts, delivery.unknown) == (
        "success",
        1,
        1,
        0,
    )


def test_a_claim_that_another_worker_took_over_is_not_given_back(world):
    """The row is that of the other worker by now."""
    (only,) = send(world)
    taken_over = []

    def stall():
        world.clock.advance(61)
        taken_over.append(world.another_claims(only))

    # The claim takes longer than the overrides stay fresh, and they cannot be read again.
    disturb(world, lambda: world.clock.advance(11), stall)
    break_overrides(world, lambda _: "throttled")

    visit(world, only)

    assert [world.row(only)] == taken_over
    assert (sends(world), world.doorbells.rung) == (0, [])
    assert "claim.given_back" not in world.event_log.events()
    assert "record.lost" not in world.event_log.events()


@pytest.mark.parametrize("fate", ["repeated", "lost", "throttled"])
def test_giving_back_is_repeated_until_it_is_written(world, fate):
    """However often the write is repeated, one claim is given back once."""
    (only,) = send(world)
    before = world.row(only)
    disturb(world, lambda: world.clock.advance(30), fate)

    visit(world, only)

    check_given_back(world, before, only)


def test_a_claim_that_cannot_be_given_back_returns_the_message(world):
    """The lease ends by itself, so the attempt counts as unknown."""
    (only,) = send(world)
    disturb(world, lambda: setattr(world, "seconds_left", 1.9), "throttled")

    with pytest.raises(UnavailableError):
        visit(world, only)

    assert (world.delivery(only).tries, sends(world), world.doorbells.rung) == (1, 0, [])


def test_a_failed_ring_after_giving_back_returns_the_message(world):
    """The queue itself rings again."""
    (only,) = send(world)
    disturb(world, lambda: world.clock.advance(30))
    world.doorbells.broken = True

    with pytest.raises(UnavailableError):
        visit(world, only)

    assert (world.row(only).owner, world.delivery(only).tries, sends(world)) == (None, 0, 0)
