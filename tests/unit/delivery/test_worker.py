"""The worker: which doorbell makes it send what, what it writes down, and what comes next."""

from __future__ import annotations

import dataclasses
import itertools
import json
import threading

import pytest

from dispatcher.adapters.system import ThreadWatchdog
from dispatcher.configuration.resolution import Override, Secrets, UserOverrides
from dispatcher.delivery import protocol
from dispatcher.delivery.doorbells import DeliveryBell, RequestBell, Ticket, encode
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.delivery.ports import Message
from dispatcher.delivery.rows import Delivery
from dispatcher.errors import BrokenSettingError, UnavailableError
from dispatcher.integrations.integration import Address
from tests.fakes import FakeClock, Faulty
from tests.world import HOOK, USER, World

DAY = 86_400
BELL = RequestBell(USER, "r-1")
BUSY = Retry("http_503", "the receiver answered 503")
TTL = 90 * DAY
SMS = {"enabled": True, "config": {"phone_number": "+14155552671"}}


def send(world, *types: str, **body) -> list[str]:
    """Accept a message over some integrations and forget the ring."""
    ids = world.send(request_id="r-1", integration_types=list(types or ["TEST"]), **body)
    world.doorbells.taken()
    return ids


def bell(world, delivery_id: str) -> DeliveryBell:
    """Return the doorbell that is right for a delivery now."""
    return DeliveryBell(USER, delivery_id, world.row(delivery_id).due_at)


def sends(world, name: str = "TEST") -> int:
    """Return how often an integration was used."""
    return len(world.channels[name].messages)


def rehearse(world, *outcomes, name: str = "TEST") -> None:
    """Let the next sends come to this."""
    world.channels[name].outcomes += outcomes


def slowly(world, seconds: float, outcome=None):
    """Make an outcome that takes its time."""

    def happen():
        world.clock.advance(seconds)
        return outcome or Delivered()

    return happen


class SlowClock(FakeClock):
    """Goes on by a fifth of a second with every look."""

    def now(self):
        """Tell the time after the look."""
        self.advance(0.2)
        return super().now()


def faults(*fates: str, method: str = "apply"):
    """Wrap tables and queues: the calls of a method meet these fates, one after the other."""
    left = list(fates)
    return lambda port: Faulty(port, lambda _: left.pop(0) if left else "", method)


# One delivery -------------------------------------------------------------------------------------


def test_a_delivery_that_succeeds(world):
    """What the channel gets, and what the row holds afterwards, to the last field."""
    (only,) = send(world, session_id="s-1", agent_id="a-1", subject="For $n", content="Hi $n",
                   template_variables={"n": "Ada"})  # fmt: skip
    accepted = world.row(only)
    world.clock.advance(2)
    rehearse(world, slowly(world, 1.25, Delivered({"message_id": "m-1"}, "taken")))

    world.answer(BELL)

    start = accepted.created_at + 2
    (message,) = world.channels["TEST"].messages
    row = world.row(only)
    assert message == Message(
        delivery_id=only,
        request_id="r-1",
        session_id="s-1",
        agent_id="a-1",
        user_id=USER,
        integration_type="TEST",
        subject="For Ada",
        content="Hi Ada",
        config={},
        secrets={},
        address=Address("mailbox", USER),
        round=1,
        attempt=1,
        accepted_at=accepted.created_at,
        attempted_at=start,
    )
    assert row == dataclasses.replace(
        accepted,
        status="success",
        attempts=1,
        tries=1,
        first_attempt_at=start,
        last_attempt_at=start,
        delivered_at=start + 1.25,
        metadata={"message_id": "m-1"},
        attempt_log=(
            {
                "number": 1,
                "round": 1,
                "started_at": start,
                "duration_ms": 1250,
                "outcome": "delivered",
                "code": None,
                "detail": "taken",
            },
        ),
        sweep_at=None,
        last_owner=row.last_owner,
        ttl=start + 1.25 + TTL + 0.75,
    )
    assert world.doorbells.rung == []
    assert world.event_log.events() == ["message.accepted", "delivery.attempted"]


def test_a_delivery_that_is_to_be_repeated(world):
    """It is due its delay after the end, rung for by then, and nobody owns it."""
    (only,) = send(world)
    accepted = world.row(only)
    rehearse(world, slowly(world, 0.5, BUSY))

    world.answer(BELL)

    end = accepted.created_at + 0.5
    row = world.row(only)
    assert row == dataclasses.replace(
        accepted,
        attempts=1,
        tries=1,
        first_attempt_at=accepted.created_at,
        last_attempt_at=accepted.created_at,
        error_code="http_503",
        error_message="the receiver answered 503",
        attempt_log=(
            {
                "number": 1,
                "round": 1,
                "started_at": accepted.created_at,
                "duration_ms": 500,
                "outcome": "retry",
                "code": "http_503",
                "detail": "the receiver answered 503",
            },
        ),
        due_at=end + 10,
        sweep_at=end + 70,
        last_owner=row.last_owner,
    )
    assert world.doorbells.rung == [("retry", DeliveryBell(USER, only, end + 10), 10)]


def test_success_forgets_the_error_of_an_earlier_attempt(world):
    """The log still tells it."""
    (only,) = send(world)
    rehearse(world, BUSY)

    world.answer(BELL)
    world.run()

    row = world.row(only)
    assert (row.status, row.attempts, row.error_code, row.error_message) == (
        "success",
        2,
        None,
        None,
    )
    assert [entry["code"] for entry in row.attempt_log] == ["http_503", None]
    assert [message.attempt for message in world.channels["TEST"].messages] == [1, 2]


@pytest.mark.parametrize("length", [299, 300, 301])
def test_a_long_detail_is_cut(world, length):
    """A row keeps 300 characters of what a receiver made a channel say."""
    (only,) = send(world)
    rehearse(world, Permanent("http_400", "x" * length))

    world.answer(BELL)

    row = world.row(only)
    assert row.attempt_log[0]["detail"] == row.error_message == "x" * min(length, 300)


def test_secrets_are_put_back_for_the_channel_alone(world):
    """The row of the override shows ``***``; the channel gets the values and the issued secret."""
    secrets = Secrets({"headers": {"X-Key": "k-1"}}, {"signing_secret": "whsec_1"})
    world.webhook(config={**HOOK, "headers": {"X-Key": "***"}})
    override = world.overrides.get(USER).by_type["WEBHOOK"]
    sealed = world.vault.seal(USER, "WEBHOOK", secrets.document())
    world.overrides.rows[USER] = UserOverrides(
        {"WEBHOOK": dataclasses.replace(override, sealed=sealed)}, 5
    )
    send(world, "WEBHOOK")

    world.answer(BELL)

    (message,) = world.channels["WEBHOOK"].messages
    assert message.config == {**HOOK, "headers": {"X-Key": "k-1"}}
    assert message.secrets == {"signing_secret": "whsec_1"}
    assert message.address == Address("url", HOOK["url"])
    assert "k-1" not in json.dumps(sorted(world.deliveries.rows.items()))


