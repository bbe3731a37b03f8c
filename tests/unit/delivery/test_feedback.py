"""Feedback: reports of a provider after it accepted a message, and their effects."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from dispatcher.configuration.suppressions import suppression_id
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.delivery.rows import Receipt, message_id_of
from dispatcher.errors import TooEarlyError, UnavailableError
from dispatcher.responses import rfc3339
from tests.fakes import Faulty
from tests.feedback import event
from tests.rig import CONFIGS, ENVIRON
from tests.visits import rehearse, ring_for, sends, statuses, visit
from tests.world import USER, World

ADDRESS = USER
BOUNCES = [
    "bounce_mailbox_full",
    "bounce_too_large",
    "bounce_content",
    "bounce_attachment",
]
TYPES = ("EMAIL", "SLACK", "CLI")


class Outcomes:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str, int]] = []

    def publish(self, row, place):
        """Keep integration, status and round."""
        one = row.deliveries[place]
        self.published.append((one.type, str(one.status), one.round))


@pytest.fixture
def world() -> World:
    """Return a service in which EMAIL, SLACK, CLI and SMS are enabled, with an outcome bus."""
    return make_world()


def make_world(**options):
    """Return such a service."""
    world = World(publisher=Outcomes(), **options, **ENVIRON)
    for priority, name in enumerate((*TYPES, "SMS"), 1):
        world.override(name, enabled=True, priority=priority, config=CONFIGS[name])
    return world


def send(world, *types, **body):
    """Accept a message and deliver it as far as it goes."""
    ids = world.send(integration_types=list(types or TYPES), **body)
    world.run()
    world.context.publisher.published.clear()
    return ids


def text(world, name, delivery_id, **options):
    """Return the body of an event, of now unless an ``at`` is given."""
    at = rfc3339(options.pop("at", world.clock.now()))
    return json.dumps(event(name, USER, delivery_id, at=at, **options))


def report(world, name, delivery_id, **options):
    """Let a provider report about a delivery."""
    world.feedback.take(text(world, name, delivery_id, **options), "m-1")


def receipt(world, delivery_id):
    """Return the state of a delivery's receipt."""
    found = world.delivery(delivery_id).receipt
    return found and found.state


def suppressed(world):
    """Return the states of the user's suppressions by their IDs."""
    stored = world.overrides.get(USER).suppressions
    return {identity: one.state for identity, one in stored.items()}


BOUNCED = {suppression_id("EMAIL", ADDRESS): "bounced"}
TABLE = [
    # event, status, error code, receipt, suppression, dead letter
    ("delivery", "success", None, "delivered", {}, False),
    ("delay", "success", None, "delayed", {}, False),
    ("bounce_undetermined", "success", None, "delayed", {}, False),
    ("bounce_general", "success", None, "delayed", {}, False),
    ("bounce_permanent", "failed", "bounced", "bounced", BOUNCED, False),
    ("bounce_suppressed", "failed", "bounced", "bounced", BOUNCED, False),
    *((name, "failed", "undelivered", "bounced", {}, True) for name in BOUNCES),
    (
        *("complaint", "success", None, "complained"),
        *({suppression_id("EMAIL", ADDRESS): "complained"}, False),
    ),
    ("reject", "failed", "rejected", None, {}, False),
]
"""The rows of the contract's table: what an event makes of a success."""

in_each_row = pytest.mark.parametrize(
    ("name", "status", "code", "state", "suppressions", "dead_letter"),
    TABLE,
    ids=[row[0] for row in TABLE],
)


def result(world, only):
    """Return what the table of the contract names about a delivery."""
    one = world.delivery(only)
    return (str(one.status), one.error_code, receipt(world, only), suppressed(world))


# The table ----------------------------------------------------------------------------------------


@in_each_row
def test_each_event_has_its_effect(world, name, status, code, state, suppressions, dead_letter):
    """Delivery, address and dead letter are as the contract's table says."""
    [only] = send(world, "EMAIL")

    report(world, name, only, address=ADDRESS)

    assert result(world, only) == (status, code, state, suppressions)
    letters = [one for one in world.doorbells.taken() if one[0] == "dead_letter"]
    assert [one.round for _, one, _ in letters] == ([2] if dead_letter else [])
    one = world.delivery(only)
    assert (one.delivered_at is None, one.dead_letter_owed) == (status == "failed", False)
    assert one.attempt_log
    ended = [("EMAIL", "failed", 1)] if status == "failed" else []
    assert world.context.publisher.published == ended


