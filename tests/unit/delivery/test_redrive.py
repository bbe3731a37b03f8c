"""Starting a delivery over, and calling it off."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from dispatcher.delivery.doorbells import DeliveryBell, RequestBell, Ticket
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.errors import BrokenSettingError, ConflictError, NotFoundError, UnavailableError
from dispatcher.responses import rfc3339
from tests.fakes import Faulty, MemoryDeliveries
from tests.world import USER, World

BELL = RequestBell(USER, "r-1")
NOBODY = "00000000-0000-7000-8000-000000000000"
NO = Permanent("http_404", "the receiver answered 404")
TTL = 90 * 86_400


def send(world, *types: str, **body) -> list[str]:
    """Accept a message over some integrations and forget the ring."""
    ids = world.send(request_id="r-1", integration_types=list(types or ["TEST"]), **body)
    world.doorbells.taken()
    return ids


def failed(world) -> str:
    """Let one delivery fail for good, and forget its ticket."""
    (only,) = send(world)
    world.channels["TEST"].outcomes.append(NO)
    world.answer(BELL)
    world.doorbells.taken()
    return only


def chain(world, *outcomes) -> list[str]:
    """Let a WEBHOOK, then a TEST come to these outcomes, one after the other."""
    world.webhook()
    ids = send(world, "WEBHOOK", "TEST", mode="first_success")
    for name, outcome in zip(("WEBHOOK", "TEST"), outcomes, strict=False):
        world.channels[name].outcomes.append(outcome)
    if outcomes:
        world.answer(BELL)
        world.run()
    return ids


def conflict(call, *arguments) -> str:
    """Return why a call is refused."""
    with pytest.raises(ConflictError) as caught:
        call(*arguments)
    return str(caught.value)


# Retry --------------------------------------------------------------------------------------------


def test_a_failed_delivery_gets_a_fresh_round(world):
    """From nothing, with the policy of today; its log stays, and its doorbell rings at once."""
    only = failed(world)
    before = world.row(only)
    world.override("TEST", enabled=True, retry_count=7, retry_delay_seconds=3)
    world.clock.advance(50)

    answer = world.rounds.retry(USER, only)

    now, row = world.clock.now(), world.row(only)
    assert answer == {"delivery_id": only, "round": 2, "status": "pending"}
    assert row == dataclasses.replace(
        before,
        status="pending",
        round=2,
        tries=0,
        attempts=0,
        max_attempts=8,
        retry_delay_seconds=3,
        due_at=now,
        sweep_at=now + 60,
        ttl=None,
        error_code=None,
        error_message=None,
        opened_by=row.opened_by,
    )
    assert world.doorbells.rung == [("delivery", DeliveryBell(USER, only, now), 0)]
    assert world.event_log.lines[-1] == (
        "round.opened",
        {
            "user_id": USER, "delivery_id": only, "request_id": row.request_id,
            "integration_type": "TEST", "round": 2,
        },
    )  # fmt: skip


def test_a_second_round_is_counted_apart(world):
    """``attempts`` speak of the current round; the log tells both."""
    only = failed(world)
    world.rounds.retry(USER, only)

    world.run()

    row = world.row(only)
    assert (row.status, row.attempts, row.tries) == ("success", 1, 1)
    assert [(entry["round"], entry["number"]) for entry in row.attempt_log] == [(1, 1), (2, 1)]


@pytest.mark.parametrize("status", ["pending", "success", "skipped"])
def test_only_a_failed_delivery_can_be_retried(world, status):
    """The sentence says how it stands."""
    (only,) = send(world)
    world.put(only, status=status)

    reason = conflict(world.rounds.retry, USER, only)

    assert reason == f"delivery {only} is {status}: only a failed one can be retried"
    assert (world.row(only).round, world.doorbells.rung) == (1, [])


def test_what_is_no_longer_kept_cannot_be_retried(world):
    """There is nothing to send."""
    (only,) = send(world)
    del world.deliveries.rows[USER, "REQUEST#r-1"]
    world.answer(DeliveryBell(USER, only, 1.0))

    reason = conflict(world.rounds.retry, USER, only)

    assert reason == f"the message of delivery {only} is no longer kept: send it again"


@pytest.mark.parametrize("call", ["retry", "cancel"])
@pytest.mark.parametrize("kind", ["unknown", "foreign", "expired"])
def test_what_is_not_there_cannot_be_changed(world, call, kind):
    """Nor what is another user's, nor what has outlived its time."""
    only = failed(world)
    user, name = {"unknown": (USER, NOBODY), "foreign": ("grace", only)}.get(kind, (USER, only))
    if kind == "expired":
        world.clock.seconds = world.row(only).ttl + 0.001

    with pytest.raises(NotFoundError) as caught:
        getattr(world.rounds, call)(user, name)

    assert str(caught.value) == f"user {user} has no delivery {name}"