# Order --------------------------------------------------------------------------------------------


def test_a_request_is_attempted_in_priority_order(world):
    """One after the other, as it was fixed at accept."""
    world.webhook(priority=1)
    world.override("SMS", enabled=True, priority=50, config=SMS["config"])
    ids = send(world, "TEST", "WEBHOOK", "SMS")
    order = []
    for name in ("TEST", "WEBHOOK"):
        rehearse(world, lambda name=name: order.append(name) or Delivered(), name=name)
    world.webhook(priority=99)

    world.answer(BELL)

    assert order == ["WEBHOOK", "TEST"]
    assert [world.row(one).status for one in ids] == ["success", "success", "failed"]


def test_a_live_first_try_ends_the_doorbell(world):
    """A lower priority never overtakes a first try; nothing is rung, the owner goes on."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    world.another_claims(first)
    before = world.row(second)

    world.answer(BELL)

    assert (sends(world), world.row(second), world.doorbells.rung) == (0, before, [])


@pytest.mark.parametrize("changes", [{"attempts": 1, "tries": 2}, {"round": 2}])
def test_a_live_later_try_is_passed_over(world, changes):
    """The next one's first try does not wait for a retry of the one before."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    world.another_claims(first)
    world.put(first, **changes)

    world.answer(BELL)

    assert (world.row(first).owner, world.row(second).status) == ("another", "success")


def test_a_retry_that_is_not_due_is_passed_over(world):
    """A doubled request doorbell sends only what is due."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    rehearse(world, BUSY, name="WEBHOOK")
    rehearse(world, BUSY)

    world.answer(BELL)
    world.doorbells.taken()
    world.clock.advance(10)
    world.answer(BELL)

    assert [world.row(one).status for one in (first, second)] == ["pending", "success"]
    assert (sends(world, "WEBHOOK"), sends(world), world.doorbells.rung) == (1, 2, [])


def test_a_doubled_doorbell_sends_once(world):
    """What has ended has ended."""
    send(world)

    for _ in range(3):
        world.answer(BELL)

    assert sends(world) == 1


@pytest.mark.parametrize("doorbell", [RequestBell(USER, "r-9"), DeliveryBell(USER, "0" * 8, 1.0)])
def test_a_doorbell_for_nothing_is_acknowledged(world, doorbell):
    """The row is gone, or never was."""
    doorbell = (
        doorbell
        if isinstance(doorbell, RequestBell)
        else DeliveryBell(USER, "00000000-0000-7000-8000-000000000000", 1.0)
    )

    world.answer(doorbell)

    assert (world.doorbells.rung, world.doorbells.parked) == ([], [])


def test_two_second_tries_are_never_at_stake_together(world):
    """One of them may be what kills the process: the other one is not even claimed beside it."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    for one in (first, second):
        world.another_claims(one)
    world.clock.advance(61)
    met, sent = threading.Event(), threading.Event()
    raced = Faulty(world.deliveries, lambda _: met.set() or "", "apply")
    beside: list[tuple[bool, str]] = []

    def answer_the_other():
        world.worker.answer(encode(bell(world, second)), "q", lambda: 100.0)
        sent.set()

    def during_the_first():
        met.clear()
        thread = threading.Thread(target=answer_the_other)
        thread.start()
        assert met.wait(10)
        beside.append((sent.wait(0.2), world.row(second).owner))
        return Delivered()

    rehearse(world, during_the_first, name="WEBHOOK")
    world.worker = dataclasses.replace(world.worker, deliveries=raced)

    world.answer(bell(world, first))

    assert sent.wait(10)
    assert beside == [(False, "another")]
    assert statuses(world, [first, second]) == [("success", None), ("success", None)]


def test_a_second_try_that_waited_too_long_for_its_turn_is_rung_for(world):
    """Its claim stays as it was seen."""
    (only,) = send(world)
    world.another_claims(only)
    world.clock.advance(61)
    before, left = world.row(only), iter([30.0, 29.9])

    world.worker.answer(encode(bell(world, only)), "q", lambda: next(left))

    assert (world.row(only), sends(world)) == (before, 0)
    assert world.doorbells.rung == [("retry", bell(world, only), 0)]


# Early and late -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "delay"), [(0.3, 1), (1, 1), (45.2, 46), (900, 900), (901, None), (DAY, None)]
)
def test_an_early_request_doorbell_is_rung_again_for_the_rest(world, ahead, delay):
    """It ends at the first untried id; what is far is the sweeper's."""
    world.webhook()
    ids = send(world, "WEBHOOK", "TEST")
    for one in ids:
        world.put(one, due_at=world.clock.now() + ahead)

    world.answer(BELL)

    assert world.doorbells.rung == ([] if delay is None else [("delivery", BELL, delay)])
    assert (sends(world, "WEBHOOK"), sends(world)) == (0, 0)


@pytest.mark.parametrize("kind", ["request", "delivery"])
def test_an_early_doorbell_whose_time_comes_meanwhile_is_rung_again_in_a_second(world, kind):
    """A ring without a delay could come back before the clock of another worker says so."""
    (only,) = send(world)
    world.put(only, due_at=world.clock.now() + 0.3)
    doorbell = BELL if kind == "request" else bell(world, only)
    slow = SlowClock(world.clock.seconds)

    dataclasses.replace(world.worker, clock=slow).answer(encode(doorbell), "q", lambda: 100.0)

    assert [(rung, delay) for _, rung, delay in world.doorbells.rung] == [(doorbell, 1)]
    assert sends(world) == 0


@pytest.mark.parametrize(("ahead", "delay"), [(0.3, 1), (29.9, 30), (900, 900), (5000, 900)])
def test_an_early_delivery_doorbell_is_rung_again_for_the_rest(world, ahead, delay):
    """On the queue of retries, with 900 s at most."""
    (only,) = send(world)
    world.put(only, due_at=world.clock.now() + ahead)
    doorbell = bell(world, only)

    world.answer(doorbell)

    assert world.doorbells.rung == [("retry", doorbell, delay)]
    assert sends(world) == 0


@pytest.mark.parametrize("shift", [-5.0, 5.0])
def test_an_early_doorbell_of_another_time_is_dropped(world, shift):
    """Whoever wrote the row's ``due_at`` rang for it."""
    (only,) = send(world)
    world.put(only, due_at=world.clock.now() + 30)

    world.answer(DeliveryBell(USER, only, world.row(only).due_at + shift))

    assert (world.doorbells.rung, sends(world)) == ([], 0)


