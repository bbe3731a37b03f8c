"""The sweeper: outbox, long delays and repair."""

from __future__ import annotations

import dataclasses

import pytest

from dispatcher.delivery.doorbells import DeliveryBell, RequestBell, Ticket
from dispatcher.delivery.outcomes import Permanent, Retry
from dispatcher.delivery.protocol import shard_of
from dispatcher.errors import UnavailableError
from tests.fakes import Faulty
from tests.world import USER, World

BUSY = Retry("http_503", "the receiver answered 503")
QUIET = {"rung": 0, "tickets": 0, "passed": 0, "faults": 0, "oldest_due_seconds": 0}


def send(world, *types: str, **body) -> list[str]:
    """Accept a message over some integrations, its ring lost."""
    ids = world.send(request_id="r-1", integration_types=list(types or ["TEST"]), **body)
    world.doorbells.taken()
    return ids


def swept(world) -> dict:
    """Sweep, and return what was counted that is not zero."""
    return {name: count for name, count in world.sweeper.sweep().items() if count}


def test_what_nobody_rang_for_is_rung_for_once_per_request(world):
    """A minute after it was due; first tries keep their order behind one doorbell."""
    world.webhook()
    ids = send(world, "WEBHOOK", "TEST")
    world.clock.advance(59.9)
    early = world.sweeper.sweep()
    world.clock.advance(0.1)

    late = world.sweeper.sweep()

    now = world.clock.now()
    assert early == QUIET
    assert late == {**QUIET, "rung": 2, "oldest_due_seconds": 60}
    assert world.doorbells.rung == [("delivery", RequestBell(USER, "r-1"), 0)]
    assert [(world.row(one).sweep_at, world.row(one).rings) for one in ids] == [(now + 60, 1)] * 2
    assert world.event_log.lines[-1] == ("sweep.done", late)


def test_two_requests_are_two_rings(world):
    """Of one user or of two."""
    world.acceptance.accept(USER, {"content": "x", "request_id": "r-1"})
    world.acceptance.accept(USER, {"content": "x", "request_id": "r-2"})
    world.acceptance.accept("grace", {"content": "x", "request_id": "r-1"})
    world.doorbells.taken()
    world.clock.advance(60)

    world.sweeper.sweep()

    assert {one[1] for one in world.doorbells.rung} == {
        RequestBell(USER, "r-1"), RequestBell(USER, "r-2"), RequestBell("grace", "r-1"),
    }  # fmt: skip
    assert len(world.doorbells.rung) == 3


def test_users_of_every_shard_are_swept(world):
    """All eight, the first among them."""
    users = {}
    for number in range(100):
        users.setdefault(shard_of(f"u{number}"), f"u{number}")
    for user in users.values():
        world.acceptance.accept(user, {"content": "x", "request_id": "r-1"})
    world.doorbells.taken()
    world.clock.advance(60)

    result = world.sweeper.sweep()

    assert (len(users), result["rung"]) == (8, 8)
    assert {one[1].user_id for one in world.doorbells.rung} == set(users.values())


def test_a_retry_is_rung_for_on_its_own(world):
    """On the queue of retries, once its own ring is a minute late."""
    (only,) = send(world)
    world.channels["TEST"].outcomes.append(BUSY)
    world.answer(RequestBell(USER, "r-1"))
    world.doorbells.taken()
    world.clock.advance(70)

    counts = swept(world)

    assert counts == {"rung": 1, "oldest_due_seconds": 60}
    assert world.doorbells.rung == [("retry", DeliveryBell(USER, only, world.row(only).due_at), 0)]


def test_a_lapsed_claim_is_rung_for(world):
    """When its lease ends."""
    (only,) = send(world)
    world.another_claims(only)
    world.clock.advance(60)

    world.sweeper.sweep()

    assert world.doorbells.rung == [("retry", DeliveryBell(USER, only, world.row(only).due_at), 0)]


@pytest.mark.parametrize("kind", ["first", "retry"])
def test_a_far_delivery_is_rung_for_900_seconds_before(world, kind):
    """The ring waits in the queue for the rest."""
    world.override("TEST", enabled=True, retry_delay_seconds=5000)
    (only,) = send(world)
    if kind == "retry":
        world.channels["TEST"].outcomes.append(BUSY)
        world.answer(RequestBell(USER, "r-1"))
    else:
        due_at = world.clock.now() + 5000
        world.put(only, due_at=due_at, sweep_at=due_at - 900)
    world.clock.advance(4099)
    early = swept(world)
    world.clock.advance(10.5)

    late = swept(world)

    due_at = world.row(only).due_at
    assert (early, late) == ({}, {"rung": 1})
    assert world.doorbells.rung == [
        ("delivery", RequestBell(USER, "r-1"), 891)
        if kind == "first"
        else ("retry", DeliveryBell(USER, only, due_at), 891)
    ]
    assert world.row(only).sweep_at == due_at + 60