@in_each_row
def test_an_event_that_comes_twice_changes_nothing_more(
    world, name, status, code, state, suppressions, dead_letter
):
    """The second event is not written: the row keeps its revision."""
    [only] = send(world, "EMAIL")
    body = text(world, name, only, address=ADDRESS)
    world.feedback.take(body, "m-1")
    before = world.row(only)
    user = world.overrides.get(USER)
    world.doorbells.taken()
    world.clock.advance(3600)

    world.feedback.take(body, "m-1")

    assert result(world, only) == (status, code, state, suppressions)
    assert world.row(only) is before
    assert world.overrides.get(USER) == user
    assert world.doorbells.taken() == []
    assert len(world.context.publisher.published) == (status == "failed")
    assert dead_letter is (code == "undelivered")


@in_each_row
def test_an_event_before_the_record_waits_for_it(
    world, name, status, code, state, suppressions, dead_letter
):
    """The address is suppressed immediately; the rest follows when the delivery has ended."""
    [only] = world.send(integration_types=["EMAIL"])
    body = text(world, name, only, address=ADDRESS)
    early = []

    def deliver():
        with pytest.raises(TooEarlyError):
            world.feedback.take(body, "m-1")
        early.append(result(world, only))
        return Delivered()

    rehearse(world, deliver, name="EMAIL")
    world.run()
    assert early == [("pending", None, None, suppressions)]
    assert world.delivery(only).status == "success"

    world.feedback.take(body, "m-1")

    assert result(world, only) == (status, code, state, suppressions)
    assert dead_letter is (code == "undelivered")


@pytest.mark.parametrize(
    "names",
    [
        ("delay", "delivery", "bounce_permanent"),
        ("delivery", "complaint"),
        ("bounce_mailbox_full", "bounce_permanent"),
        ("bounce_permanent", "bounce_mailbox_full"),
        ("bounce_general", "complaint", "bounce_permanent"),
        ("reject", "bounce_permanent"),
    ],
)
def test_the_order_of_events_does_not_matter(names):
    """The receipt of the highest rank stays, then the latest; status and code follow it."""
    results = set()
    for order in itertools.permutations(enumerate(names)):
        world = make_world()
        [only] = send(world, "EMAIL")
        begin = world.clock.now()
        for number, name in (*order, *order):
            report(world, name, only, at=begin + number, address=ADDRESS)
        one = world.delivery(only)
        results.add((one.status, one.error_code, one.error_message, str(one.receipt)))
        assert suppressed(world) in ({}, BOUNCED, {next(iter(BOUNCED)): "complained"})

    assert len(results) == 1


def test_a_receipt_of_a_later_version_stays(world):
    """A state that this version does not know is not replaced."""
    [only] = send(world, "EMAIL")
    later = Receipt("read", world.clock.now(), "", extra={"by": "ada"})
    world.put(only, receipt=later)

    report(world, "delivery", only)

    assert world.delivery(only).receipt == later


# Rounds and rows ----------------------------------------------------------------------------------


def test_an_event_of_another_round_only_suppresses(world):
    """A late bounce does not end a round that a redrive opened."""
    [only] = send(world, "EMAIL")
    report(world, "bounce_mailbox_full", only)
    world.rounds.retry(USER, only)
    world.run()
    before = world.row(only)

    report(world, "bounce_permanent", only, number=1, address=ADDRESS)

    assert world.row(only) is before
    assert world.delivery(only).status == "success"
    assert suppressed(world) == BOUNCED


def test_an_event_of_another_round_does_not_wait_for_a_pending_one(world):
    """It is done with: it would never apply."""
    [only] = send(world, "EMAIL")
    report(world, "bounce_mailbox_full", only)
    world.rounds.retry(USER, only)

    report(world, "bounce_mailbox_full", only, number=1)

    assert world.delivery(only).status == "pending"


def test_a_new_round_begins_without_a_receipt(world):
    """Reports about the last round say nothing about this one."""
    [only] = send(world, "EMAIL")
    report(world, "bounce_mailbox_full", only)

    world.rounds.retry(USER, only)

    assert world.delivery(only).receipt is None


def test_a_failure_of_our_own_keeps_its_code(world):
    """A delivery that failed by its attempts gets the receipt and no other code."""
    [only] = send(world, "EMAIL")
    world.put(only, status="failed", error_code="timeout", delivered_at=None)

    report(world, "bounce_permanent", only, address=ADDRESS)

    assert result(world, only) == ("failed", "timeout", "bounced", BOUNCED)


def test_an_expired_row_is_not_changed(world):
    """It may be removed at any moment: the event is dropped."""
    [only] = send(world, "EMAIL")
    before = world.row(only)
    world.clock.seconds = before.ttl

    report(world, "bounce_permanent", only)

    assert world.row(only) is before
    assert world.event_log.lines[-1] == (
        "feedback.expired",
        {"user_id": USER, "delivery_id": only, "integration_type": "EMAIL"},
    )


