"""New rounds: ``POST …/retry`` and redriven dead letters, which are the same step."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.delivery.outcomes import Delivered
from dispatcher.errors import BrokenSettingError, ConflictError, NotFoundError, UnavailableError
from tests.visits import (
    BUSY,
    NOT_FOUND,
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

UNKNOWN = "00000000-0000-7000-8000-000000000001"


def failed(world) -> str:
    """Let one delivery fail finally, and forget its dead letter."""
    (only,) = send(world)
    rehearse(world, NOT_FOUND)
    visit(world, only)
    world.doorbells.taken()
    return only


def chain(world, *outcomes) -> list[str]:
    """Let a WEBHOOK, then a TEST of a ``first_success`` message have these outcomes."""
    world.webhook()
    ids = send(world, "WEBHOOK", "TEST", mode="first_success")
    for name, outcome in zip(("WEBHOOK", "TEST"), outcomes, strict=False):
        rehearse(world, outcome, name=name)
    visit(world, ids[0])
    world.doorbells.taken()
    return ids


def conflict(world, delivery_id: str) -> str:
    """Return why a retry gets 409."""
    with pytest.raises(ConflictError) as caught:
        world.rounds.retry(USER, delivery_id)
    return str(caught.value)


def open_round(world, call: str, delivery_id: str, number: int = 2) -> None:
    """Open a round by one of the two ways."""
    if call == "retry":
        world.rounds.retry(USER, delivery_id)
    else:
        world.handle(DeadLetter(USER, delivery_id, number))


both_ways = pytest.mark.parametrize("call", ["retry", "redrive"])

# A new round --------------------------------------------------------------------------------------


@both_ways
def test_a_failed_delivery_gets_a_new_round(world, call):
    """It starts from zero with the retry policy of now; its log stays, and it is rung for."""
    only = failed(world)
    before, delivery = world.row(only), world.delivery(only)
    world.put(only, rings=3)
    world.override("TEST", enabled=True, retry_count=7, retry_delay_seconds=3)
    world.clock.advance(50)

    open_round(world, call, only)

    now, row = world.clock.now(), world.row(only)
    opened = replace(
        delivery,
        status="pending",
        round=2,
        tries=0,
        attempts=0,
        max_attempts=8,
        retry_delay_seconds=3,
        due_at=now,
        opened_by=row.deliveries[0].opened_by,
        error_code=None,
        error_message=None,
    )
    assert row == replace(
        before, rev=row.rev, deliveries=(opened,), rings=0, sweep_at=now + 60, ttl=None
    )
    assert opened.opened_by is not None
    assert world.doorbells.rung == [ring_for(world, only, 0)]
    assert world.event_log.lines[-1] == (
        "round.opened",
        {
            "user_id": USER,
            "delivery_id": only,
            "request_id": "r-1",
            "integration_type": "TEST",
            "round": 2,
        },
    )


def test_the_response_names_the_round(world):
    """202 has the delivery, its new round and its status."""
    only = failed(world)

    response = world.rounds.retry(USER, only)

    assert response == {"delivery_id": only, "round": 2, "status": "pending"}


@both_ways
def test_the_calls_of_a_new_round(world, call):
    """It costs one read, one write and one ring."""
    only = failed(world)
    calls = count_calls(world)

    open_round(world, call, only)

    assert calls == ["visit", "write", "ring"]


def test_rounds_are_counted_apart(world):
    """``attempts`` is that of the current round; the log has the entries of both."""
    only = failed(world)
    world.rounds.retry(USER, only)

    world.run()

    delivery = world.delivery(only)
    assert (delivery.status, delivery.attempts, delivery.tries) == ("success", 1, 1)
    assert [(entry.round, entry.number) for entry in delivery.attempt_log] == [(1, 1), (2, 1)]
    assert [message.round for message in world.channels["TEST"].messages] == [1, 2]


def test_a_round_after_unknown_outcomes_forgives_three_again(world):
    """The counts of lost attempts start from zero too."""
    only = failed(world)
    world.put(only, unknown=3, tries=5)

    world.rounds.retry(USER, only)

    delivery = world.delivery(only)
    assert (delivery.unknown, delivery.tries, delivery.attempts) == (0, 0, 0)


def test_a_second_failure_gets_the_next_dead_letter(world):
    """It stands for round 3."""
    only = failed(world)
    world.rounds.retry(USER, only)
    world.doorbells.taken()
    rehearse(world, NOT_FOUND)

    visit(world, only)

    assert world.doorbells.rung == [("dead_letter", DeadLetter(USER, only, 3), 0)]


@both_ways
def test_a_dead_letter_that_was_still_owed_is_not_sent(world, call):
    """The new round makes it superfluous."""
    only = failed(world)
    world.put(only, dead_letter_owed=True, sweep_at=world.clock.now())

    open_round(world, call, only)

    assert world.delivery(only).dead_letter_owed is False
    assert world.row(only).sweep_at == world.clock.now()
    assert world.doorbells.rung == [ring_for(world, only, 0)]


@both_ways
def test_a_new_round_beside_a_claim_is_attempted_by_its_holder(world, call):
    """In a message of mode ``all`` the visit under way continues with it."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    rehearse(world, NOT_FOUND, name="WEBHOOK")
    rehearse(world, lambda: open_round(world, call, first) or Delivered())

    visit(world, first)

    assert statuses(world, [first, second]) == [("success", None)] * 2
    assert (sends(world, "WEBHOOK"), world.delivery(first).round) == (2, 2)