def test_rings_grow_rarer(world):
    """A backlog is not multiplied; from the eighth on each rings for itself."""
    (only,) = send(world)
    gaps, kinds = [], []
    for _ in range(10):
        world.clock.seconds = world.row(only).sweep_at
        world.sweeper.sweep()
        gaps.append(world.row(only).sweep_at - world.clock.now())
        kinds.append(world.doorbells.taken()[0][0])

    assert gaps == [60, 120, 240, 480, 900, 900, 900, 900, 900, 900]
    assert kinds == ["delivery"] * 8 + ["retry"] * 2


def test_a_claim_begins_the_rings_anew(world):
    """What was answered is no backlog."""
    (only,) = send(world)
    world.clock.advance(60)
    world.sweeper.sweep()
    world.another_claims(only)
    world.clock.advance(60)

    world.sweeper.sweep()

    assert (world.row(only).rings, world.row(only).sweep_at) == (1, world.clock.now() + 60)


def test_an_owed_ticket_is_sent_and_settled(world):
    """No doorbell rings for a failed delivery."""
    (only,) = send(world)
    world.channels["TEST"].outcomes.append(Permanent("http_404", "no"))
    world.doorbells.broken = True
    world.answer(RequestBell(USER, "r-1"))
    world.doorbells.broken = False
    world.clock.advance(60)

    first, second = swept(world), swept(world)

    assert (first, second) == ({"tickets": 1}, {})
    assert world.doorbells.rung == [("dead_letter", Ticket(USER, only, 2), 0)]
    assert (world.row(only).ticket_owed, world.row(only).sweep_at) == (False, None)


def test_a_ticket_that_cannot_be_sent_stays_owed(world):
    """Until it can."""
    (only,) = send(world)
    world.channels["TEST"].outcomes.append(Permanent("http_404", "no"))
    world.doorbells.broken = True
    world.answer(RequestBell(USER, "r-1"))
    world.clock.advance(60)

    counts = swept(world)

    assert (counts, world.row(only).ticket_owed) == ({"faults": 1}, True)


def test_a_ticket_of_a_round_that_is_over_settles_nothing(world):
    """The index was behind: a fresh round has begun; the doubled ticket does no harm."""
    (only,) = send(world)
    world.channels["TEST"].outcomes.append(Permanent("http_404", "no"))
    world.doorbells.broken = True
    world.answer(RequestBell(USER, "r-1"))
    world.doorbells.broken = False
    stale = world.deliveries.delivery(USER, only)
    world.clock.advance(60)
    world.rounds.retry(USER, only)
    before = world.row(only)
    world.doorbells.taken()

    outcome = world.sweeper._serve(stale, set())

    assert (outcome, world.row(only)) == ("tickets", before)
    assert world.doorbells.rung == [("dead_letter", Ticket(USER, only, 2), 0)]


def test_a_row_that_moved_is_passed_over(world):
    """Ring first, then stamp: the ring is one too many, the row as the other left it."""
    (only,) = send(world)
    stale = world.deliveries.delivery(USER, only)
    world.clock.advance(1)
    world.another_claims(only)
    before = world.row(only)

    outcome = world.sweeper._serve(stale, set())

    assert (outcome, world.row(only)) == ("passed", before)
    assert len(world.doorbells.rung) == 1


def test_without_a_ring_there_is_no_stamp(world):
    """A queue that does not take it leaves the row to the next sweep."""
    (only,) = send(world)
    world.clock.advance(60)
    before = world.row(only)
    world.doorbells.broken = True

    counts = swept(world)

    assert counts == {"faults": 1, "oldest_due_seconds": 60}
    assert world.row(only) == before


def test_a_faulty_stamp_rings_twice_and_never_not_at_all():
    """The next sweep meets the row again; the others are served."""
    fates = ["throttled"]
    world = World(wrap=lambda port: Faulty(port, lambda _: fates.pop() if fates else "", "apply"))
    world.acceptance.accept(USER, {"content": "x", "request_id": "r-1"})
    world.acceptance.accept(USER, {"content": "x", "request_id": "r-2"})
    world.doorbells.taken()
    world.clock.advance(60)

    first, second = swept(world), swept(world)

    assert (first["rung"], first["faults"], second["rung"]) == (1, 1, 1)
    assert len(world.doorbells.rung) == 3


def test_a_shard_that_cannot_be_read_costs_nobody_else(world):
    """It is counted."""
    world.acceptance.accept("u0", {"content": "x"})
    world.acceptance.accept("u1", {"content": "x"})
    world.doorbells.taken()
    world.clock.advance(60)
    assert shard_of("u0") != shard_of("u1")

    class OneShardDown:
        """A table of which one partition does not answer."""

        def due(self, shard, now):
            """Fail for one shard."""
            if shard == shard_of("u0"):
                raise UnavailableError("Query failed: rehearsed")
            return world.deliveries.due(shard, now)

        apply = world.deliveries.apply

    sweeper = type(world.sweeper)(
        deliveries=OneShardDown(),
        doorbells=world.doorbells,
        clock=world.clock,
        event_log=world.event_log,
    )

    counts = sweeper.sweep()

    assert (counts["rung"], counts["faults"]) == (1, 1)
    assert [one[1].user_id for one in world.doorbells.rung] == ["u1"]