@pytest.mark.parametrize("due_at", [1.0, 99_999_999_999.0])
def test_a_stale_doorbell_never_stops_a_claim_that_the_row_allows(world, due_at):
    """The row is the truth."""
    (only,) = send(world)

    world.answer(DeliveryBell(USER, only, due_at))

    assert world.row(only).status == "success"


@pytest.mark.parametrize(("left", "sent"), [(30.0, 1), (29.9, 0)])
def test_out_of_time_nothing_is_begun_and_the_doorbell_rung_again(world, left, sent):
    """Each doorbell on its own queue; the row is untouched."""
    (only,) = send(world)
    before, doorbell = world.row(only), bell(world, only)
    world.seconds_left = left

    world.answer(BELL)
    world.answer(doorbell)

    assert sends(world) == sent
    if not sent:
        assert world.doorbells.rung == [("delivery", BELL, 0), ("retry", doorbell, 0)]
        assert world.row(only) == before


def test_what_cannot_be_begun_any_more_is_left_for_the_next_ring(world):
    """The first is sent, the second is not, and the request is rung for again."""
    world.webhook()
    _, second = send(world, "WEBHOOK", "TEST")

    def slow():
        world.seconds_left = 25.0
        return Delivered()

    rehearse(world, slow, name="WEBHOOK")

    world.answer(BELL)

    assert (sends(world, "WEBHOOK"), sends(world)) == (1, 0)
    assert (world.row(second).tries, world.doorbells.rung) == (0, [("delivery", BELL, 0)])


@pytest.mark.parametrize("kind", ["request", "delivery"])
def test_a_message_comes_back_only_if_ringing_again_failed_too(world, kind):
    """Then the queue itself rings again."""
    (only,) = send(world)
    world.seconds_left = 5.0
    world.doorbells.broken = True

    with pytest.raises(UnavailableError):
        world.answer(BELL if kind == "request" else bell(world, only))


# Claims -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("waited", "given_back"), [(25.0, False), (25.1, True)])
@pytest.mark.parametrize("kind", ["request", "delivery"])
def test_a_claim_with_too_little_of_its_lease_left_is_given_back(waited, given_back, kind):
    """35 s before the send, from before the claim was asked for; nothing is sent or counted."""
    world = World()

    def stall(_):
        world.clock.advance(waited)
        stall.done = True

    slow = Faulty(world.deliveries, lambda name: None if stall.done else stall(name), "apply")
    stall.done = False
    world.worker = dataclasses.replace(world.worker, deliveries=slow)
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    before = world.row(first)
    doorbell = BELL if kind == "request" else bell(world, first)

    world.answer(doorbell)

    row = world.row(first)
    assert sends(world, "WEBHOOK") == (not given_back)
    if given_back:
        assert row == dataclasses.replace(
            before, sweep_at=world.clock.now() + 60, last_owner=row.last_owner
        )
        queue = "delivery" if kind == "request" else "retry"
        assert world.doorbells.rung == [(queue, doorbell, 0)]
        assert "claim.given_back" in world.event_log.events()
        assert world.row(second).tries == 0, "a lower priority overtook"


@pytest.mark.parametrize(("left", "sent"), [(25.0, True), (24.9, False)])
def test_a_claim_with_too_little_of_the_invocation_left_is_given_back(world, left, sent):
    """25 s before the send: it must end and be recorded."""
    (only,) = send(world)
    times = iter([100.0, left, left, left, left])

    world.worker.answer(encode(BELL), "DeliveryQueue", lambda: next(times))

    assert (sends(world) == 1, world.row(only).tries) == (sent, int(sent))


def test_a_claim_is_given_back_where_nothing_could_be_prepared(world):
    """A table that does not answer is no try; the message comes back."""
    (only,) = send(world)
    broken = Faulty(world.overrides, lambda _: "throttled", "get")
    world.worker = dataclasses.replace(world.worker, overrides=broken)

    with pytest.raises(UnavailableError):
        world.answer(BELL)

    row = world.row(only)
    assert (row.tries, row.owner, row.sweep_at) == (0, None, world.clock.now() + 60)
    assert (sends(world), world.doorbells.rung) == (0, [])


def test_a_claim_that_somebody_took_is_not_given_back():
    """The row is another worker's now."""
    world = World()
    (only,) = send(world)

    def stolen(_):
        world.put(only, owner="thief", lease_until=world.clock.now() + 60)
        return "throttled"

    broken = Faulty(world.overrides, stolen, "get")
    world.worker = dataclasses.replace(world.worker, overrides=broken)

    with pytest.raises(UnavailableError):
        world.answer(BELL)

    assert (world.row(only).owner, world.row(only).tries) == ("thief", 1)
    assert "claim.given_back" not in world.event_log.events()


def test_giving_back_twice_is_giving_back_once():
    """The answer to the first was lost: the refusal names us last."""
    world = World(wrap=faults("", "repeated"))
    (only,) = send(world)
    times = iter([100.0, 5.0, 5.0])

    world.worker.answer(encode(BELL), "DeliveryQueue", lambda: next(times))

    assert world.row(only).tries == 0
    assert "claim.given_back" in world.event_log.events()


@pytest.mark.parametrize("kind", ["request", "delivery"])
def test_a_claim_that_fails_ends_the_doorbell(kind):
    """The message comes back; nothing of lower priority is tried."""
    world = World(wrap=faults("throttled"))
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")

    with pytest.raises(UnavailableError):
        world.answer(BELL if kind == "request" else bell(world, first))

    assert [world.row(one).tries for one in (first, second)] == [0, 0]


def test_a_claim_whose_answer_was_lost_is_ours():
    """The refusal shows our own token: go on, and send once."""
    world = World(wrap=faults("repeated"))
    (only,) = send(world)

    world.answer(BELL)

    assert (sends(world), world.row(only).status, world.row(only).tries) == (1, "success", 1)


# Taking over --------------------------------------------------------------------------------------


def test_a_lapsed_claim_is_taken_over(world):
    """The lost try is logged as unknown, and does not use up the budget."""
    (only,) = send(world)
    start = world.clock.now()
    world.another_claims(only)
    world.clock.advance(60)
    rehearse(world, BUSY)

    world.answer(bell(world, only))

    row = world.row(only)
    lost, tried = row.attempt_log
    assert (row.status, row.tries, row.unknown, row.attempts) == ("pending", 2, 1, 1)
    assert lost == {
        "number": 1,
        "round": 1,
        "started_at": start,
        "duration_ms": None,
        "outcome": "unknown",
        "code": "unknown_outcome",
        "detail": "the worker ended before it recorded an outcome",
    }
    assert (tried["number"], tried["outcome"]) == (2, "retry")
    assert ("claim.taken_over", 2, 1) in [
        (event, fields.get("tries"), fields.get("unknown"))
        for event, fields in world.event_log.lines
    ]