# Conflicts and no-ops -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "sentence"),
    [("pending", "is pending"), ("success", "has succeeded"), ("skipped", "was skipped")],
)
def test_only_a_failed_delivery_gets_a_new_round(world, status, sentence):
    """``/retry`` returns 409 and says how the delivery stands; a dead letter is a no-op."""
    only = failed(world)
    world.put(only, status=status)
    before = world.row(only)

    reason = conflict(world, only)
    world.handle(DeadLetter(USER, only, 2))

    assert reason == f"Delivery {only} {sentence}; only failed deliveries can be retried."
    assert (world.row(only), world.doorbells.rung) == (before, [])


def test_content_that_is_no_longer_stored_cannot_be_retried(world):
    """``/retry`` returns 409; a dead letter is a no-op."""
    (only,) = send(world)
    del world.table.rows[USER, "REQUEST#r-1"]
    visit(world, only)
    before = world.row(only)

    reason = conflict(world, only)
    world.handle(DeadLetter(USER, only, 2))

    assert reason == f"The content of delivery {only} is no longer stored; send it again."
    assert (world.row(only), world.doorbells.rung) == (before, [])


def test_a_row_that_expires_now_gets_no_new_round(world):
    """The table may delete it at any moment [4]."""
    only = failed(world)
    world.clock.seconds = float(world.row(only).ttl)
    before = world.row(only)

    reason = conflict(world, only)
    world.handle(DeadLetter(USER, only, 2))

    assert reason == f"Delivery {only} is about to be deleted; send the message again."
    assert (world.row(only), world.doorbells.rung) == (before, [])


@both_ways
def test_a_row_that_expires_later_is_kept_by_its_new_round(world, call):
    """The write that opens the round removes the ``ttl``."""
    only = failed(world)
    world.clock.seconds = world.row(only).ttl - 0.001

    open_round(world, call, only)

    assert (world.delivery(only).round, world.row(only).ttl) == (2, None)


def absent(world, kind: str) -> tuple[str, str]:
    """Return the user and the ID of a delivery that cannot be found."""
    only = failed(world)
    if kind == "expired":
        world.clock.seconds = world.row(only).ttl + 0.001
    return {
        "unknown": (USER, UNKNOWN),
        "another user's": ("grace", only),
        "no such place": (USER, only[:-2] + "02"),
        "a message's ID": (USER, only[:-2] + "00"),
        "expired": (USER, only),
    }[kind]


KINDS = ["unknown", "another user's", "no such place", "a message's ID", "expired"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_delivery_that_is_not_found_cannot_be_retried(world, kind):
    """``/retry`` returns 404; another user's delivery cannot be told from an unknown one."""
    user_id, delivery_id = absent(world, kind)
    before = dict(world.table.rows)

    with pytest.raises(NotFoundError) as caught:
        world.rounds.retry(user_id, delivery_id)

    assert str(caught.value) == f"User {user_id} has no delivery {delivery_id}."
    assert (world.table.rows, world.doorbells.rung) == (before, [])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "a message's ID"])