def test_a_round_that_somebody_else_opened_is_a_conflict():
    """One of two calls opens it."""
    world = World()
    only = failed(world)
    other = [lambda: world.rounds.retry(USER, only)]
    raced = Faulty(world.deliveries, lambda _: other.pop()() and "" if other else "", "apply")

    reason = conflict(dataclasses.replace(world.rounds, deliveries=raced).retry, USER, only)

    assert reason == (f"delivery {only} or a sibling has changed meanwhile: look at it again")
    assert (world.row(only).round, len(world.doorbells.rung)) == (2, 1)


@pytest.mark.parametrize("call", ["retry", "redeem"])
def test_a_round_whose_answer_was_lost_is_ours(call):
    """The refusal names who opened it: go on, and ring."""
    world = World()
    only = failed(world)
    lossy = Faulty(world.deliveries, lambda _: "repeated", "apply")
    rounds = dataclasses.replace(world.rounds, deliveries=lossy)

    if call == "retry":
        assert rounds.retry(USER, only)["round"] == 2
    else:
        assert rounds.redeem(Ticket(USER, only, 2)) is True

    assert (world.row(only).round, len(world.doorbells.rung)) == (2, 1)


def test_a_round_that_ran_before_its_lost_answer_was_noticed_is_ours():
    """Others wrote the row between our call and its repetition; who opened the round stands."""
    world = World()
    only = failed(world)

    class Lossy(MemoryDeliveries):
        """Repeats a call whose answer was lost, a whole attempt later."""

        def apply(self, key, change):
            super().apply(key, change)
            world.channels["TEST"].outcomes.append(Retry("http_503", "busy"))
            world.answer(DeliveryBell(USER, only, world.clock.now()))
            return super().apply(key, change)

    lossy = Lossy()
    lossy.rows = world.deliveries.rows
    answer = dataclasses.replace(world.rounds, deliveries=lossy).retry(USER, only)

    assert answer["round"] == 2
    assert (world.row(only).round, world.row(only).attempts) == (2, 1)


def test_a_ring_that_fails_is_the_sweepers(world):
    """The round is open all the same."""
    only = failed(world)
    world.doorbells.broken = True

    answer = world.rounds.retry(USER, only)
    world.doorbells.broken = False
    world.clock.advance(60)
    world.sweeper.sweep()

    assert answer["round"] == 2
    assert world.event_log.lines[-2] == ("doorbell.lost", {"user_id": USER, "delivery_id": only})
    assert [one[0] for one in world.doorbells.rung] == ["retry"]


def test_a_broken_setting_opens_nothing(world):
    """The policy could not be taken anew."""
    only = failed(world)
    world.environ["INTEGRATION_DEFAULTS_TEST_RETRY_COUNT"] = "many"

    with pytest.raises(BrokenSettingError):
        world.rounds.retry(USER, only)

    assert world.row(only).round == 1


# Tickets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "known", "opened"), [(2, True, 2), (3, False, 1), (9, False, 1)]
)
def test_a_ticket_opens_the_round_after_the_one_that_failed(world, number, known, opened):
    """No other; one that lies ahead is not ours."""
    only = failed(world)

    assert world.rounds.redeem(Ticket(USER, only, number)) is known

    assert world.row(only).round == opened


@pytest.mark.parametrize("status", ["pending", "success", "skipped"])
def test_a_ticket_for_what_has_not_failed_does_nothing(world, status):
    """Its round was opened already, or is not owed."""
    only = failed(world)
    world.put(only, status=status)
    before = world.row(only)

    assert world.rounds.redeem(Ticket(USER, only, 2)) is True

    assert (world.row(only), world.doorbells.rung) == (before, [])


