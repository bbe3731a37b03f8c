"""Visits: what one doorbell makes a worker do, from the read to what it leaves behind."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dispatcher.delivery.doorbells import DeadLetter, Doorbell, encode
from dispatcher.delivery.outcomes import Delivered
from dispatcher.errors import BrokenSettingError, UnavailableError
from tests.fakes import FakeClock
from tests.visits import (
    BUSY,
    NOT_FOUND,
    break_overrides,
    count_calls,
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

DAY = 86_400
UNKNOWN = "00000000-0000-7000-8000-000000000000"


# One visit ----------------------------------------------------------------------------------------


def test_a_visit_records_and_claims_next_in_one_write(world):
    """While the second delivery is sent, the row has the first outcome and the second claim."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    accepted, seen = world.row(first), []
    rehearse(world, slowly(world, 2), name="WEBHOOK")
    rehearse(world, lambda: seen.append(world.row(second)) or Delivered())
    calls = count_calls(world)

    visit(world, first)

    (row,) = seen
    outcome, waiting = row.deliveries[0], accepted.deliveries[1]
    assert row == replace(
        accepted,
        rev=row.rev,
        deliveries=(outcome, replace(waiting, tries=1)),
        owner=row.owner,
        last_owner=row.last_owner,
        lease_until=world.clock.now() + 60,
        current=1,
    )
    assert (outcome.status, outcome.attempts) == ("success", 1)
    assert row.owner not in {None, row.last_owner}
    assert calls == ["visit", "write", "write", "write"]


def test_the_calls_of_a_visit(world):
    """One read; a write per attempt and one more; a ring; a send and a write for dead letters."""
    world.environ["TOOL_BUS_NAME"] = "tools"
    world.webhook()
    world.override("TOOL", enabled=True)
    first, _, _ = send(world, "WEBHOOK", "TEST", "TOOL")
    rehearse(world, NOT_FOUND, name="WEBHOOK")
    rehearse(world, NOT_FOUND, name="TOOL")
    rehearse(world, BUSY)
    calls = count_calls(world)

    visit(world, first)

    assert calls == [
        "visit",
        *["write"] * 4,
        *["send_dead_letter"] * 2,
        "write",
        "ring",
    ]


def test_a_visit_continues_with_what_becomes_due_meanwhile(world):
    """A retry that is due before the visit ends is attempted in it, without another ring [11]."""
    world.override("TEST", enabled=True, priority=1, retry_delay_seconds=1)
    world.webhook()
    first, second = send(world, "TEST", "WEBHOOK")
    order = []
    rehearse(world, lambda: order.append("TEST") or BUSY, lambda: order.append("TEST") or BUSY)
    rehearse(world, slowly(world, 9), name="WEBHOOK")

    visit(world, first)

    assert (order, sends(world, "WEBHOOK")) == (["TEST", "TEST"], 1)
    assert statuses(world, [first, second]) == [("failed", "http_503"), ("success", None)]
    assert world.doorbells.rung == [("dead_letter", DeadLetter(USER, first, 2), 0)]


def test_a_visit_continues_with_a_round_that_opens_meanwhile(world):
    """A retry by a person during the visit changes the row; the visit attempts it too [24]."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    rehearse(world, NOT_FOUND, name="WEBHOOK")
    rehearse(world, lambda: world.rounds.retry(USER, first) and Delivered())

    visit(world, first)

    assert statuses(world, [first, second]) == [("success", None)] * 2
    assert (world.delivery(first).round, sends(world, "WEBHOOK"), sends(world)) == (2, 2, 1)
    assert world.doorbells.rung == [ring_for(world, first, 0)]


# Reads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "reads"),
    [
        (0.0, 0.0, 0),
        (10.0, 0.0, 0),
        (10.001, 0.0, 1),
        (5.0, 5.001, 1),
        (10.001, 10.0, 1),
        (10.001, 10.001, 2),
    ],
)
def test_overrides_are_read_again_after_10_seconds(world, first, second, reads):
    """The first read of a visit has them; each read serves for 10 s."""
    world.environ["TOOL_BUS_NAME"] = "tools"
    world.webhook()
    ids = send(world, "WEBHOOK", "TEST", "TOOL")
    rehearse(world, slowly(world, first), name="WEBHOOK")
    rehearse(world, slowly(world, second))
    calls = []
    break_overrides(world, lambda name: calls.append(name) or "")

    visit(world, ids[0])

    assert (len(calls), sends(world, "TOOL")) == (reads, 1)


def test_an_opt_out_during_a_visit_counts_after_10_seconds(world):
    """The overrides that are read again decide about the next attempt."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")

    def opt_out():
        world.override("TEST", enabled=False)
        world.clock.advance(10.001)
        return Delivered()

    rehearse(world, opt_out, name="WEBHOOK")

    visit(world, first)

    assert statuses(world, [first, second]) == [("success", None), ("skipped", "disabled_by_user")]


