"""The sweeper: outbox, long delays and repair."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.delivery import transitions
from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.delivery.outcomes import Permanent, Retry
from dispatcher.delivery.rows import SHARDS, message_id_of, shard_of
from dispatcher.errors import UnavailableError
from dispatcher.responses import rfc3339
from tests.fakes import Faulty
from tests.world import USER, World

BUSY = Retry("http_503", "the receiver returned 503")
NOTHING = {"rung": 0, "dead_letters": 0, "passed": 0, "faults": 0, "oldest_due_seconds": 0}


def send(world, *types: str, **body) -> list[str]:
    """Accept a message over some integrations, whose ring is lost."""
    body = {"request_id": "r-1", "integration_types": list(types or ["TEST"]), **body}
    ids = world.send(**body)
    world.doorbells.taken()
    return ids


def send_in_one_shard(world, count: int) -> list[str]:
    """Accept messages of one shard, a second apart, whose rings are lost."""
    ids = []
    while len(ids) < count:
        (only,) = send(world, request_id=f"r-{len(ids)}")
        if ids and shard_of(message_id_of(only)) != shard_of(message_id_of(ids[0])):
            del world.table.rows[USER, f"MESSAGE#{message_id_of(only)}"]
            del world.table.rows[USER, f"REQUEST#r-{len(ids)}"]
        else:
            ids.append(only)
            world.clock.advance(1)
    return ids


def fail(world, *types: str) -> list[str]:
    """Accept a message whose first delivery fails finally, and whose dead letter is not sent."""
    ids = send(world, *types)
    world.channels["TEST"].outcomes.append(Permanent("http_404", "no"))
    world.doorbells.broken = True
    with pytest.raises(UnavailableError):
        world.handle(world.doorbell(ids[0]))
    world.doorbells.broken = False
    return ids


def swept(world) -> dict[str, int]:
    """Sweep, and return the counts that are not zero."""
    return {name: count for name, count in world.sweeper.sweep().items() if count}


class Table:
    """A table of which a test replaces some calls."""

    def __init__(self, table, **calls) -> None:
        self._table = table
        self._calls = calls

    def __getattr__(self, name):
        """Return the replacement, else the table's own."""
        return self._calls.get(name) or getattr(self._table, name)


def sweeper_over(world, **calls):
    """Return a sweeper whose table has other calls."""
    context = replace(world.context, messages=Table(world.table, **calls))
    return replace(world.sweeper, context=context)


# Rings --------------------------------------------------------------------------------------------


def test_an_overdue_message_is_rung_for_once(world):
    """A minute after its due time the sweeper rings for the row, however many are due in it."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    world.clock.advance(59.9)
    early = world.sweeper.sweep()
    world.clock.advance(0.1)

    late = world.sweeper.sweep()

    row = world.row(first)
    assert early == NOTHING
    assert late == {**NOTHING, "rung": 1, "oldest_due_seconds": 60}
    assert world.doorbells.rung == [("retry", world.doorbell(second), 0)]
    assert (row.sweep_at, row.rings) == (world.clock.now() + 60, 1)
    assert world.event_log.lines[-1] == ("sweep.finished", late)


def test_each_message_is_rung_for_on_its_own(world):
    """Messages of one user or of two are two rings."""
    for user, request in [(USER, "r-1"), (USER, "r-2"), ("grace", "r-1")]:
        world.acceptance.accept(user, {"content": "x", "request_id": request})
    world.doorbells.taken()
    world.clock.advance(60)

    world.sweeper.sweep()

    rung = sorted((bell.user_id, bell.request_id) for _, bell, _ in world.doorbells.rung)
    assert rung == [(USER, "r-1"), (USER, "r-2"), ("grace", "r-1")]


def test_every_shard_is_swept(world):
    """All 32 shards are swept, and each of their rows is rung for once."""
    ids = [send(world, request_id=f"r-{number}")[0] for number in range(300)]
    world.clock.advance(60)

    counted = world.sweeper.sweep()

    assert {shard_of(message_id_of(one)) for one in ids} == set(range(SHARDS))
    assert counted == {**NOTHING, "rung": 300, "oldest_due_seconds": 60}
    rung = [bell.message_id for _, bell, _ in world.doorbells.rung]
    assert sorted(rung) == sorted(map(message_id_of, ids))
    assert swept(world) == {}


def test_a_retry_is_rung_for_when_its_own_ring_is_late(world):
    """A minute after a retry was due, the sweeper rings for it."""
    (only,) = send(world)
    world.channels["TEST"].outcomes.append(BUSY)
    world.handle(world.doorbell(only))
    world.doorbells.taken()
    world.clock.advance(70)

    counted = swept(world)

    assert counted == {"rung": 1, "oldest_due_seconds": 60}
    assert world.doorbells.rung == [("retry", world.doorbell(only), 0)]


def test_a_waiting_delivery_is_not_rung_for(world):
    """The ring of a ``first_success`` message is for the delivery that goes, which is far."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST", mode="first_success")
    world.put(first, due_at=world.clock.now() + 5000, sweep_at=world.clock.now() + 4100)
    assert transitions.state_of(world.row(first), 1) is transitions.State.WAITING
    world.clock.advance(4000)
    early = swept(world)
    world.clock.advance(100)

    counted = swept(world)

    assert (early, counted) == ({}, {"rung": 1})
    assert world.doorbells.rung == [("retry", world.doorbell(first), 900)]
    assert world.delivery(second).tries == 0