@pytest.mark.parametrize("order", sorted(set(itertools.permutations(["ticket", "retry"] * 2))))
def test_redriving_and_retrying_twice_each_open_one_round(world, order):
    """Whoever comes first opens it; the others change nothing."""
    only = failed(world)
    ticket = Ticket(USER, only, 2)
    refused = 0

    for one in order:
        if one == "ticket":
            world.answer(ticket)
        else:
            try:
                world.rounds.retry(USER, only)
            except ConflictError:
                refused += 1

    row = world.row(only)
    assert (row.round, row.status, row.tries) == (2, "pending", 0)
    assert refused == (1 if order[0] == "retry" else 2)
    assert world.doorbells.rung == [("delivery", DeliveryBell(USER, only, row.due_at), 0)]


def test_an_old_ticket_does_nothing(world):
    """Doubled tickets open one round."""
    only = failed(world)
    world.rounds.redeem(Ticket(USER, only, 2))
    world.channels["TEST"].outcomes.append(NO)
    world.run()
    before = world.row(only)
    world.doorbells.taken()

    assert world.rounds.redeem(Ticket(USER, only, 2)) is True

    assert (before.round, before.status) == (2, "failed")
    assert (world.row(only), world.doorbells.rung) == (before, [])


def test_a_ticket_for_what_is_gone_does_nothing(world):
    """The delivery outlived its time."""
    assert world.rounds.redeem(Ticket(USER, NOBODY, 2)) is True
    assert world.doorbells.rung == []


@pytest.mark.parametrize(("late", "opened"), [(-0.001, True), (0.0, False), (5.0, False)])
def test_a_ticket_for_what_is_about_to_go_does_nothing(world, late, opened):
    """The table may remove the row at any moment after its time."""
    only = failed(world)
    world.clock.seconds = world.row(only).ttl + late

    assert world.rounds.redeem(Ticket(USER, only, 2)) is True

    assert (world.row(only).round == 2) is opened


# Siblings -----------------------------------------------------------------------------------------


def test_a_fresh_round_needs_that_no_sibling_succeeded(world):
    """A message that arrived is not sent another way."""
    ids = chain(world, NO, Delivered())

    reason = conflict(world.rounds.retry, USER, ids[0])

    assert reason.endswith("or a sibling has changed meanwhile: look at it again")
    assert world.rounds.redeem(Ticket(USER, ids[0], 2)) is True
    assert (world.row(ids[0]).round, world.row(ids[0]).status) == (1, "failed")


def test_a_fresh_round_needs_that_no_sibling_still_may_succeed(world):
    """One at a time."""
    ids = chain(world, NO, NO)
    world.rounds.retry(USER, ids[1])

    assert conflict(world.rounds.retry, USER, ids[0])

    assert [world.row(one).round for one in ids] == [1, 2]


@pytest.mark.parametrize("fate", ["failed", "cancelled"])
def test_a_fresh_round_beside_siblings_without_success(world, fate):
    """Failed or skipped, they allow it, and stay as they are."""
    if fate == "failed":
        ids = chain(world, NO, NO)
    else:
        ids = chain(world)
        world.rounds.cancel(USER, ids[1])
        world.channels["WEBHOOK"].outcomes.append(NO)
        world.answer(BELL)
    sibling = world.row(ids[1])
    world.doorbells.taken()

    world.rounds.retry(USER, ids[0])
    world.run()

    assert (world.row(ids[0]).status, world.row(ids[0]).round) == ("success", 2)
    assert world.row(ids[1]) == sibling


@pytest.mark.parametrize("call", ["retry", "redeem"])
def test_a_sibling_that_is_gone_forbids_no_fresh_round(world, call):
    """It ended before this one did, and without success: else this one had not been tried."""
    ids = chain(world, NO, NO)
    del world.deliveries.rows[USER, f"DELIVERY#{ids[0]}"]

    if call == "retry":
        world.rounds.retry(USER, ids[1])
    else:
        world.rounds.redeem(Ticket(USER, ids[1], 2))

    assert (world.row(ids[1]).round, len(world.doorbells.rung)) == (2, 1)


# Cancel -------------------------------------------------------------------------------------------