@pytest.mark.parametrize(
    ("most", "tries", "unknown", "again"),
    [
        (1, 1, 0, True),
        (1, 2, 1, True),
        (1, 3, 2, True),
        (1, 4, 3, False),
        (2, 4, 3, True),
        (2, 5, 4, False),
        (4, 4, 0, True),
        (4, 5, 0, False),
        (21, 23, 2, True),
        (21, 24, 3, False),
    ],
)
def test_three_unknown_outcomes_are_forgiven(world, most, tries, unknown, again):
    """Before a take-over the lost try counts as unknown already; then the budget speaks."""
    (only,) = send(world)
    now = world.clock.now()
    world.put(only, tries=tries, unknown=unknown, max_attempts=most, owner="dead", lease_until=now)

    world.answer(bell(world, only))

    row = world.row(only)
    assert (sends(world), row.status, row.unknown, row.owner) == (
        (1, "success", unknown + 1, None) if again else (0, "failed", unknown + 1, None)
    )
    if not again:
        assert (row.error_code, row.tries, row.attempts) == ("unknown_outcome", tries, 0)
        assert row.error_message == (
            "the last try left no record and the budget of tries is used up"
        )
        assert world.doorbells.rung == [("dead_letter", Ticket(USER, only, 2), 0)]


def test_a_text_message_is_never_sent_again_after_an_unknown_outcome(world):
    """SMS costs and annoys more when doubled than when lost."""
    world.override("SMS", **SMS)
    (only,) = send(world, "SMS")
    world.another_claims(only)
    world.clock.advance(61)

    world.answer(bell(world, only))

    row = world.row(only)
    assert (row.status, row.error_code, row.unknown) == ("failed", "unknown_outcome", 1)
    assert row.error_message == "the try left no record, and SMS is never sent twice"
    assert (sends(world, "SMS"), len(world.doorbells.rung)) == (0, 1)


def test_a_take_over_that_somebody_else_won_is_left_to_them():
    """The condition is the very claim that was seen."""
    calls = []

    def overtaken(_):
        calls.append(1)
        if len(calls) == 2:
            world.put(only, owner="third", lease_until=world.clock.now() + 60)
        return ""

    world = World()
    world.webhook()
    only, second = send(world, "WEBHOOK", "TEST")
    world.another_claims(only)
    world.clock.advance(61)
    raced = Faulty(world.deliveries, overtaken, "apply")
    world.worker = dataclasses.replace(world.worker, deliveries=raced)

    world.answer(BELL)

    assert (sends(world, "WEBHOOK"), world.row(only).owner) == (0, "third")
    assert world.row(second).tries == 0, "a lower priority overtook a first try"


def test_a_take_over_whose_answer_was_lost_is_ours():
    """The refusal shows our own token: go on, and send once."""
    world = World(wrap=faults("", "repeated"))
    (only,) = send(world)
    world.another_claims(only)
    world.clock.advance(61)

    world.answer(BELL)

    assert (sends(world), world.row(only).status, world.row(only).unknown) == (1, "success", 1)


def test_a_give_up_that_somebody_else_overtook_is_dropped():
    """Whoever took over meanwhile has it."""
    world = World()
    world.override("SMS", **SMS)
    (only,) = send(world, "SMS")
    world.another_claims(only)
    world.clock.advance(61)

    def overtaken(_):
        overtaken.calls += 1
        if overtaken.calls == 2:
            world.put(only, owner="third", last_owner="another")

    overtaken.calls = 0
    raced = Faulty(world.deliveries, overtaken, "apply")
    world.worker = dataclasses.replace(world.worker, deliveries=raced)

    world.answer(BELL)

    assert (world.row(only).status, world.row(only).owner) == ("pending", "third")
    assert world.doorbells.rung == []


# What speaks against a send -----------------------------------------------------------------------


def ended(world, delivery_id: str) -> tuple:
    """Return how a delivery ended that was not sent: no attempt counts, no ticket is owed."""
    row = world.row(delivery_id)
    assert (sends(world), row.attempts, row.tries, row.owner) == (0, 0, 1, None)
    assert (row.ticket_owed, row.sweep_at, world.doorbells.rung) == (False, None, [])
    assert row.ttl == int(world.clock.now()) + TTL + 1
    return row.status, row.error_code


@pytest.mark.parametrize(
    ("environ", "settings", "reason"),
    [
        ({}, {"enabled": False}, "disabled_by_user"),
        ({"INTEGRATION_DEFAULTS_TEST_ENABLED": "false"}, None, "disabled_by_default"),
        ({"STAGE": "prod"}, None, "not_configured"),
    ],
)
def test_what_is_no_longer_effective_is_skipped(world, environ, settings, reason):
    """Read at each attempt: an opt-out holds for what is under way."""
    (only,) = send(world)
    if settings:
        world.override("TEST", **settings)
    world.environ |= environ

    world.answer(BELL)

    assert ended(world, only) == ("skipped", reason)
    assert world.row(only).error_message == f"TEST is no longer used for this user: {reason}"


def test_a_receiver_that_was_found_gone_is_skipped(world):
    """``disabled_by_receiver`` is a reason like the others."""
    world.webhook()
    (only,) = send(world, "WEBHOOK")
    override = world.overrides.get(USER).by_type["WEBHOOK"]
    off = dataclasses.replace(override, disabled_by_receiver=True)
    world.overrides.rows[USER] = UserOverrides({"WEBHOOK": off}, 9)

    world.answer(BELL)

    assert ended(world, only) == ("skipped", "disabled_by_receiver")


def test_an_opt_out_between_two_attempts_ends_the_retries(world):
    """The attempt that was made stays told."""
    (only,) = send(world)
    rehearse(world, BUSY)
    world.answer(BELL)
    world.override("TEST", enabled=False)

    world.run()

    row = world.row(only)
    assert (row.status, row.error_code, row.attempts, sends(world)) == (
        "skipped", "disabled_by_user", 1, 1,
    )  # fmt: skip


def test_a_forced_delivery_ignores_enabled(world):
    """A rehearsal is sent although the user receives nothing that way."""
    (only,) = send(world)
    world.put(only, forced=True)
    world.override("TEST", enabled=False)

    world.answer(BELL)

    assert world.row(only).status == "success"


def test_without_its_override_a_delivery_uses_the_defaults(world):
    """The policy of the round stays as it was fixed at accept."""
    world.override("TEST", enabled=True, retry_count=5, config={"latency_ms": 5})
    (only,) = send(world)
    world.overrides.rows.clear()

    world.answer(BELL)

    (message,) = world.channels["TEST"].messages
    assert (message.config, world.row(only).status, world.row(only).max_attempts) == (
        {}, "success", 6,
    )  # fmt: skip


