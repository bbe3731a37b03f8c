"""Records: written once under every fault of the table, or lost to another worker."""

from __future__ import annotations

import pytest

from dispatcher.delivery.doorbells import encode
from dispatcher.delivery.outcomes import Delivered
from dispatcher.errors import UnavailableError
from tests.visits import (
    BUSY,
    NOT_FOUND,
    disturb,
    intercept,
    overtaken,
    rehearse,
    ring_for,
    send,
    sends,
    slowly,
    statuses,
    visit,
)
from tests.world import USER


def queues(world) -> list[str]:
    """Return the queues that were rung, in order."""
    return [queue for queue, _, _ in world.doorbells.rung]


# Faults of the table ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "rung"),
    [(Delivered(), []), (BUSY, ["retry"]), (NOT_FOUND, ["dead_letter"])],
)
@pytest.mark.parametrize("fates", [["repeated"], ["throttled"] * 3, ["lost"] * 3])
def test_a_faulty_record_is_written_once(world, outcome, rung, fates):
    """The write is repeated while there is time, and is recognized if its response was lost."""
    (only,) = send(world)
    rehearse(world, outcome)
    disturb(world, "", *fates)

    visit(world, only)

    row, delivery = world.row(only), world.delivery(only)
    assert (sends(world), delivery.attempts, len(delivery.attempt_log)) == (1, 1, 1)
    assert (row.owner, delivery.dead_letter_owed) == (None, False)
    assert queues(world) == rung
    assert world.event_log.events() == ["message.accepted", "delivery.attempted"]


@pytest.mark.parametrize("fates", [["repeated"], ["lost"], ["lost"] * 3, ["throttled", "lost"]])
def test_a_repeated_record_keeps_the_token_of_the_next_claim(world, fates):
    """So the claim of a write whose response was lost is held, and sent once [16]."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    disturb(world, "", *fates)

    visit(world, first)

    assert statuses(world, [first, second]) == [("success", None)] * 2
    assert (sends(world, "WEBHOOK"), sends(world), world.delivery(second).tries) == (1, 1, 1)
    assert world.event_log.events()[1:] == ["delivery.attempted"] * 2


def test_a_next_claim_is_held_although_the_repetition_has_no_time_for_one(world):
    """The lost write made the claim; its holder sends if the time for that is left."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    disturb(world, "", "lost")

    def wait(seconds):
        world.clock.advance(seconds)
        world.seconds_left = 29.0

    world.clock.pause = wait

    visit(world, first)

    assert statuses(world, [first, second]) == [("success", None)] * 2
    assert (sends(world), world.delivery(second).tries) == (1, 1)