def test_a_pending_delivery_is_called_off(world):
    """It is answered whole, and never sent."""
    (only,) = send(world)
    before = world.row(only)

    answer = world.rounds.cancel(USER, only)
    world.answer(BELL)

    row = world.row(only)
    assert row == dataclasses.replace(
        before,
        status="skipped",
        error_code="cancelled",
        error_message="cancelled before it was sent",
        sweep_at=None,
        last_owner=row.last_owner,
        ttl=world.clock.now() + TTL + 1,
    )
    assert answer == row.as_json(with_log=True)
    assert (world.channels["TEST"].messages, world.doorbells.rung) == ([], [])
    assert world.event_log.lines[-1] == (
        "delivery.cancelled",
        {
            "user_id": USER, "delivery_id": only, "request_id": row.request_id,
            "integration_type": "TEST",
        },
    )  # fmt: skip


def test_calling_off_twice_is_calling_off_once(world):
    """The second answer is the first."""
    (only,) = send(world)

    first, second = (world.rounds.cancel(USER, only) for _ in range(2))

    assert first == second
    assert world.event_log.events().count("delivery.cancelled") == 1


def test_a_retry_under_way_is_called_off(world):
    """Between two attempts nobody owns it."""
    (only,) = send(world)
    world.put(only, tries=1, attempts=1, due_at=world.clock.now() + 30)

    assert world.rounds.cancel(USER, only)["status"] == "skipped"


@pytest.mark.parametrize(("status", "code"), [("success", None), ("failed", "x"), ("skipped", "y")])
def test_what_has_ended_cannot_be_called_off(world, status, code):
    """The sentence says how it stands."""
    (only,) = send(world)
    world.put(only, status=status, error_code=code)

    reason = conflict(world.rounds.cancel, USER, only)

    assert reason == f"delivery {only} is {status}: only a pending one can be cancelled"


@pytest.mark.parametrize("later", [0, 59, 61, 5000])
def test_what_a_worker_has_cannot_be_called_off(world, later):
    """A lease that has run out is still a claim: the message may have gone out."""
    (only,) = send(world)
    world.another_claims(only)
    world.clock.advance(later)

    reason = conflict(world.rounds.cancel, USER, only)

    assert reason == f"delivery {only} is being sent now: it can no longer be cancelled"


def test_a_worker_that_was_faster_wins():
    """The claim came between reading and writing."""
    world = World()
    (only,) = send(world)
    moves = [lambda: world.another_claims(only)]
    raced = Faulty(world.deliveries, lambda _: moves.pop()() and "" if moves else "", "apply")

    reason = conflict(dataclasses.replace(world.rounds, deliveries=raced).cancel, USER, only)

    assert reason == f"delivery {only} is being sent now: it can no longer be cancelled"


def test_calling_off_whose_answer_was_lost_is_ours():
    """The refusal names us last."""
    world = World()
    (only,) = send(world)
    lossy = Faulty(world.deliveries, lambda _: "repeated", "apply")

    answer = dataclasses.replace(world.rounds, deliveries=lossy).cancel(USER, only)

    assert answer["error_code"] == "cancelled"
    assert world.event_log.events()[-1] == "delivery.cancelled"


def test_calling_off_the_first_of_a_chain_releases_the_next(world):
    """In one transaction; its doorbell rings."""
    ids = chain(world)
    world.clock.advance(4)

    world.rounds.cancel(USER, ids[0])

    now, released = world.clock.now(), world.row(ids[1])
    assert (released.waits, released.due_at, released.sweep_at) == (False, now, now + 60)
    assert world.doorbells.rung == [("delivery", DeliveryBell(USER, ids[1], now), 0)]
    world.run()
    assert world.row(ids[1]).status == "success"


@pytest.mark.parametrize(("ahead", "delay"), [(45, 45), (3600, 900)])
def test_calling_off_the_first_of_a_chain_before_its_time_makes_nobody_early(world, ahead, delay):
    """The next is due when the message is: at ``deliver_at``."""
    world.webhook()
    due_at = world.clock.now() + ahead
    first, second = send(world, "WEBHOOK", "TEST", mode="first_success", deliver_at=rfc3339(due_at))

    world.rounds.cancel(USER, first)

    assert (world.row(second).waits, world.row(second).due_at) == (False, due_at)
    assert world.doorbells.rung == [("delivery", DeliveryBell(USER, second, due_at), delay)]