def test_a_read_that_fails_returns_the_message(world):
    """Nothing was claimed, and the queue delivers the doorbell again."""
    (only,) = send(world)
    before = world.row(only)
    disturb(world, "throttled", method="visit")

    with pytest.raises(UnavailableError):
        visit(world, only)

    assert (world.row(only), sends(world), world.doorbells.rung) == (before, 0, [])


@pytest.mark.parametrize("request_id", ["r-1", "r-9"])
def test_a_doorbell_without_a_row_is_acknowledged(world, request_id):
    """Its message has expired or was never accepted."""
    world.handle(Doorbell(USER, UNKNOWN, request_id, 1.0))

    assert (world.doorbells.rung, world.doorbells.parked) == ([], [])


@pytest.mark.parametrize("write", [1, 2])
def test_a_row_that_vanishes_during_a_visit_is_acknowledged(world, write):
    """Nothing is left to deliver or to record."""
    (only,) = send(world)
    disturb(world, *[""] * (write - 1), world.table.rows.clear)

    visit(world, only)

    assert (world.table.rows, world.doorbells.rung, sends(world)) == ({}, [], write - 1)


def test_a_doorbell_that_names_another_request_is_dropped(world):
    """The row names its request: a wrong doorbell never makes its content look expired."""
    (only,) = send(world)
    send(world, request_id="r-2")
    before = world.row(only)

    for request_id in ("r-2", "r-9"):
        world.handle(replace(world.doorbell(only), request_id=request_id))

    assert (world.row(only), sends(world), world.doorbells.rung) == (before, 0, [])


# Early doorbells ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "delay"),
    [(0.001, 1), (0.3, 1), (1, 1), (45.2, 46), (900, 900), (900.5, 900), (DAY, 900)],
)
def test_an_early_doorbell_for_the_next_due_time_is_rung_again(world, ahead, delay):
    """It is delayed for the rest, from 1 s to 900 s; nothing is written [9]."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    for delivery_id in (first, second):
        world.put(delivery_id, due_at=world.clock.now() + ahead)
    before = world.row(first)

    visit(world, first)

    assert world.doorbells.rung == [ring_for(world, first, delay)]
    assert (world.row(first), sends(world, "WEBHOOK"), sends(world)) == (before, 0, 0)


class TickingClock(FakeClock):
    """Advances by a fifth of a second with every look."""

    def now(self):
        """Return the time after the look."""
        self.advance(0.2)
        return super().now()


def test_an_early_doorbell_is_delayed_by_at_least_a_second(world):
    """A ring without a delay could meet a worker whose clock is behind, again and again."""
    (only,) = send(world)
    world.put(only, due_at=world.clock.now() + 0.3)
    context = replace(world.context, clock=TickingClock(world.clock.seconds))
    world.worker = replace(world.worker, context=context)

    visit(world, only)

    assert (world.doorbells.rung, sends(world)) == ([ring_for(world, only, 1)], 0)


@pytest.mark.parametrize("shift", [-5.0, 5.0])
def test_an_early_doorbell_for_another_time_is_dropped(world, shift):
    """The write that set the due time rang for it."""
    (only,) = send(world)
    world.put(only, due_at=world.clock.now() + 30)

    world.handle(world.doorbell(only, world.delivery(only).due_at + shift))

    assert (world.doorbells.rung, sends(world)) == ([], 0)


def test_an_early_doorbell_for_a_later_delivery_is_dropped(world):
    """Only the row's next due time is rung for; the visit then rings for the one after it."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    world.put(first, due_at=world.clock.now() + 30)
    world.put(second, due_at=world.clock.now() + 60)

    visit(world, second)

    assert world.doorbells.rung == []


@pytest.mark.parametrize("due_at", [1.0, 99_999_999_999.0])
def test_the_row_decides_what_is_due(world, due_at):
    """A doorbell of any time makes the worker attempt what the row says is due."""
    (only,) = send(world)

    world.handle(world.doorbell(only, due_at))

    assert world.delivery(only).status == "success"