def test_rings_grow_rarer(world):
    """The sweeper rings again after 60, 120, 240, 480 and 900 s, so it multiplies no backlog."""
    (only,) = send(world)
    gaps = []
    for _ in range(8):
        world.clock.seconds = world.row(only).sweep_at
        world.sweeper.sweep()
        gaps.append(world.row(only).sweep_at - world.clock.now())

    assert gaps == [60, 120, 240, 480, 900, 900, 900, 900]
    assert len(world.doorbells.rung) == 8


def test_a_claim_resets_the_back_off(world):
    """A message that a worker claimed is rung for again after 60 s."""
    (only,) = send(world)
    world.clock.advance(60)
    world.sweeper.sweep()
    world.another_claims(only)
    world.clock.advance(60)

    world.sweeper.sweep()

    row = world.row(only)
    assert (row.rings, row.sweep_at) == (1, world.clock.now() + 60)


# Claims -------------------------------------------------------------------------------------------


def test_a_live_claim_is_not_rung_for(world):
    """While a lease is live the sweeper rings for nothing, and looks again when it ends."""
    world.webhook()
    first, _ = send(world, "WEBHOOK", "TEST")
    world.clock.advance(60)
    claimed = world.another_claims(first)
    world.put(first, sweep_at=world.clock.now())

    counted = swept(world)

    assert (counted, world.doorbells.rung) == ({}, [])
    row = world.row(first)
    assert (row.sweep_at, row.rings, row.owner) == (claimed.lease_until, 0, "another")


def test_a_live_claim_keeps_the_dead_letters_that_are_owed(world):
    """The holder of a claim sends them at the end of its visit."""
    world.webhook()
    failed, other = send(world, "WEBHOOK", "TEST")
    owed = {"status": "failed", "error_code": "http_404", "dead_letter_owed": True}
    world.put(failed, **owed, sweep_at=world.clock.now())
    claimed = world.another_claims(other)

    counted = swept(world)

    assert (counted, world.doorbells.rung) == ({}, [])
    assert (world.row(other).sweep_at, claimed.current) == (claimed.lease_until, 1)


def test_an_expired_claim_is_rung_for(world):
    """A claim counts as due when its lease ends."""
    (only,) = send(world)
    claimed = world.another_claims(only)
    world.clock.seconds = claimed.lease_until

    counted = swept(world)

    assert counted == {"rung": 1, "oldest_due_seconds": 60}
    assert world.doorbells.rung == [("retry", world.doorbell(only), 0)]
    row = world.row(only)
    assert (row.sweep_at, row.rings, row.owner) == (world.clock.now() + 60, 1, "another")


def test_an_expired_claim_is_rung_for_beside_a_far_delivery(world):
    """The due time of the expired claim counts, not that of the delivery that is due in hours."""
    world.webhook()
    claimed, far = send(world, "WEBHOOK", "TEST")
    world.put(far, due_at=world.clock.now() + 5000)
    world.another_claims(claimed)
    world.clock.advance(60)

    counted = swept(world)

    assert counted == {"rung": 1, "oldest_due_seconds": 60}
    assert world.doorbells.rung == [("retry", world.doorbell(claimed), 0)]