def test_a_dead_letter_of_a_delivery_that_is_not_found_is_a_no_op(world, kind):
    """It is acknowledged: nothing is left to deliver."""
    user_id, delivery_id = absent(world, kind)
    before = dict(world.table.rows)

    world.handle(DeadLetter(user_id, delivery_id, 2))

    assert (world.table.rows, world.doorbells.rung, world.doorbells.parked) == (before, [], [])


@both_ways
def test_a_row_that_is_deleted_meanwhile_gets_no_new_round(world, call):
    """``/retry`` returns 404; a dead letter is a no-op."""
    only = failed(world)
    disturb(world, world.table.rows.clear)

    if call == "retry":
        with pytest.raises(NotFoundError):
            open_round(world, call, only)
    else:
        open_round(world, call, only)

    assert (world.table.rows, world.doorbells.rung) == ({}, [])


@pytest.mark.parametrize(("number", "round_after"), [(2, 2), (3, 1), (9, 1)])
def test_a_dead_letter_opens_only_the_round_after_the_failed_one(world, number, round_after):
    """Any other dead letter is a no-op, and is not parked either."""
    only = failed(world)

    world.handle(DeadLetter(USER, only, number))

    assert (world.delivery(only).round, world.doorbells.parked) == (round_after, [])


def test_a_dead_letter_of_an_earlier_round_is_a_no_op(world):
    """Doubled dead letters open one round."""
    only = failed(world)
    world.handle(DeadLetter(USER, only, 2))
    rehearse(world, NOT_FOUND)
    world.run()
    before = world.row(only)

    world.handle(DeadLetter(USER, only, 2))

    assert (before.deliveries[0].round, before.deliveries[0].status) == (2, "failed")
    assert (world.row(only), world.doorbells.rung) == (before, [])


ORDERS = sorted(set(itertools.permutations(["redrive", "retry"] * 2)))


@pytest.mark.parametrize("order", ORDERS)
def test_redriving_and_retrying_twice_each_open_one_round(world, order):
    """The first call opens it; the others change nothing."""
    only = failed(world)
    conflicts = 0

    for call in order:
        try:
            open_round(world, call, only)
        except ConflictError:
            conflicts += 1

    delivery = world.delivery(only)
    assert (delivery.round, delivery.status, delivery.tries) == (2, "pending", 0)
    assert conflicts == (1 if order[0] == "retry" else 2)
    assert world.doorbells.rung == [ring_for(world, only, 0)]
    assert world.event_log.events().count("round.opened") == 1


# Faults -------------------------------------------------------------------------------------------


def test_a_round_that_another_call_opened_first_is_a_conflict(world):
    """One of two calls at the same moment opens it."""
    only = failed(world)
    disturb(world, lambda: world.rounds.retry(USER, only))

    reason = conflict(world, only)

    assert reason == f"Delivery {only} is pending; only failed deliveries can be retried."
    assert (world.delivery(only).round, len(world.doorbells.rung)) == (2, 1)


@both_ways
def test_a_round_is_computed_again_on_a_changed_row(world, call):
    """A write of others in between is no conflict."""
    only = failed(world)
    disturb(world, lambda: world.put(only, rings=1))

    open_round(world, call, only)

    assert (world.delivery(only).round, world.row(only).rings) == (2, 0)


@both_ways
def test_a_round_whose_response_was_lost_is_recognized(world, call):
    """The refusal shows the call's own write: it continues, and rings once [17]."""
    only = failed(world)
    disturb(world, "repeated")

    open_round(world, call, only)

    assert (world.delivery(only).round, len(world.doorbells.rung)) == (2, 1)
    assert world.event_log.events().count("round.opened") == 1


class AttemptedMeanwhile:
    """A table whose client repeats a write after a whole visit: its response was lost."""

    def __init__(self, world, delivery_id: str) -> None:
        self._world = world
        self._delivery_id = delivery_id

    def __getattr__(self, name):
        """Pass on every other call."""
        return getattr(self._world.table, name)

    def write(self, row, *, on):
        """Write twice, with a visit in between."""
        self._world.table.write(row, on=on)
        rehearse(self._world, BUSY)
        visit(self._world, self._delivery_id)
        return self._world.table.write(row, on=on)