def test_what_the_user_turned_on_and_nobody_configured_fails_at_once(world):
    """An explicit true stays effective."""
    world.override("EMAIL", enabled=True)
    (only,) = send(world, "EMAIL")

    world.answer(BELL)

    assert ended(world, only) == ("failed", "not_configured")
    assert world.row(only).error_message == "EMAIL is not configured on this system"


def test_an_address_that_was_lost_fails_at_once(world):
    """With the key to set."""
    world.webhook()
    (only,) = send(world, "WEBHOOK")
    world.webhook(config={})

    world.answer(BELL)

    assert ended(world, only) == ("failed", "no_address")
    assert world.row(only).error_message == "no address is known: set config.url"


@pytest.mark.parametrize("kind", ["gone", "another"])
def test_a_message_that_is_no_longer_kept_cannot_be_sent(world, kind):
    """Its request row is gone, or another message's by now."""
    (only,) = send(world)
    if kind == "gone":
        del world.deliveries.rows[USER, "REQUEST#r-1"]
    else:
        world.deliveries.rows[USER, "REQUEST#r-1"]["fingerprint"] = "another"

    world.answer(bell(world, only))

    assert ended(world, only) == ("failed", "content_expired")


@pytest.mark.parametrize(("late", "status"), [(0.0, "success"), (0.001, "failed")])
def test_past_its_expiry_nothing_is_sent(world, late, status):
    """The moment itself is not past."""
    (only,) = send(world)
    world.put(only, expires_at=world.clock.now() + 30)
    world.clock.advance(30 + late)

    world.answer(BELL)

    if status == "failed":
        assert ended(world, only) == ("failed", "expired")
    assert world.row(only).status == status


@pytest.mark.parametrize(("rest", "status"), [(10.5, "pending"), (10.499, "failed")])
def test_a_retry_that_would_come_too_late_ends_the_delivery(world, rest, status):
    """Delay 10, attempt 0.5: the attempt is recorded, the next one would be past the expiry."""
    (only,) = send(world)
    world.put(only, expires_at=world.clock.now() + rest)
    rehearse(world, slowly(world, 0.5, BUSY))

    world.answer(BELL)

    row = world.row(only)
    assert (row.status, row.attempts, row.attempt_log[0]["code"]) == (status, 1, "http_503")
    if status == "failed":
        assert (row.error_code, row.ticket_owed, world.doorbells.rung) == ("expired", False, [])
        assert row.error_message == (
            "the next try would come after expires_at; the last: the receiver answered 503"
        )


# Outcomes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "due", "delay"),
    [
        (None, 10, 10),
        (3.0, 10, 10),
        (55.5, 55.5, 56),
        (900.0, 900, 900),
        (901.0, 901, None),
        (1e9, DAY, None),
    ],
)
def test_a_receiver_may_ask_for_more_time(world, after, due, delay):
    """At most a day; beyond a queue's 900 s the sweeper rings."""
    (only,) = send(world)
    rehearse(world, dataclasses.replace(BUSY, after=after))

    world.answer(BELL)

    now, row = world.clock.now(), world.row(only)
    assert row.due_at == now + due
    assert row.sweep_at == now + (due + 60 if due <= 900 else due - 900)
    assert world.doorbells.rung == (
        [] if delay is None else [("retry", DeliveryBell(USER, only, row.due_at), delay)]
    )


@pytest.mark.parametrize("retries", [0, 1, 2, 3, 20])
def test_a_receiver_that_always_fails_is_tried_once_and_once_per_retry(world, retries):
    """Then one ticket for the next round; the row owes nothing any more."""
    world.override("TEST", enabled=True, retry_count=retries)
    (only,) = send(world)
    rehearse(world, *[BUSY] * 30)

    world.doorbells.ring(BELL)
    while work := [one for one in world.doorbells.rung if one[0] != "dead_letter"]:
        world.doorbells.rung.remove(work[0])
        world.clock.advance(work[0][2])
        world.answer(work[0][1])

    row = world.row(only)
    assert (sends(world), row.attempts, row.tries) == (retries + 1,) * 3
    assert (row.status, row.error_code, row.ticket_owed, row.sweep_at) == (
        "failed", "http_503", False, None,
    )  # fmt: skip
    assert world.doorbells.rung == [("dead_letter", Ticket(USER, only, 2), 0)]


@pytest.mark.parametrize("delay", [1, 30, 900, 901, DAY])
def test_no_attempt_is_early(world, delay):
    """The next begins its delay after the end of the one before, however it is rung for."""
    world.override("TEST", enabled=True, retry_count=2, retry_delay_seconds=delay)
    (only,) = send(world)
    rehearse(world, *[slowly(world, 0.75, BUSY)] * 3)
    world.answer(BELL)

    while (row := world.row(only)).status == "pending":
        moments = (row.due_at - 0.001, row.due_at, row.sweep_at)
        world.clock.seconds = min(one for one in moments if one > world.clock.now())
        world.sweeper.sweep()
        for _, doorbell, _ in world.doorbells.taken():
            world.answer(doorbell)

    starts = [entry["started_at"] for entry in world.row(only).attempt_log]
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert len(gaps) == 2
    assert all(delay + 0.75 <= gap <= delay + 0.75 + 60 for gap in gaps)


def test_a_permanent_failure_is_final(world):
    """With a ticket: what is wrong may be put right."""
    (only,) = send(world)
    rehearse(world, Permanent("http_404", "the receiver answered 404"))

    world.answer(BELL)

    row = world.row(only)
    assert (row.status, row.error_code, row.error_message, row.attempts) == (
        "failed", "http_404", "the receiver answered 404", 1,
    )  # fmt: skip
    assert world.doorbells.rung == [("dead_letter", Ticket(USER, only, 2), 0)]


def test_a_ticket_that_cannot_be_sent_now_stays_owed(world):
    """The row says so, and the sweeper sends it."""
    (only,) = send(world)
    rehearse(world, Permanent("http_404", "no"))
    world.doorbells.broken = True

    world.answer(BELL)
    owed = world.row(only)
    world.doorbells.broken = False
    world.clock.advance(60)
    world.sweeper.sweep()

    assert (owed.ticket_owed, owed.sweep_at) == (True, world.clock.now())
    assert "ticket.delayed" in world.event_log.events()
    assert world.doorbells.rung == [("dead_letter", Ticket(USER, only, 2), 0)]
    assert (world.row(only).ticket_owed, world.row(only).sweep_at) == (False, None)