# Long delays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["first", "retry"])
def test_a_far_delivery_is_rung_for_900_seconds_before(world, kind):
    """The ring waits in the queue for the rest."""
    if kind == "first":
        (only,) = send(world, deliver_at=rfc3339(world.clock.now() + 5000))
    else:
        world.override("TEST", enabled=True, retry_delay_seconds=5000)
        (only,) = send(world)
        world.channels["TEST"].outcomes.append(BUSY)
        world.handle(world.doorbell(only))
        assert world.doorbells.rung == []
    due_at = world.delivery(only).due_at
    world.clock.seconds = due_at - 901
    early = swept(world)
    world.clock.seconds = due_at - 890.5

    late = swept(world)

    assert (early, late) == ({}, {"rung": 1})
    assert world.doorbells.rung == [("retry", world.doorbell(only), 891)]
    assert world.row(only).sweep_at == due_at + 60


def test_a_far_delivery_that_is_swept_early_is_not_rung_for(world):
    """After a cancel the row may be swept early: the sweeper looks again 900 s before."""
    world.webhook()
    first, far = send(world, "WEBHOOK", "TEST")
    due_at = world.clock.now() + 5000
    world.put(far, due_at=due_at)
    world.rounds.cancel(USER, first)
    world.clock.advance(60)

    counted = swept(world)

    assert (counted, world.doorbells.rung) == ({}, [])
    row = world.row(far)
    assert (row.sweep_at, row.rings) == (due_at - 900, 0)


# Dead letters -------------------------------------------------------------------------------------


def test_an_owed_dead_letter_is_sent_and_cleared(world):
    """A failed delivery makes nothing late, however long ago it was due."""
    (only,) = fail(world)
    world.clock.advance(5000)

    first, second = swept(world), swept(world)

    assert (first, second) == ({"dead_letters": 1}, {})
    assert world.doorbells.rung == [("dead_letter", DeadLetter(USER, only, 2), 0)]
    assert (world.delivery(only).dead_letter_owed, world.row(only).sweep_at) == (False, None)


def test_after_its_dead_letters_a_row_is_rung_for(world):
    """The same sweep rings for another delivery of the message that is due."""
    world.webhook()
    failed, other = fail(world, "TEST", "WEBHOOK")[::-1]
    world.put(failed, status="failed", error_code="http_404", dead_letter_owed=True)
    world.put(other, status="pending", dead_letter_owed=False, due_at=world.clock.now())
    world.clock.advance(60)

    counted = swept(world)

    assert counted == {"dead_letters": 1, "rung": 1, "oldest_due_seconds": 60}
    assert world.doorbells.rung == [
        ("dead_letter", DeadLetter(USER, failed, 2), 0),
        ("retry", world.doorbell(other), 0),
    ]
    row = world.row(failed)
    assert (row.sweep_at, row.rings) == (world.clock.now() + 60, 1)


def test_a_claim_beside_dead_letters_ends_the_service_of_a_row(world):
    """A worker that claims while they are sent continues with everything that is due."""
    world.webhook()
    other, failed = send(world, "WEBHOOK", "TEST")
    world.put(failed, status="failed", error_code="http_404", dead_letter_owed=True)
    world.clock.advance(60)
    send_dead_letter = world.doorbells.send_dead_letter

    def meanwhile(dead_letter):
        send_dead_letter(dead_letter)
        world.another_claims(other)

    world.doorbells.send_dead_letter = meanwhile

    counted = swept(world)

    assert counted == {"dead_letters": 1}
    assert world.doorbells.rung == [("dead_letter", DeadLetter(USER, failed, 2), 0)]
    row = world.row(other)
    assert (world.delivery(failed).dead_letter_owed, row.owner) == (False, "another")
    assert row.sweep_at <= row.lease_until


def test_a_dead_letter_that_cannot_be_sent_stays_owed(world):
    """It is a fault of this sweep, and a task of the next."""
    (only,) = fail(world)
    world.doorbells.broken = True
    world.clock.advance(60)

    counted = swept(world)

    assert (counted, world.delivery(only).dead_letter_owed) == ({"faults": 1}, True)