def test_calling_off_one_that_waits_releases_nobody(world):
    """Its turn had not come."""
    world.override("SMS", enabled=True, config={"phone_number": "+14155552671"})
    world.webhook()
    ids = send(world, "WEBHOOK", "SMS", "TEST", mode="first_success")

    world.rounds.cancel(USER, ids[1])

    assert [world.row(one).waits for one in ids] == [False, False, True]
    assert (world.row(ids[1]).status, world.doorbells.rung) == ("skipped", [])
    world.rounds.cancel(USER, ids[0])
    assert world.row(ids[2]).waits is False


def test_calling_off_the_last_of_a_chain_releases_nobody(world):
    """There is no next."""
    ids = chain(world)
    world.rounds.cancel(USER, ids[0])
    world.doorbells.taken()

    world.rounds.cancel(USER, ids[1])

    assert [world.row(one).error_code for one in ids] == ["cancelled", "cancelled"]
    assert world.doorbells.rung == []


def test_calling_off_in_a_later_round_releases_nobody(world):
    """All siblings have ended by then."""
    ids = chain(world, NO, NO)
    world.rounds.retry(USER, ids[0])
    before = world.row(ids[1])
    world.doorbells.taken()

    world.rounds.cancel(USER, ids[0])

    assert (world.row(ids[1]), world.doorbells.rung) == (before, [])


def test_the_end_of_a_later_round_looks_at_no_sibling(world):
    """A fresh round begins only where none waits: there is nobody to read."""
    ids = chain(world, NO, NO)
    world.rounds.retry(USER, ids[0])
    reads = []
    counted = Faulty(world.deliveries, reads.append, "get")

    waiting = dataclasses.replace(world.rounds, deliveries=counted).waiting_after(world.row(ids[0]))

    assert (waiting, reads) == ([], [])


def test_a_sibling_that_moved_meanwhile_is_read_again():
    """The one to release was cancelled between reading and writing."""
    world = World()
    ids = chain(world)
    moves = [lambda: world.rounds.cancel(USER, ids[1])]
    raced = Faulty(world.deliveries, lambda _: moves.pop()() and "" if moves else "", "commit")

    dataclasses.replace(world.rounds, deliveries=raced).cancel(USER, ids[0])

    assert [world.row(one).error_code for one in ids] == ["cancelled", "cancelled"]


def test_a_release_before_the_cancel_is_read_again():
    """It waited when it was read, and goes first by now: its end releases the next."""
    world = World()
    world.override("SMS", enabled=True, priority=1, config={"phone_number": "+14155552671"})
    world.webhook()
    ids = send(world, "SMS", "WEBHOOK", "TEST", mode="first_success")
    moves = [lambda: world.rounds.cancel(USER, ids[0])]
    raced = Faulty(world.deliveries, lambda _: moves.pop()() and "" if moves else "", "apply")

    dataclasses.replace(world.rounds, deliveries=raced).cancel(USER, ids[1])

    assert [world.row(one).waits for one in ids] == [False, False, False]
    assert world.row(ids[2]).due_at == world.clock.now()


def test_a_delivery_that_never_stands_still_is_a_conflict():
    """After five tries the caller looks again."""
    world = World()
    ids = chain(world)

    raced = Faulty(world.deliveries, lambda _: flip(world, ids[1]), "commit", "apply")

    reason = conflict(dataclasses.replace(world.rounds, deliveries=raced).cancel, USER, ids[1])

    assert reason == f"delivery {ids[1]} is being changed by others: try again"


def flip(world, delivery_id: str) -> None:
    """Let a row wait if it did not, and not if it did."""
    row = world.deliveries.rows[USER, f"DELIVERY#{delivery_id}"]
    if not row.pop("waits", False):
        row["waits"] = True


@pytest.mark.parametrize("fate", ["throttled", "lost"])
def test_a_faulty_cancel_is_told(fate):
    """The caller asks again; if it was written all the same, the answer is the same."""
    world = World()
    (only,) = send(world)
    fates = [fate]
    broken = Faulty(world.deliveries, lambda _: fates.pop() if fates else "", "apply")
    rounds = dataclasses.replace(world.rounds, deliveries=broken)

    with pytest.raises(UnavailableError):
        rounds.cancel(USER, only)

    assert rounds.cancel(USER, only)["error_code"] == "cancelled"