@pytest.mark.parametrize("error", [RuntimeError("token xoxb-1"), KeyError("x"), UnavailableError()])
def test_a_channel_that_breaks_is_an_attempt_that_failed(world, error):
    """Told by the error's name alone; it is repeated like any other."""
    (only,) = send(world)
    rehearse(world, error)

    world.answer(BELL)

    row = world.row(only)
    name = type(error).__name__
    assert (row.status, row.attempts, row.error_code) == ("pending", 1, "internal_error")
    assert row.error_message == f"the TEST channel failed: {name}"
    told = {
        "user_id": USER,
        "delivery_id": only,
        "request_id": "r-1",
        "integration_type": "TEST",
        "error": name,
    }
    assert ("channel.broke", told) in world.event_log.lines
    assert "xoxb" not in repr(world.event_log.lines)


def test_a_channel_that_cannot_be_had_is_an_attempt_that_failed(world):
    """Its module does not load, say."""
    (only,) = send(world)
    world.worker = dataclasses.replace(world.worker, channels={}.__getitem__)

    world.answer(BELL)

    assert world.row(only).error_message == "the TEST channel failed: KeyError"


class Impatient:
    """The real watchdog, with little patience."""

    def within(self, seconds, work):
        """Wait for a moment instead of the time asked for."""
        assert seconds == 10.0
        return ThreadWatchdog().within(0.05, work)


def test_an_attempt_that_takes_too_long_ends_by_the_watchdog(world):
    """What it comes to later is nobody's business any more."""
    (only,) = send(world)
    answer = threading.Event()
    rehearse(world, lambda: answer.wait(10) and Delivered())
    world.worker = dataclasses.replace(world.worker, watchdog=Impatient())

    world.answer(BELL)
    answer.set()

    row = world.row(only)
    assert (row.status, row.error_code, row.error_message) == (
        "pending", "timeout", "no outcome within 10 s",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "code"), [(Delivered(), None), (ValueError(), "internal_error")]
)
def test_an_attempt_in_time_passes_the_watchdog(world, outcome, code):
    """With its outcome, or with what it raised."""
    (only,) = send(world)
    rehearse(world, outcome)
    world.worker = dataclasses.replace(world.worker, watchdog=Impatient())

    world.answer(BELL)

    assert world.row(only).error_code == code


def test_a_key_that_does_not_answer_costs_no_try(world, monkeypatch):
    """Nothing was sent and nothing is counted; the message comes back."""
    world.webhook()
    override = world.overrides.get(USER).by_type["WEBHOOK"]
    world.overrides.rows[USER] = UserOverrides(
        {"WEBHOOK": dataclasses.replace(override, sealed=(b"sealed",))}, 5
    )
    (only,) = send(world, "WEBHOOK")

    def throttled(*_):
        raise UnavailableError("Decrypt failed: ThrottlingException")

    monkeypatch.setattr(world.vault, "open", throttled)

    with pytest.raises(UnavailableError):
        world.answer(BELL)

    row = world.row(only)
    assert (row.status, row.tries, row.attempts, row.owner) == ("pending", 0, 0, None)


def test_without_its_secrets_nothing_is_sent(world):
    """The attempt counts, and is repeated with what the vault then says."""
    world.webhook()
    override = world.overrides.get(USER).by_type["WEBHOOK"]
    sealed = world.vault.seal(USER, "WEBHOOK", {"issued": {"signing_secret": "s"}})
    world.overrides.rows[USER] = UserOverrides(
        {"WEBHOOK": dataclasses.replace(override, sealed=sealed)}, 5
    )
    (only,) = send(world, "WEBHOOK")
    world.vault.broken = True

    world.answer(BELL)
    denied = world.row(only)
    world.vault.broken = False
    world.run()

    assert (denied.status, denied.attempts, denied.error_code) == (
        "pending", 1, "secret_unavailable",
    )  # fmt: skip
    assert (sends(world, "WEBHOOK"), world.row(only).status) == (1, "success")


# A receiver that is gone --------------------------------------------------------------------------

GONE = Permanent("http_410", "the receiver answered 410", gone=True)


def test_a_receiver_that_is_gone_disables_the_override(world):
    """Only that one, with everything else as it was."""
    world.webhook(retry_count=2)
    world.override("SMS", **SMS)
    before = world.overrides.get(USER)
    (only,) = send(world, "WEBHOOK")
    rehearse(world, GONE, name="WEBHOOK")

    world.answer(BELL)

    after = world.overrides.get(USER)
    assert after == UserOverrides(
        {
            "WEBHOOK": Override(
                {"enabled": True, "config": HOOK, "retry_count": 2},
                created_at=1.0,
                updated_at=1.0,
                disabled_by_receiver=True,
            ),
            "SMS": before.by_type["SMS"],
        },
        before.version + 1,
    )
    assert (world.row(only).status, world.row(only).error_code) == ("failed", "http_410")
    assert "override.disabled" in world.event_log.events()


@pytest.mark.parametrize("seconds", [0.0, 9.0])
def test_a_changed_override_stays_enabled_when_the_old_receiver_is_gone(world, seconds):
    """Its version is no longer the one that was sent with, however long the send took."""
    world.webhook()
    world.override("TEST", enabled=True, priority=1)
    send(world, "WEBHOOK", "TEST")

    def moved():
        world.clock.advance(seconds)
        world.webhook(config={"url": "https://hooks.example.com/new"})
        return GONE

    rehearse(world, slowly(world, seconds))
    rehearse(world, moved, name="WEBHOOK")

    world.answer(BELL)

    assert world.overrides.get(USER).by_type["WEBHOOK"].disabled_by_receiver is False


@pytest.mark.parametrize("kind", ["deleted", "disabled", "unavailable"])
def test_an_override_that_cannot_be_disabled_is_left(world, kind):
    """Gone by then, off already, or out of reach: the record stands all the same."""
    world.webhook()
    (only,) = send(world, "WEBHOOK")
    world.put(only, forced=True)
    override = world.overrides.get(USER).by_type["WEBHOOK"]
    if kind == "deleted":
        rehearse(world, lambda: world.overrides.rows.clear() or GONE, name="WEBHOOK")
    else:
        rehearse(world, GONE, name="WEBHOOK")
    if kind == "disabled":
        off = dataclasses.replace(override, disabled_by_receiver=True)
        world.overrides.rows[USER] = UserOverrides({"WEBHOOK": off}, 7)
    if kind == "unavailable":
        broken = Faulty(world.overrides, lambda _: "throttled", "replace")
        world.worker = dataclasses.replace(world.worker, overrides=broken)
    before = dict(world.overrides.rows)

    world.answer(BELL)

    assert world.row(only).error_code == "http_410"
    assert world.overrides.rows == ({} if kind == "deleted" else before)
    assert "override.disabled" not in world.event_log.events()