def test_a_dead_letter_is_sent_again_if_it_could_not_be_cleared():
    """A dead letter may be sent twice, but never lost."""
    fates: list[str] = []
    world = World(wrap=lambda port: Faulty(port, lambda _: fates.pop() if fates else "", "write"))
    (only,) = fail(world)
    world.clock.advance(60)
    fates.append("throttled")

    first, second = swept(world), swept(world)

    assert (first, second) == ({"faults": 1}, {"dead_letters": 1})
    assert world.doorbells.rung == [("dead_letter", DeadLetter(USER, only, 2), 0)] * 2


def test_a_dead_letter_of_an_earlier_round_clears_nothing(world):
    """A round that began while it was sent keeps its state; the doubled dead letter is harmless."""
    (only,) = fail(world)
    world.clock.advance(60)
    send_dead_letter = world.doorbells.send_dead_letter

    def meanwhile(dead_letter):
        world.rounds.retry(USER, only)
        world.channels["TEST"].outcomes.append(Permanent("http_404", "no"))
        world.doorbells.send_dead_letter = lambda _: None
        world.handle(world.doorbell(only))
        world.put(only, dead_letter_owed=True)
        send_dead_letter(dead_letter)

    world.doorbells.send_dead_letter = meanwhile

    world.sweeper.sweep()

    assert (world.delivery(only).round, world.delivery(only).dead_letter_owed) == (2, True)


def test_a_row_without_work_leaves_the_index(world):
    """If no delivery is pending and no dead letter is unsent, ``sweep_at`` is removed."""
    (only,) = send(world)
    world.run()
    world.handle(world.doorbell(only))
    world.put(only, sweep_at=world.clock.now())

    counted = swept(world)

    assert (counted, world.doorbells.rung) == ({}, [])
    assert (world.delivery(only).status, world.row(only).sweep_at) == ("success", None)


# The index lags, rows move ------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["gone", "ended", "later"])
def test_an_index_that_lags_behind_is_harmless(world, case):
    """The row decides, read consistently: a row that is not overdue is passed over."""
    (only,) = send(world)
    world.clock.advance(60)
    match case:
        case "gone":
            world.table.rows.clear()
        case "ended":
            world.handle(world.doorbell(only))
        case "later":
            world.put(only, sweep_at=world.clock.now() + 0.001)
    before = dict(world.table.rows)
    key = (USER, message_id_of(only))
    sweeper = sweeper_over(world, overdue=lambda shard, _: iter([key] if shard == 0 else []))

    counted = sweeper.sweep()

    assert counted == {**NOTHING, "passed": 1}
    assert (world.table.rows, world.doorbells.rung) == (before, [])


def test_a_row_that_moved_on_is_not_stamped(world):
    """The ring was one too many; the row stays as the other writer left it."""
    (only,) = send(world)
    world.clock.advance(60)
    ring = world.doorbells.ring

    def meanwhile(doorbell, *, delay=0):
        ring(doorbell, delay=delay)
        world.another_claims(only)

    world.doorbells.ring = meanwhile

    counted = swept(world)

    row = world.row(only)
    assert counted == {"rung": 1, "oldest_due_seconds": 60}
    assert (row.owner, row.rings, len(world.doorbells.rung)) == ("another", 0, 1)


def test_a_row_that_is_removed_meanwhile_is_passed_over(world):
    """DynamoDB removed it between the ring and the stamp."""
    send(world)
    world.clock.advance(60)
    world.doorbells.ring = lambda *_, **__: world.table.rows.clear()

    counted = swept(world)

    assert counted == {"rung": 1, "passed": 1, "oldest_due_seconds": 60}


def test_two_sweeps_at_once_stamp_a_row_once(world):
    """They may ring twice; the back-off grows by one step."""
    (only,) = send(world)
    world.clock.advance(60)
    ring, second = world.doorbells.ring, []

    def meanwhile(doorbell, *, delay=0):
        ring(doorbell, delay=delay)
        if not second:
            second.append({})
            second[0] = swept(world)

    world.doorbells.ring = meanwhile

    first = swept(world)

    assert first == second[0] == {"rung": 1, "oldest_due_seconds": 60}
    row = world.row(only)
    assert (row.rings, row.sweep_at) == (1, world.clock.now() + 60)
    assert len(world.doorbells.rung) == 2


# Faults -------------------------------------------------------------------------------------------