def test_a_sweep_leaves_the_rest_to_the_next_after_45_seconds(world):
    """One sweep a minute."""
    for number in range(5):
        world.acceptance.accept(USER, {"content": "x", "request_id": f"r-{number}"})
    world.doorbells.taken()
    world.clock.advance(60)
    ring = world.doorbells.ring

    def slow(doorbell, *, delay=0):
        ring(doorbell, delay=delay)
        world.clock.advance(20)

    world.doorbells.ring = slow

    counts = world.sweeper.sweep()

    assert (counts["rung"], len(world.doorbells.rung)) == (3, 3)


def test_all_is_delivered_within_two_sweeps_of_a_lost_queue(world):
    """A purge loses rings, and rings only."""
    world.webhook()
    ids = [one for number in range(9) for one in world.send(request_id=f"r-{number}")]
    world.doorbells.taken()

    for _ in range(2):
        world.clock.advance(60)
        world.sweeper.sweep()
        world.run()

    assert len(ids) == 18
    assert {world.row(one).status for one in ids} == {"success"}


@pytest.mark.parametrize("missing", ["due_at", "delivery_id", "request_id", "round"])
def test_a_damaged_row_does_not_hold_up_its_shard(world, missing):
    """It is counted and told by name; the others are rung for."""
    (broken,) = send(world)
    (whole,) = world.send(request_id="r-2", integration_types=["TEST"])
    world.doorbells.taken()
    del world.deliveries.rows[USER, f"DELIVERY#{broken}"][missing]
    world.clock.advance(61)

    counted = swept(world)

    assert counted == {"rung": 1, "faults": 1, "oldest_due_seconds": 61}
    assert world.doorbells.rung == [("delivery", RequestBell(USER, "r-2"), 0)]
    assert (
        "row.broken",
        {"row": f"DELIVERY#{broken}", "error": "KeyError"},
    ) in world.event_log.lines
    assert world.row(whole).rings == 1


def test_a_row_of_the_wrong_types_does_not_hold_up_its_shard(world):
    """How late it is, too, must not be worked out from what is no time."""
    (broken,) = send(world)
    (whole,) = world.send(request_id="r-2", integration_types=["TEST"])
    world.doorbells.taken()
    world.put(broken, due_at="soon")
    world.clock.advance(61)

    counted = swept(world)

    assert counted == {"rung": 1, "faults": 1, "oldest_due_seconds": 61}
    assert world.row(whole).rings == 1


# Many rows ----------------------------------------------------------------------------------------


def test_eight_threads_ring_as_one_would(world):
    """Once per request and for every request, whoever of them takes which."""
    world.webhook()
    for number in range(500):
        world.send(request_id=f"r-{number}")
    world.doorbells.taken()
    world.clock.advance(60)

    counted = dataclasses.replace(world.sweeper, threads=8).sweep()

    assert counted == {**QUIET, "rung": 1000, "oldest_due_seconds": 60}
    assert len(world.doorbells.rung) == 500
    assert {one[1] for one in world.doorbells.rung} == {
        RequestBell(USER, f"r-{number}") for number in range(500)
    }
    assert swept(world) == {}


def test_two_sweeps_at_once_stamp_each_row_once(world):
    """They may ring twice; the back-off grows by one step."""
    ids = [one for number in range(9) for one in world.send(request_id=f"r-{number}")]
    world.doorbells.taken()
    world.clock.advance(60)
    ring, second = world.doorbells.ring, []

    def meanwhile(doorbell, *, delay=0):
        ring(doorbell, delay=delay)
        if not second:
            second.append("begun")
            second[0] = world.sweeper.sweep()

    world.doorbells.ring = meanwhile

    first = world.sweeper.sweep()

    assert {(world.row(one).rings, world.row(one).sweep_at) for one in ids} == {
        (1, world.clock.now() + 60)
    }
    assert (second[0]["rung"], first["rung"], first["passed"]) == (9, 0, 9)
    assert len(world.doorbells.rung) == 18


def test_the_oldest_of_what_was_read_is_told_though_a_sweep_ends_early(world):
    """What nobody rang for yet comes in the order in which it was due: the rest is younger."""
    for number in range(3):
        world.send(request_id=f"r-{number}")
        world.clock.advance(100)
    world.doorbells.taken()
    world.doorbells.ring = lambda *_, **__: world.clock.advance(50)

    counted = swept(world)

    assert counted == {"rung": 1, "oldest_due_seconds": 300}


def test_an_owed_ticket_makes_nothing_late(world):
    """Its delivery is over: it waits for nobody, however long ago it was due."""
    (only,) = send(world)
    world.channels["TEST"].outcomes.append(Permanent("http_404", "no"))
    world.doorbells.broken = True
    world.answer(RequestBell(USER, "r-1"))
    world.doorbells.broken = False
    world.clock.advance(5000)

    counted = swept(world)

    assert counted == {"tickets": 1}
    assert world.row(only).sweep_at is None