def test_a_gone_receiver_without_an_override_disables_nothing(world):
    """There is nothing to turn off."""
    (only,) = send(world)
    rehearse(world, GONE)

    world.answer(BELL)

    assert (world.row(only).status, world.overrides.rows) == ("failed", {})


# Records ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Delivered(), BUSY, Permanent("http_400", "no")])
def test_a_record_whose_answer_was_lost_is_ours(outcome):
    """What follows it follows once."""
    world = World(wrap=faults("", "repeated"))
    (only,) = send(world)
    rehearse(world, outcome)

    world.answer(BELL)

    row = world.row(only)
    assert (sends(world), row.attempts, len(row.attempt_log), row.owner) == (1, 1, 1, None)
    assert len(world.doorbells.rung) == (0 if isinstance(outcome, Delivered) else 1)
    assert "record.lost" not in world.event_log.events()


@pytest.mark.parametrize("fate", ["throttled", "lost"])
@pytest.mark.parametrize("outcome", [Delivered(), BUSY])
def test_a_faulty_record_is_repeated_while_there_is_time(fate, outcome):
    """Written, however often it takes."""
    world = World(wrap=faults("", fate, fate, fate))
    (only,) = send(world)
    rehearse(world, outcome)

    world.answer(BELL)

    assert (sends(world), world.row(only).attempts, world.row(only).owner) == (1, 1, None)


def test_a_record_is_given_up_when_time_is_up(world):
    """The message comes back, the lease ends by itself, and the log tells of the try."""
    (only,) = send(world)

    def slow():
        world.seconds_left = 1.9
        return Delivered()

    rehearse(world, slow)
    broken = Faulty(world.deliveries, lambda _: "throttled" if sends(world) else "", "apply")
    world.worker = dataclasses.replace(world.worker, deliveries=broken)

    with pytest.raises(UnavailableError):
        world.answer(BELL)

    event, line = world.event_log.lines[-1]
    assert (world.row(only).status, world.row(only).tries) == ("pending", 1)
    assert (event, line["outcome"], line["status"]) == ("delivery.attempted", "delivered", None)


@pytest.mark.parametrize("outcome", [Delivered(), BUSY, Permanent("http_400", "no")])
def test_a_record_of_a_claim_that_somebody_took_over_is_dropped(world, outcome):
    """It counts as ``record.lost``; nothing is rung, no ticket sent."""
    (only,) = send(world)

    def stolen():
        world.put(only, owner="thief", last_owner="another")
        return outcome

    rehearse(world, stolen)

    world.answer(BELL)

    assert (world.row(only).owner, world.row(only).attempts) == ("thief", 0)
    assert world.doorbells.rung == []
    assert world.event_log.events()[-2:] == ["record.lost", "delivery.attempted"]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Delivered(), "success"), (BUSY, "pending"), (Permanent("http_404", "no"), "failed")],
)
def test_the_line_of_an_attempt_says_what_the_delivery_is_then(world, outcome, status):
    """So that one line tells all of a try that ends its round."""
    send(world)
    rehearse(world, lambda: outcome)

    world.answer(BELL)

    event, line = world.event_log.lines[-1]
    assert (event, line["number"], line["status"]) == ("delivery.attempted", 1, status)


def test_a_record_stands_although_the_lease_has_run_out(world):
    """As long as nobody took over."""
    (only,) = send(world)
    rehearse(world, slowly(world, 500))

    world.answer(BELL)

    assert world.row(only).status == "success"


def test_a_ring_for_a_retry_that_fails_is_the_sweepers(world):
    """The record stands."""
    (only,) = send(world)
    rehearse(world, lambda: setattr(world.doorbells, "broken", True) or BUSY)

    world.answer(BELL)
    world.doorbells.broken = False
    world.clock.advance(70)
    world.sweeper.sweep()

    assert ("doorbell.lost", {"user_id": USER, "delivery_id": only}) in world.event_log.lines
    assert world.doorbells.rung == [("retry", bell(world, only), 0)]


# One after the other ------------------------------------------------------------------------------


def chain(world, *fates: str) -> list[str]:
    """Accept a message over SMS (not configured here), WEBHOOK and TEST, one after the other."""
    world.override("SMS", **SMS, priority=1)
    world.webhook()
    return send(world, "SMS", "WEBHOOK", "TEST", mode="first_success")


def statuses(world, ids) -> list[tuple]:
    """Return how each ended."""
    return [(world.row(one).status, world.row(one).error_code) for one in ids]


def test_the_first_success_ends_the_others(world):
    """In the same transaction; they were not sent and owe nothing."""
    world.webhook()
    ids = send(world, "WEBHOOK", "TEST", mode="first_success")

    world.answer(BELL)

    second = world.row(ids[1])
    assert statuses(world, ids) == [("success", None), ("skipped", "first_success")]
    assert (second.waits, second.sweep_at, second.tries) == (False, None, 0)
    assert second.ttl == world.clock.now() + TTL + 1
    assert (sends(world), world.doorbells.rung) == (0, [])


def test_a_failure_releases_the_next(world):
    """It is due now, rung for on its own, and the rest still waits."""
    ids = chain(world)
    world.clock.advance(3)

    world.answer(bell(world, ids[0]))

    now = world.clock.now()
    second, third = world.row(ids[1]), world.row(ids[2])
    assert statuses(world, ids) == [
        ("failed", "not_configured"),
        ("pending", None),
        ("pending", None),
    ]
    assert (second.waits, second.due_at, second.sweep_at) == (False, now, now + 60)
    assert (third.waits, third.sweep_at) == (True, None)
    assert world.doorbells.rung == [("retry", DeliveryBell(USER, ids[1], now), 0)]


def test_a_chain_runs_until_one_succeeds(world):
    """Each with its own retries, strictly one after the other."""
    ids = chain(world)
    rehearse(world, BUSY, BUSY, name="WEBHOOK")

    world.answer(BELL)
    world.run()

    assert statuses(world, ids) == [
        ("failed", "not_configured"), ("failed", "http_503"), ("success", None),
    ]  # fmt: skip
    assert (sends(world, "WEBHOOK"), sends(world)) == (2, 1)
    last, first = world.channels["TEST"].messages[0], world.channels["WEBHOOK"].messages[1]
    assert last.attempted_at >= first.attempted_at


def test_who_waits_is_not_sent(world):
    """Not even by a doorbell of its own."""
    ids = chain(world)

    world.answer(bell(world, ids[2]))

    assert (world.row(ids[2]).tries, sends(world), world.doorbells.rung) == (0, 0, [])


def test_an_opt_out_releases_the_next(world):
    """Skipped is an end without success."""
    ids = chain(world)
    world.override("SMS", enabled=False)

    world.answer(bell(world, ids[0]))

    assert statuses(world, ids)[0] == ("skipped", "disabled_by_user")
    assert world.row(ids[1]).waits is False