def test_a_row_that_is_gone_is_dropped_only_after_its_retention(world):
    """Before, there never was such a delivery: an operator has to inspect the event."""
    [only] = send(world, "EMAIL")
    del world.table.rows[USER, f"MESSAGE#{message_id_of(only)}"]

    report(world, "bounce_permanent", only)
    assert [why for _, why, _ in world.doorbells.parked] == ["the delivery is unknown"]
    world.clock.advance(world.context.retention + 1)
    report(world, "bounce_permanent", only)

    assert len(world.doorbells.parked) == 1
    assert world.event_log.lines[-1][0] == "feedback.expired"
    assert suppressed(world) == {}


def test_a_row_that_goes_during_the_write_is_dropped(world):
    """DynamoDB may remove an expired row at any moment."""
    [only] = send(world, "EMAIL")

    def fate(_):
        world.table.rows.pop((USER, f"MESSAGE#{message_id_of(only)}"), None)
        return ""

    context = replace(world.context, messages=Faulty(world.table, fate, "write"))
    world.feedback = replace(world.feedback, context=context)

    report(world, "bounce_permanent", only)

    assert world.event_log.lines[-1][0] == "feedback.expired"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("no event", "the message is not valid JSON: see line 1, column 1"),
        (lambda world, only: text(world, "delivery", only, stack="x"), "another stack"),
        (lambda world, only: text(world, "delivery", only[:-2] + "02"), "unknown"),
        (lambda world, only: text(world, "text_delivered", only), "unknown"),
    ],
)
def test_what_is_no_report_about_a_delivery_is_parked(world, body, why):
    """With its reason and its source; nothing is written."""
    [only] = send(world, "EMAIL")
    before = world.row(only)
    body = body if isinstance(body, str) else body(world, only)

    world.feedback.take(body, "m-9")

    [(parked, reason, source)] = world.doorbells.parked
    assert (parked, source) == (body, "FeedbackQueue")
    assert why in reason
    assert world.event_log.lines[-1] == (
        "feedback.parked",
        {"reason": reason, "message_id": "m-9"},
    )
    assert world.row(only) is before


def test_an_event_without_any_time_is_dated_by_the_delivery(world):
    """So the same event again changes nothing."""
    [only] = send(world, "EMAIL")
    sent_at = world.delivery(only).last_attempt_at
    bare = event("delivery", USER, only)
    bare["time"] = bare["detail"]["mail"]["timestamp"] = bare["detail"]["delivery"]["timestamp"] = 0
    del bare["time"], bare["detail"]["mail"]["timestamp"], bare["detail"]["delivery"]["timestamp"]
    world.clock.advance(60)

    world.feedback.take(json.dumps(bare), "m-1")

    assert world.delivery(only).receipt.at == sent_at


def test_the_log_tells_what_changed(world):
    """The lag is the time from the report to its record."""
    [only] = send(world, "EMAIL")

    report(world, "bounce_permanent", only, at=world.clock.now() - 2.5)

    [fields] = [line for name, line in world.event_log.lines if name == "feedback.applied"]
    assert fields == {
        "user_id": USER,
        "delivery_id": only,
        "request_id": world.row(only).request_id,
        "integration_type": "EMAIL",
        "round": 1,
        "receipt": "bounced",
        "ended": True,
        "status": "failed",
        "error_code": "bounced",
        "lag_ms": 2500,
    }


# first_success ------------------------------------------------------------------------------------


def chain(world, **body):
    """Send over EMAIL, SLACK and CLI until one succeeds, which is EMAIL."""
    ids = send(world, mode="first_success", **body)
    assert statuses(world, ids) == [
        ("success", None),
        ("skipped", "first_success"),
        ("skipped", "first_success"),
    ]
    return ids


def test_a_bounce_lets_the_next_integration_deliver(world):
    """The write that fails the success makes pending what it had skipped, in order."""
    ids = chain(world)
    world.clock.advance(5)

    report(world, "bounce_permanent", ids[0], address=ADDRESS)

    assert statuses(world, ids) == [("failed", "bounced"), ("pending", None), ("pending", None)]
    row = world.row(ids[0])
    assert (row.ttl, row.rings, row.sweep_at) == (None, 0, world.clock.now() + 60)
    assert [one.due_at for one in row.deliveries[1:]] == [world.clock.now()] * 2
    assert world.doorbells.rung == [ring_for(world, ids[1], 0)]
    world.run()
    assert statuses(world, ids) == [
        ("failed", "bounced"),
        ("success", None),
        ("skipped", "first_success"),
    ]
    assert (sends(world, "EMAIL"), sends(world, "SLACK"), sends(world, "CLI")) == (1, 1, 0)
    assert world.context.publisher.published == [
        ("EMAIL", "failed", 1),
        ("SLACK", "success", 1),
        ("CLI", "skipped", 1),
    ]