def test_without_a_ring_there_is_no_stamp(world):
    """If the queue fails, the row stays overdue for the next sweep."""
    (only,) = send(world)
    world.clock.advance(60)
    before = world.row(only)
    world.doorbells.broken = True

    counted = swept(world)

    assert counted == {"faults": 1, "oldest_due_seconds": 60}
    assert world.row(only) == before


def test_a_row_whose_stamp_fails_is_rung_for_twice():
    """The ring comes first, so a fault doubles it and never loses it; other rows are served."""
    fates: list[str] = []
    world = World(wrap=lambda port: Faulty(port, lambda _: fates.pop() if fates else "", "write"))
    send_in_one_shard(world, 2)
    world.clock.advance(60)
    fates.append("throttled")

    first, second = swept(world), swept(world)

    assert first == {"rung": 2, "faults": 1, "oldest_due_seconds": 62}
    assert second == {"rung": 1, "oldest_due_seconds": 62}
    assert len(world.doorbells.rung) == 3


def test_a_shard_that_cannot_be_read_delays_no_other(world):
    """It is counted as a fault; the rows of other shards are rung for."""
    ids = [send(world, request_id=f"r-{number}")[0] for number in range(20)]
    world.clock.advance(60)
    shards = [shard_of(message_id_of(one)) for one in ids]

    def overdue(shard, now):
        if shard == shards[0]:
            raise UnavailableError("Query failed: rehearsed")
        return world.table.overdue(shard, now)

    counted = sweeper_over(world, overdue=overdue).sweep()

    others = len(ids) - shards.count(shards[0])
    assert counted == {**NOTHING, "rung": others, "faults": 1, "oldest_due_seconds": 60}
    assert len(world.doorbells.rung) == others


def test_an_unreadable_row_does_not_hold_up_its_shard(world):
    """A row that cannot be read as a message is counted and named; the others are rung for."""
    broken, whole = send_in_one_shard(world, 2)
    world.clock.advance(60)

    def message(user_id, message_id):
        if message_id == message_id_of(broken):
            raise KeyError("due_at")
        return world.table.message(user_id, message_id)

    counted = sweeper_over(world, message=message).sweep()

    assert counted == {**NOTHING, "rung": 1, "faults": 1, "oldest_due_seconds": 61}
    assert world.doorbells.rung == [("retry", world.doorbell(whole), 0)]
    unreadable = {"user_id": USER, "message_id": message_id_of(broken), "error": "KeyError"}
    assert ("row.unreadable", unreadable) in world.event_log.lines


def test_a_row_of_the_wrong_types_does_not_hold_up_its_shard(world):
    """A due time that is no number breaks only its own row."""
    broken, whole = send_in_one_shard(world, 2)
    world.put(broken, due_at="soon")
    world.clock.advance(60)

    counted = swept(world)

    assert counted == {"rung": 1, "faults": 1, "oldest_due_seconds": 61}
    assert world.row(whole).rings == 1


# Time ---------------------------------------------------------------------------------------------


def test_a_sweep_leaves_the_rest_to_the_next_after_45_seconds(world):
    """A sweep begins every minute, so this one stops in time."""
    send_in_one_shard(world, 5)
    world.clock.advance(60)
    ring = world.doorbells.ring

    def slow(doorbell, *, delay=0):
        ring(doorbell, delay=delay)
        world.clock.advance(20)

    world.doorbells.ring = slow

    counted = world.sweeper.sweep()

    assert (counted["rung"], len(world.doorbells.rung)) == (3, 3)


def test_the_oldest_due_time_counts_though_a_sweep_ends_early(world):
    """The index gives the oldest rows first, so the rest is younger."""
    send_in_one_shard(world, 3)
    world.clock.advance(300)
    world.doorbells.ring = lambda *_, **__: world.clock.advance(50)

    counted = swept(world)

    assert counted == {"rung": 1, "oldest_due_seconds": 303}


def test_everything_is_delivered_within_two_sweeps_of_a_purge(world):
    """A purge of the queues loses rings, and nothing else."""
    world.webhook()
    ids = [one for number in range(9) for one in world.send(request_id=f"r-{number}")]
    world.doorbells.taken()

    for _ in range(2):
        world.clock.advance(60)
        world.sweeper.sweep()
        world.run()

    assert len(ids) == 18
    assert {world.delivery(one).status for one in ids} == {"success"}