def test_a_failed_ring_for_an_early_doorbell_returns_the_message(world):
    """The queue itself rings again."""
    (only,) = send(world)
    world.put(only, due_at=world.clock.now() + 30)
    world.doorbells.broken = True

    with pytest.raises(UnavailableError):
        visit(world, only)


# Out of time --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("left", "is_sent"), [(30.0, True), (29.999, False)])
def test_a_visit_that_begins_out_of_time_only_rings_again(world, left, is_sent):
    """The same doorbell is rung immediately; nothing is read, claimed or changed."""
    (only,) = send(world)
    before, doorbell = world.row(only), world.doorbell(only, 5.0)
    world.seconds_left = left
    calls = count_calls(world)

    world.handle(doorbell)

    assert sends(world) == is_sent
    if not is_sent:
        assert calls == ["ring"]
        assert world.doorbells.rung == [("retry", doorbell, 0)]
        assert world.row(only) == before


@pytest.mark.parametrize(("left", "is_sent"), [(30.0, True), (29.999, False)])
def test_out_of_time_nothing_more_is_claimed(world, left, is_sent):
    """The outcome is recorded, and the rest of the message is rung for immediately."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    rehearse(world, lambda: setattr(world, "seconds_left", left) or Delivered(), name="WEBHOOK")

    visit(world, first)

    assert (sends(world, "WEBHOOK"), sends(world)) == (1, int(is_sent))
    if not is_sent:
        assert (world.row(second).owner, world.delivery(second).tries) == (None, 0)
        assert world.doorbells.rung == [ring_for(world, second, 0)]


def test_out_of_time_a_message_is_returned_only_if_the_ring_failed_too(world):
    """Then the queue itself rings again."""
    (only,) = send(world)
    world.seconds_left = 5.0
    world.doorbells.broken = True

    with pytest.raises(UnavailableError):
        visit(world, only)


def test_out_of_time_after_an_attempt_a_failed_ring_returns_the_message(world):
    """The record stands, and what is still due comes back with the doorbell."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")

    def run_out():
        world.seconds_left, world.doorbells.broken = 29.0, True
        return Delivered()

    rehearse(world, run_out, name="WEBHOOK")

    with pytest.raises(UnavailableError):
        visit(world, first)

    assert statuses(world, [first, second]) == [("success", None), ("pending", None)]


# Queue messages -----------------------------------------------------------------------------------

DOORBELL = {
    "v": 2,
    "kind": "message",
    "user_id": USER,
    "message_id": UNKNOWN,
    "request_id": "r-1",
    "due_at": 1.0,
}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("hello", "not JSON"),
        ("[]", "not a JSON object"),
        (json.dumps({"Records": []}), "unknown version"),
        (json.dumps({**DOORBELL, "v": 1}), "unknown version"),
        (json.dumps({"v": 1, "kind": "request", "user_id": USER, "request_id": "r-1"}),
         "unknown version"),
        (json.dumps({**DOORBELL, "v": 3}), "unknown version"),
        (json.dumps({**DOORBELL, "kind": "letter"}), "unknown kind"),
        (json.dumps({**DOORBELL, "message_id": UNKNOWN[:-2] + "01"}), "message_id out of shape"),
    ],
)  # fmt: skip
def test_an_unreadable_queue_message_is_parked(world, body, reason):
    """So are foreign ones and those of another version: unchanged, with reason and source."""
    world.worker.handle(body, "RetryQueue", lambda: 100.0)

    assert world.doorbells.parked == [(body, reason, "RetryQueue")]
    line = ("message.parked", {"reason": reason, "source": "RetryQueue"})
    assert world.event_log.lines == [line]


@pytest.mark.parametrize("body", ["{}", None, encode(DeadLetter(USER, UNKNOWN[:-2] + "01", 2))])
def test_with_a_broken_setting_every_message_stays_in_its_queue(world, body):
    """Nothing can be resolved, so nothing is claimed, opened or parked."""
    (only,) = send(world)
    before = world.row(only)
    world.environ["INTEGRATION_DEFAULTS_CLI_ENABLED"] = "maybe"

    with pytest.raises(BrokenSettingError):
        world.worker.handle(body or encode(world.doorbell(only)), "DeliveryQueue", lambda: 100.0)

    assert (world.row(only), world.doorbells.parked, world.doorbells.rung) == (before, [], [])