def test_the_lease_of_the_next_claim_counts_from_before_its_write(world):
    """A slow record leaves too little of it: the claim is given back instead of sent late [12]."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    disturb(world, "", lambda: world.clock.advance(25.001))

    visit(world, first)

    assert (sends(world), world.delivery(second).tries, world.row(second).owner) == (0, 0, None)
    assert world.event_log.events()[-1] == "claim.given_back"
    assert world.doorbells.rung == [ring_for(world, second, 0)]


def test_a_row_that_another_worker_claims_after_the_lost_write_is_theirs(world):
    """The record is recognized, and the rest of the message needs no ring."""
    world.environ["TOOL_BUS_NAME"] = "tools"
    world.webhook()
    ids = send(world, "WEBHOOK", "TEST", "TOOL")
    rehearse(world, lambda: setattr(world, "seconds_left", 29.0) or Delivered(), name="WEBHOOK")
    claimed = []
    disturb(world, "", "lost", lambda: claimed.append(world.another_claims(ids[1])))

    visit(world, ids[0])

    assert [world.row(ids[0])] == claimed
    assert statuses(world, ids) == [("success", None), ("pending", None), ("pending", None)]
    assert (sends(world), world.doorbells.rung) == (0, [])
    assert world.event_log.events()[1:] == ["delivery.attempted"]


@pytest.mark.parametrize(("left", "writes"), [(1.9, 1), (2.04, 1), (2.06, 2), (2.16, 3)])
def test_a_record_is_repeated_while_2_seconds_are_left(world, left, writes):
    """Then the message comes back; the log has the outcome that could not be recorded."""
    (only,) = send(world)
    ends = [world.clock.seconds + 100]
    counted = []

    def run_out():
        ends.append(world.clock.seconds + left)
        return Delivered({}, "accepted")

    def meet(_):
        counted.append("write")
        return "throttled" if sends(world) else ""

    rehearse(world, run_out)
    intercept(world, meet, "write")
    doorbell = encode(world.doorbell(only))

    with pytest.raises(UnavailableError):
        world.worker.handle(doorbell, "DeliveryQueue", lambda: ends[-1] - world.clock.seconds)

    delivery = world.delivery(only)
    assert counted == ["write"] * (1 + writes)
    assert (delivery.status, delivery.tries, delivery.attempts) == ("pending", 1, 0)
    assert world.event_log.lines[-1] == ("record.lost", lost_line(only, "delivered", "accepted"))


# Records that are refused -------------------------------------------------------------------------


def lost_line(delivery_id: str, outcome: str, detail: str, code: str | None = None) -> dict:
    """Return the fields of ``record.lost``."""
    return {
        "user_id": USER,
        "delivery_id": delivery_id,
        "request_id": "r-1",
        "integration_type": "TEST",
        "outcome": outcome,
        "code": code,
        "detail": detail,
    }


@pytest.mark.parametrize("outcome", [Delivered(), BUSY, NOT_FOUND])
def test_a_record_is_lost_if_another_worker_has_taken_over(world, outcome):
    """The outcome is dropped and logged: nothing is written, rung for or sent."""
    (only,) = send(world)
    rehearse(world, overtaken(world, only, outcome))

    visit(world, only)

    row, delivery = world.row(only), world.delivery(only)
    assert (row.owner, delivery.attempts, delivery.unknown) == ("another", 0, 1)
    assert world.doorbells.rung == []
    name = type(outcome).__name__.lower()
    line = lost_line(only, name, outcome.detail, outcome.code)
    assert world.event_log.lines[1:] == [("record.lost", line)]


def test_a_record_is_lost_if_another_worker_has_recorded_its_own(world):
    """The row keeps the outcome of the worker that took over."""
    (only,) = send(world)
    others = []

    def stall():
        world.clock.advance(61)
        visit(world, only)
        others.append(world.row(only))
        return BUSY

    rehearse(world, stall, Delivered())

    visit(world, only)

    assert [world.row(only)] == others
    assert (world.delivery(only).status, sends(world)) == ("success", 2)
    assert world.event_log.events()[1:] == [
        "claim.taken_over",
        "delivery.attempted",
        "record.lost",
    ]


def test_an_end_without_an_attempt_is_not_logged_as_lost(world):
    """Nothing was sent, so nothing can be doubled."""
    world.override("EMAIL", enabled=True)
    (only,) = send(world, "EMAIL")

    def take_over():
        world.clock.advance(61)
        world.another_claims(only)

    disturb(world, "", take_over)

    visit(world, only)

    assert (world.row(only).owner, world.delivery(only).status) == ("another", "pending")
    assert world.event_log.events() == ["message.accepted"]


def test_a_visit_that_lost_a_record_leaves_its_dead_letters_to_the_sweeper(world):
    """Its view of the row is no longer true; the row still has them to send."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    rehearse(world, NOT_FOUND, name="WEBHOOK")
    rehearse(world, overtaken(world, second, Delivered()))

    visit(world, first)
    owed = world.row(first)
    world.clock.advance(60)
    world.sweeper.sweep()

    assert (owed.deliveries[0].dead_letter_owed, owed.sweep_at <= world.clock.now()) == (True, True)
    assert queues(world) == ["dead_letter", "retry"]


@pytest.mark.parametrize("times", [1, 9, 10, 25])
def test_a_record_is_computed_again_while_the_claim_is_held(world, times):
    """Writes of others in between drop no outcome, however many they are [24]."""
    (only,) = send(world)
    rehearse(world, BUSY)
    disturb(world, "", *[lambda: world.put(only, rings=1)] * times)

    visit(world, only)

    row, delivery = world.row(only), world.delivery(only)
    assert (sends(world), delivery.attempts, row.owner, row.rings) == (1, 1, None, 0)
    assert world.event_log.events()[1:] == ["delivery.attempted"]


def test_a_record_stands_although_the_lease_has_expired(world):
    """An expired claim is held until another worker takes it over."""
    (only,) = send(world)
    rehearse(world, slowly(world, 500))

    visit(world, only)

    assert world.delivery(only).status == "success"