def test_a_last_unknown_outcome_releases_the_next(world):
    """The end that a take-over writes is one like the others."""
    ids = chain(world)
    world.another_claims(ids[0])
    world.clock.advance(61)

    world.answer(bell(world, ids[0]))

    assert statuses(world, ids)[0] == ("failed", "unknown_outcome")
    assert world.row(ids[1]).waits is False
    assert [one[0] for one in world.doorbells.rung] == ["retry", "dead_letter"]


def test_a_sibling_that_was_cancelled_is_passed_over(world):
    """The next that still waits goes."""
    ids = chain(world)
    world.rounds.cancel(USER, ids[1])

    world.answer(bell(world, ids[0]))

    assert statuses(world, ids)[1] == ("skipped", "cancelled")
    assert world.row(ids[2]).waits is False


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Delivered(), [("success", None), ("skipped", "cancelled")]),
        (Permanent("http_400", "no"), [("failed", "http_400"), ("skipped", "cancelled")]),
    ],
)
def test_a_result_is_never_dropped_for_a_siblings_sake(outcome, expected):
    """A sibling that moved between reading and writing is read again."""
    world = World()
    world.webhook()
    ids = send(world, "WEBHOOK", "TEST", mode="first_success")
    rehearse(world, outcome, name="WEBHOOK")
    moves = [lambda: world.rounds.cancel(USER, ids[1])]
    raced = Faulty(world.deliveries, lambda _: moves.pop()() and "" if moves else "", "commit")
    world.worker = dataclasses.replace(world.worker, deliveries=raced)

    world.answer(BELL)

    assert statuses(world, ids) == expected


def test_a_release_whose_answer_was_lost_is_rung_for():
    """The transaction was written: the sibling that it released is the one to ring for."""
    world = World(wrap=faults("", "lost", method="commit"))
    ids = chain(world)

    world.answer(bell(world, ids[0]))

    released = world.row(ids[1])
    assert [world.row(one).waits for one in ids] == [False, False, True]
    assert ("retry", DeliveryBell(USER, ids[1], released.due_at), 0) in world.doorbells.rung


def test_a_released_sibling_is_rung_for_at_its_own_time(world):
    """With the ``due_at`` that its row holds: a doorbell of another time would be dropped."""
    ids = chain(world)
    slow = Faulty(world.deliveries, lambda _: world.clock.advance(0.7), "commit")
    world.worker = dataclasses.replace(world.worker, deliveries=slow)

    world.answer(bell(world, ids[0]))

    assert world.doorbells.rung == [("retry", bell(world, ids[1]), 0)]


def test_a_fresh_round_touches_no_sibling(world):
    """Its siblings have ended, and stay ended."""
    ids = chain(world)
    rehearse(world, Permanent("a", "b"), name="WEBHOOK")
    rehearse(world, Permanent("a", "b"))
    world.answer(BELL)
    world.run()
    world.rounds.retry(USER, ids[1])

    world.run()

    assert statuses(world, ids) == [
        ("failed", "not_configured"),
        ("success", None),
        ("failed", "a"),
    ]


# The door itself ----------------------------------------------------------------------------------


def test_a_message_that_nobody_can_read_is_parked(world):
    """With reason and source, as it came."""
    world.worker.answer('{"v": 2}', "RetryQueue", lambda: 100.0)

    assert world.doorbells.parked == [('{"v": 2}', "unknown version", "RetryQueue")]
    assert world.event_log.lines == [
        ("message.parked", {"reason": "unknown version", "source": "RetryQueue"})
    ]


@pytest.mark.parametrize("body", ["{}", encode(BELL), encode(Ticket(USER, "0" * 8, 2))])
def test_with_a_broken_setting_every_message_stays_in_its_queue(world, body):
    """Nothing is claimed, nothing parked."""
    (only,) = send(world)
    world.environ["INTEGRATION_DEFAULTS_CLI_ENABLED"] = "maybe"

    with pytest.raises(BrokenSettingError):
        world.worker.answer(body, "DeliveryQueue", lambda: 100.0)

    assert (world.row(only).tries, world.doorbells.parked, world.doorbells.rung) == (0, [], [])


def test_a_redriven_ticket_opens_the_round_that_it_is_for(world):
    """Once, however often it comes."""
    (only,) = send(world)
    rehearse(world, Permanent("http_404", "no"))
    world.answer(BELL)
    ((_, ticket, _),) = world.doorbells.taken()

    world.answer(ticket)
    world.answer(ticket)

    row = world.row(only)
    assert (row.round, row.status, row.attempts, row.tries) == (2, "pending", 0, 0)
    assert world.doorbells.rung == [("delivery", bell(world, only), 0)]
    world.run()
    assert (world.row(only).status, world.channels["TEST"].messages[-1].round) == ("success", 2)


def test_a_ticket_from_the_future_is_parked(world):
    """No round of ours leads there: a person should look."""
    (only,) = send(world)
    ticket = Ticket(USER, only, 3)

    world.answer(ticket)

    assert [(body, source) for body, _, source in world.doorbells.parked] == [
        (encode(ticket), "DeliveryQueue")
    ]
    assert world.event_log.events()[-1] == "message.parked"


# Reading ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "reads"), [(0.0, 1), (10.0, 1), (10.1, 2)])
def test_overrides_are_read_once_per_doorbell_unless_it_takes_long(world, seconds, reads):
    """A reading serves ten seconds."""
    world.webhook()
    send(world, "WEBHOOK", "TEST")
    rehearse(world, slowly(world, seconds), name="WEBHOOK")
    asked = []
    counted = Faulty(world.overrides, asked.append, "get")
    world.worker = dataclasses.replace(world.worker, overrides=counted)

    world.answer(BELL)

    assert (len(asked), sends(world)) == (reads, 1)


def test_what_a_send_costs(world):
    """Two reads per request doorbell and two writes per attempt; one ring for a retry."""
    world.webhook()
    send(world, "WEBHOOK", "TEST")
    rehearse(world, BUSY)
    calls = []
    counted = Faulty(world.deliveries, calls.append, "get", "apply", "commit")
    world.worker = dataclasses.replace(world.worker, deliveries=counted)

    world.answer(BELL)

    assert calls == ["get", "apply", "apply", "apply", "apply"]
    assert len(world.doorbells.rung) == 1


def test_the_budget_is_the_rules(world):
    """What this file takes for the bounds of an attempt is what the protocol says."""
    assert (protocol.LEASE, protocol.LEASE_TO_SEND, protocol.ATTEMPT) == (60, 35, 10)
    assert isinstance(world.row(*send(world)), Delivery)