def test_the_chain_goes_on_after_a_second_failure(world):
    """SLACK fails permanently after the bounce: CLI delivers."""
    ids = chain(world)
    rehearse(world, Permanent("http_404", "no"), name="SLACK")

    report(world, "bounce_permanent", ids[0])
    world.run()

    assert [status for status, _ in statuses(world, ids)] == ["failed", "failed", "success"]


def test_what_was_skipped_for_a_reason_of_its_own_stays(world):
    """A cancelled delivery, and one of an integration that is disabled, are not sent."""
    ids = chain(world)
    world.put(ids[1], error_code="cancelled")

    report(world, "bounce_permanent", ids[0])
    world.run()

    assert statuses(world, ids)[1:] == [("skipped", "cancelled"), ("success", None)]


def test_a_complaint_does_not_continue_the_chain(world):
    """The message arrived."""
    ids = chain(world)

    report(world, "complaint", ids[0], address=ADDRESS)

    assert [status for status, _ in statuses(world, ids)] == ["success", "skipped", "skipped"]
    assert world.doorbells.rung == []


def test_a_message_that_goes_everywhere_has_nothing_to_revive(world):
    """In mode ``all`` every delivery stands for itself."""
    ids = send(world)

    report(world, "bounce_permanent", ids[0])

    assert [status for status, _ in statuses(world, ids)] == ["failed", "success", "success"]
    assert world.row(ids[0]).ttl is not None
    assert world.doorbells.rung == []


def test_a_revived_delivery_waits_for_the_users_hours(world):
    """It is held until the opening, and delivered then."""
    ids = chain(world)
    opens = world.clock.now() + 600
    world.prefer(muted_until=opens, hours={"integrations": ["SLACK"]})

    report(world, "bounce_permanent", ids[0])

    one = world.delivery(ids[1])
    assert (one.held, one.due_at) == ("muted", opens)
    assert world.doorbells.rung == [ring_for(world, ids[1], 600)]
    assert sends(world, "SLACK") == 0
    world.run()
    assert [status for status, _ in statuses(world, ids)] == ["failed", "success", "skipped"]
    assert "delivery.held" in [name for name, _ in world.event_log.lines]


def test_a_revived_delivery_that_opens_late_is_left_to_the_sweeper(world):
    """Beyond 900 s nothing is rung for."""
    ids = chain(world)
    world.prefer(muted_until=world.clock.now() + 5000, hours={"integrations": ["SLACK"]})

    report(world, "bounce_permanent", ids[0])

    assert world.doorbells.rung == []
    assert world.row(ids[0]).sweep_at == world.clock.now() + 4100


def test_an_unmute_during_the_write_releases_the_revived_delivery(world):
    """The preferences are read again after a write that holds."""
    ids = chain(world)
    world.prefer(muted_until=world.clock.now() + 600, hours={"integrations": ["SLACK"]})

    def fate(_):
        world.prefer()
        return ""

    context = replace(world.context, messages=Faulty(world.table, fate, "write"))
    world.feedback = replace(world.feedback, context=context)

    report(world, "bounce_permanent", ids[0])

    assert world.delivery(ids[1]).held is None
    world.run()
    assert sends(world, "SLACK") == 1


def test_an_expired_chain_ends(world):
    """``expires_at`` counts for the next integration too."""
    begin = world.clock.now()
    ids = chain(world, expires_at=rfc3339(begin + 100))
    world.clock.advance(200)

    report(world, "bounce_permanent", ids[0])
    world.run()

    assert statuses(world, ids) == [
        ("failed", "bounced"),
        ("failed", "expired"),
        ("failed", "expired"),
    ]


def test_a_write_without_a_ring_never_moves_the_sweep_later(world):
    """A retry that was too far away to be rung for is still the sweeper's to ring for [29]."""
    world.override("SLACK", enabled=True, priority=2, retry_delay_seconds=905)
    rehearse(world, Retry("http_503", "busy"), name="SLACK")
    email, slack = world.send(integration_types=["EMAIL", "SLACK"])
    _, doorbell, _ = world.doorbells.taken()[0]
    world.handle(doorbell)
    due_at = world.delivery(slack).due_at
    assert world.row(slack).sweep_at == due_at - 900
    world.clock.advance(60)
    assert world.doorbells.taken() == []

    report(world, "bounce_mailbox_full", email)

    assert world.row(slack).sweep_at == due_at - 900
    assert [queue for queue, _, _ in world.doorbells.taken()] == ["dead_letter"]