def test_a_round_that_was_attempted_before_its_lost_response_is_noticed_is_recognized(world):
    """Others have written the row since; ``opened_by`` still names the call."""
    only = failed(world)
    context = replace(world.context, messages=AttemptedMeanwhile(world, only))

    response = replace(world.rounds, context=context).retry(USER, only)

    assert response == {"delivery_id": only, "round": 2, "status": "pending"}
    assert (world.delivery(only).round, world.delivery(only).attempts) == (2, 1)


@pytest.mark.parametrize("method", ["visit", "write"])
@both_ways
def test_a_failed_call_opens_nothing(world, call, method):
    """The caller of ``/retry`` gets 503, and a dead letter comes back."""
    only = failed(world)
    before = world.row(only)
    disturb(world, "throttled", method=method)

    with pytest.raises(UnavailableError):
        open_round(world, call, only)

    assert (world.row(only), world.doorbells.rung) == (before, [])


@both_ways
def test_a_ring_that_fails_is_left_to_the_sweeper(world, call):
    """The round is open."""
    only = failed(world)
    world.doorbells.broken = True

    open_round(world, call, only)
    world.doorbells.broken = False
    world.clock.advance(60)
    world.sweeper.sweep()

    assert world.delivery(only).round == 2
    assert world.event_log.lines[-2] == ("doorbell.lost", {"user_id": USER, "request_id": "r-1"})
    assert world.doorbells.rung == [ring_for(world, only, 0)]


def test_a_broken_setting_opens_nothing(world):
    """The retry policy of the round cannot be read."""
    only = failed(world)
    world.environ["INTEGRATION_DEFAULTS_TEST_RETRY_COUNT"] = "many"

    with pytest.raises(BrokenSettingError):
        world.rounds.retry(USER, only)

    assert world.delivery(only).round == 1


# Siblings -----------------------------------------------------------------------------------------

SIBLING = (
    "Delivery {} belongs to a first_success message of which another delivery has succeeded or is "
    "pending; it cannot be retried."
)


def test_a_sibling_that_succeeded_rules_out_a_new_round(world):
    """A message that arrived over one integration is not sent over another [18]."""
    first, second = chain(world, NOT_FOUND, Delivered())
    before = world.row(first)

    reason = conflict(world, first)
    world.handle(DeadLetter(USER, first, 2))

    assert reason == SIBLING.format(first)
    assert (world.row(first), world.doorbells.rung) == (before, [])
    assert statuses(world, [first, second]) == [("failed", "http_404"), ("success", None)]


def test_a_sibling_that_is_pending_rules_out_a_new_round(world):
    """Deliveries of a ``first_success`` message are attempted one after the other."""
    first, second = chain(world, NOT_FOUND, NOT_FOUND)
    world.rounds.retry(USER, second)
    before, rung = world.row(first), world.doorbells.taken()

    reason = conflict(world, first)
    world.handle(DeadLetter(USER, first, 2))

    assert reason == SIBLING.format(first)
    assert (world.row(first), rung, world.doorbells.rung) == (
        before,
        [ring_for(world, second, 0)],
        [],
    )


@pytest.mark.parametrize("end", ["failed", "skipped"])
@both_ways
def test_siblings_that_failed_or_were_skipped_allow_a_new_round(world, call, end):
    """They stay as they ended."""
    first, second = chain(world, NOT_FOUND, NOT_FOUND)
    if end == "skipped":
        world.put(second, status="skipped", error_code="cancelled")
    sibling = world.delivery(second)

    open_round(world, call, first)
    world.run()

    assert (world.delivery(first).status, world.delivery(first).round) == ("success", 2)
    assert world.delivery(second) == sibling


def test_a_later_round_waits_for_no_sibling(world):
    """Waiting belongs to round 1 alone."""
    first, second = chain(world, NOT_FOUND, NOT_FOUND)

    world.rounds.retry(USER, second)
    world.run()

    assert statuses(world, [first, second]) == [("failed", "http_404"), ("success", None)]


def test_a_message_of_mode_all_may_have_several_new_rounds(world):
    """Their siblings do not matter."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    rehearse(world, NOT_FOUND, name="WEBHOOK")
    rehearse(world, slowly(world, 1, NOT_FOUND))
    visit(world, first)

    for delivery_id in (first, second):
        world.rounds.retry(USER, delivery_id)
    world.run()

    assert statuses(world, [first, second]) == [("success", None)] * 2