# Concurrent writers and faults --------------------------------------------------------------------


def test_a_worker_that_has_the_row_goes_on(world):
    """Its record is computed again; nothing is rung for while its lease lives."""
    email, slack = world.send(integration_types=["EMAIL", "SLACK"])
    world.doorbells.taken()

    def bounce():
        report(world, "bounce_permanent", email)
        return Delivered()

    rehearse(world, bounce, name="SLACK")
    visit(world, email)

    assert statuses(world, [email, slack]) == [("failed", "bounced"), ("success", None)]
    assert world.doorbells.rung == []


@pytest.mark.parametrize("fate", ["lost", "throttled"])
def test_a_write_that_fails_returns_the_event(world, fate):
    """The queue delivers it again, and nothing is done twice."""
    ids = chain(world)
    left = [fate]

    def fates(_):
        return left.pop() if left else ""

    context = replace(world.context, messages=Faulty(world.table, fates, "write"))
    world.feedback = replace(world.feedback, context=context)

    with pytest.raises(UnavailableError):
        report(world, "bounce_permanent", ids[0])
    report(world, "bounce_permanent", ids[0])

    assert statuses(world, ids) == [("failed", "bounced"), ("pending", None), ("pending", None)]
    world.clock.advance(61)
    world.sweeper.sweep()
    world.run()
    assert [status for status, _ in statuses(world, ids)] == ["failed", "success", "skipped"]


def test_a_suppression_that_fails_leaves_the_delivery_alone(world):
    """The suppression comes first: no sibling and no retry starts before it is stored."""
    ids = chain(world)
    before = world.row(ids[0])

    def add(*_, **__):
        raise UnavailableError("the table is out of reach")

    class Broken:
        pass

    broken = Broken()
    broken.add = add
    world.feedback = replace(world.feedback, suppressions=broken)

    with pytest.raises(UnavailableError):
        report(world, "bounce_permanent", ids[0])

    assert world.row(ids[0]) is before


def test_queues_that_are_out_of_reach_do_not_return_the_event(world):
    """The sweeper rings, and sends the dead letter."""
    [only] = send(world, "EMAIL")
    world.doorbells.broken = True

    report(world, "bounce_mailbox_full", only)

    assert world.delivery(only).dead_letter_owed
    assert "dead_letter.delayed" in [name for name, _ in world.event_log.lines]
    world.doorbells.broken = False
    world.clock.advance(61)
    world.sweeper.sweep()
    assert [queue for queue, _, _ in world.doorbells.taken()] == ["dead_letter"]


def test_only_its_own_dead_letter_is_sent(world):
    """That of a sibling is sent by the worker that still has the message."""
    email, slack = send(world, "EMAIL", "SLACK")
    world.put(slack, status="failed", error_code="http_503", dead_letter_owed=True)

    report(world, "bounce_mailbox_full", email)

    [(_, letter, _)] = world.doorbells.taken()
    assert letter.delivery_id == email
    assert world.delivery(slack).dead_letter_owed


def test_a_delivery_event_reads_the_row_alone(world):
    """One read and one write; a bounce reads the preferences with the same call."""
    calls = []

    def count(name):
        calls.append(name)
        return ""

    [only] = send(world, "EMAIL")
    tables = ("message", "visit", "write")
    context = replace(world.context, messages=Faulty(world.table, count, *tables))
    world.feedback = replace(world.feedback, context=context)

    report(world, "delivery", only)
    report(world, "delivery", only)
    report(world, "bounce_permanent", only)

    assert calls == ["message", "write", "message", "visit", "write"]


# SMS ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("text_delivered", ("success", None, "delivered", {})),
        ("text_blocked", ("failed", "undelivered", "bounced", {})),
        (
            "text_opted_out",
            (
                *("failed", "opted_out", "opted_out"),
                {suppression_id("SMS", "+14155552671"): "opted_out"},
            ),
        ),
    ],
)
def test_text_messages_have_receipts_too(world, name, found):
    """A number that has opted out is suppressed, and the chain goes on."""
    world.override("CLI", enabled=True, priority=9)
    sms, cli = send(world, "SMS", "CLI", mode="first_success")

    world.feedback.take(json.dumps(event(name, USER, sms)), "m-1")

    assert result(world, sms) == found
    world.run()
    again = found[0] == "failed"
    assert world.delivery(cli).status == ("success" if again else "skipped")
