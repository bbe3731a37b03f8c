"""Preferences in a chaos run: their plan, and what the audit holds against them."""

from __future__ import annotations

import smtplib
from dataclasses import replace
from email.message import EmailMessage

import pytest

from dispatcher.configuration.hours import opening, quiet_of
from dispatcher.configuration.preference_bodies import preferences_change
from dispatcher.configuration.preferences import changed
from dispatcher.configuration.rows import Category, Policy
from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.delivery.rows import PlannedDelivery, SkippedType
from evidence.chaos.calls import Step, change
from evidence.chaos.figures import Lateness, figures
from evidence.chaos.ledger import Fate, Ledger
from evidence.chaos.preferences import MINUTE, Emails, State, apply, planned
from evidence.chaos.promises import CATEGORY, KNOWN
from evidence.chaos.traffic import BETA, SECURITY, messages, population
from tests.tools.test_chaos_audit import DELIVERY, FIRST, MESSAGE, Message, broken, request
from tools.processes import free_port

NOW = 1_795_300_000.0
MUTED = State(since=0.0, types=("WEBHOOK",), muted_until=300.0)
HELD = replace(DELIVERY, due_at=300.0, held="muted", not_before=100.0)


def held(at=300.4, **fields):
    """Return a message that was held at accept until 300.0, and sent 0.2 s after a claim."""
    message = Message((replace(HELD, **fields),))
    message.claim("a", at)
    message.send(at + 0.2)
    message.record(at + 0.8, status="success")
    message.end()
    return message


def audited(message, *states, **fields):
    """Return the findings about a message of a user with these preferences."""
    return message.audit(states={"ada": states or (MUTED,)}, **fields)


def plan_of(*types, **fields):
    """Return the request of a message with a plan."""
    plan = PlannedDelivery(type="EMAIL", priority=1, max_attempts=1, retry_delay_seconds=1)
    return request(deliveries=tuple(replace(plan, **one) for one in types), **fields)


def test_a_hold_that_ends_at_its_opening_breaks_no_promise():
    """Its lateness counts from the opening, not from the acceptance."""
    found = audited(held())

    assert broken(found) == {}
    assert (figures(found)["holds begun by"], figures(found)["holds ended by"]) == (
        {"accept": 1},
        {"opening": 1},
    )
    assert figures(found)["lateness"]["opening"] == Lateness(pytest.approx(0.4), pytest.approx(0.4))


def test_a_change_of_preferences_may_end_a_hold():
    """The delivery is sent before the time that its first row named, and counted from then on."""
    message = Message((HELD,))
    message.write(150.0, deliveries=message.change(held=None, not_before=None, due_at=150.0))
    message.attempt("a", 150.7, Fate.ACCEPTED, status="success")
    message.end()

    found = audited(message, replace(MUTED, until=150.0), State(since=149.0))

    assert broken(found) == {}
    assert (figures(found)["holds ended by"], figures(found)["lateness"]["opening"]) == (
        {"change of preferences": 1},
        Lateness(),
    )
    assert figures(found)["lateness"]["change"] == Lateness(pytest.approx(0.7), pytest.approx(0.7))


@pytest.mark.parametrize(
    ("state", "until"),
    [
        (MUTED, 300.0),
        (replace(MUTED, muted_until=0.0, windows=((40.0, 80.0), (280.0, 320.0))), 280.0),
        (replace(MUTED, windows=((40.0, 80.0), (310.0, 320.0))), 310.0),
    ],
    ids=["muted", "closed", "closed after the mute"],
)
def test_a_send_while_the_user_may_not_be_disturbed_is_found(state, until):
    """The preferences had been the same for longer than a worker keeps them."""
    message = Message()
    message.attempt("a", 200.0, Fate.ACCEPTED, status="success")
    message.end()

    assert broken(audited(message, state)) == {
        "no message is sent while its user may not be disturbed": [
            f"{FIRST}: {until - 200.2:.3f} s before the opening"
        ]
    }


@pytest.mark.parametrize(
    ("states", "fields"),
    [
        ([replace(MUTED, types=("CLI",))], {}),
        ([replace(MUTED, muted_until=200.1)], {}),
        ([State(since=0.0, until=200.2 - KNOWN + 1), replace(MUTED, since=187.0)], {}),
        ([replace(MUTED, until=200.1), State(since=199.0)], {}),
        ([State(since=0.0), replace(MUTED, since=200.3)], {}),
        ([MUTED], {"ignores_hours": True}),
    ],
    ids=["another integration", "over", "set just now", "removed just now", "later", "now=true"],
)
def test_a_send_that_preferences_allow_is_no_finding(states, fields):
    """A worker may go by preferences that are 12 s old, and some messages ignore them."""
    message = Message((replace(DELIVERY, **fields),))
    message.attempt("a", 200.0, Fate.ACCEPTED, status="success")
    message.end()

    assert broken(audited(message, *states)) == {}


def test_a_worker_that_stalled_beyond_its_lease_may_send_to_a_muted_user():
    """No check before a send can prevent it."""
    message = Message()
    message.claim("a", 200.0, lease=30.0)
    message.send(240.0)
    message.record(240.5, status="success")
    message.end()

    assert broken(audited(message, MUTED)) == {}


@pytest.mark.parametrize(
    "state", [State(since=0.0), replace(MUTED, muted_until=130.0)], ids=["open", "opens earlier"]
)
def test_a_hold_beyond_its_opening_is_found(state):
    """The user may be disturbed by then."""
    late = 200.0 if state.muted_until == 0.0 else 170.0

    assert broken(audited(held(), state)) == {
        "no delivery is held without a reason, or beyond its opening": [
            f"{FIRST}: held for {late:.3f} s after the opening"
        ]
    }


@pytest.mark.parametrize(
    "fields", [{"category": SECURITY}, {"ignores_hours": True}], ids=["urgent", "now=true"]
)
def test_a_hold_of_what_ignores_hours_is_found(fields):
    """Neither an urgent message nor a round with ``now=true`` waits."""
    message = held(**{name: value for name, value in fields.items() if name == "ignores_hours"})
    category = fields.get("category")
    message.writes = [
        replace(write, row=replace(write.row, category=category)) for write in message.writes
    ]
    message.row = message.writes[-1].row

    assert broken(audited(message)).keys() == {
        "no delivery is held without a reason, or beyond its opening"
    }


def test_a_held_delivery_that_never_comes_is_lost():
    """It is still pending when all other work is done."""
    assert broken(audited(Message((HELD,)))) == {
        "every delivery ends, and its end is final": [f"{FIRST}: pending"]
    }


def test_a_claim_before_the_opening_of_its_row_is_found():
    """A claim must wait for the due time of the row that it replaces."""
    assert broken(audited(held(at=290.0), replace(MUTED, muted_until=250.0)))[
        "no attempt is early"
    ] == [f"{FIRST}: claimed 10.000 s before its time in the row"]


def test_a_hold_at_an_attempt_uses_no_try():
    """Its claim sent nothing, and the retry's lateness does not count the hold."""
    message = Message()
    message.attempt("a", 100.4)
    message.claim("b", 103.5)
    message.record(103.6, tries=1, attempts=1, held="muted", due_at=300.0, not_before=103.5)
    message.claim("c", 301.0)
    message.send(301.2)
    message.record(301.8, status="success")
    message.end()

    states = State(since=0.0, until=102.0), replace(MUTED, since=101.0)
    found = audited(message, *states)

    assert broken(found) == {}
    assert (figures(found)["holds begun by"], figures(found)["claims given back"]) == (
        {"attempt": 1},
        1,
    )
    assert figures(found)["lateness"]["retry"] == Lateness(pytest.approx(0.8), pytest.approx(0.8))
    assert figures(found)["lateness"]["opening"] == Lateness(1.0, 1.0)


def test_the_lateness_of_a_retry_that_was_held_counts_from_its_opening():
    """The delay had ended long before."""
    message = Message()
    message.attempt("a", 100.4, held="muted", due_at=300.0, not_before=103.2)
    message.attempt("b", 300.5, Fate.ACCEPTED, status="success")
    message.end()

    found = audited(message, State(since=0.0, until=102.0), replace(MUTED, since=101.0))

    assert broken(found) == {}
    assert (figures(found)["holds begun by"], figures(found)["lateness"]["retry"]) == (
        {"retry": 1},
        Lateness(),
    )
    assert figures(found)["lateness"]["opening"] == Lateness(0.5, 0.5)


def test_a_held_delivery_lets_others_pass():
    """First attempts follow the order of what is due."""
    second = replace(DELIVERY, type="CLI", priority=2)
    message = Message((HELD, second))
    message.attempt("a", 100.4, Fate.ACCEPTED, place=1, status="success")
    message.write(500.0, deliveries=message.change(status="skipped", held=None))
    message.end()

    found = audited(message, mailbox={message.row.delivery_id(1): "Hello"})

    assert (broken(found), figures(found)["holds ended by"]) == ({}, {"end": 1})


def test_a_redrive_in_closed_hours_is_held():
    """Its new round begins with a hold."""
    message = Message()
    message.attempt("a", 100.4, status="failed", error_code="http_404")
    reopened = {"status": "pending", "round": 2, "tries": 0, "attempts": 0, "error_code": None}
    wait = {"held": "muted", "due_at": 300.0, "not_before": 120.0}
    message.write(120.0, deliveries=message.change(**reopened, **wait))
    message.claim("b", 300.4)
    message.send(300.6)
    message.record(301.0, status="success")
    message.end()
    letter = DeadLetter("ada", FIRST, 2)

    # The user muted after the first attempt.
    states = State(since=0.0, until=102.0), replace(MUTED, since=101.0)
    found = audited(message, *states, dead_letters=[letter], redriven=frozenset({letter}))

    assert broken(found) == {}
    assert figures(found)["holds begun by"] == {"new round": 1}


@pytest.mark.parametrize(
    ("wants_beta", "case"),
    [(True, "skipped, although its category is on"), (False, None)],
)
def test_a_skip_needs_a_category_that_is_off(wants_beta, case):
    """A delivery of an opt-in category is skipped once its user has left it."""
    message = Message()
    message.row = replace(message.row, category=BETA)
    message.writes[0] = replace(message.writes[0], row=message.row)
    off = {"status": "skipped", "error_code": "category_disabled_by_default"}
    message.write(101.0, deliveries=message.change(**off))
    message.end()

    found = audited(message, State(since=0.0, wants_beta=wants_beta))

    assert broken(found) == ({CATEGORY: [f"{FIRST}: {case}"]} if case else {})
    assert figures(found)["skipped, category off"] == 1


def test_a_send_of_a_category_that_is_off_is_found():
    """The user left it before; a plan with deliveries is a finding too."""
    message = Message()
    message.row = replace(message.row, category=BETA)
    message.writes[0] = replace(message.writes[0], row=message.row)
    message.attempt("a", 100.4, Fate.ACCEPTED, status="success")
    message.end()
    stored = plan_of({"type": "WEBHOOK"}, category=BETA)

    assert broken(audited(message, State(since=0.0), requests=[stored]))[CATEGORY] == [
        "r-1: has deliveries, although the category is off",
        f"{FIRST}: sent although its category is off",
    ]


OFF = (SkippedType(type="WEBHOOK", reason="category_disabled_by_default"),)


@pytest.mark.parametrize(
    ("plan", "case"),
    [
        (plan_of({"by_lock": True}, category=SECURITY), None),
        (plan_of({}, category=SECURITY), "by lock over nothing, not ['EMAIL']"),
        (plan_of(category=SECURITY), "by lock over nothing, not ['EMAIL']"),
        (plan_of({"by_lock": True}), "by lock over ['EMAIL'], not []"),
        (plan_of(category=BETA, skipped=OFF), "WEBHOOK skipped, although the category is on"),
    ],
    ids=["reached", "not by lock", "not reached", "without a lock", "off"],
)
def test_a_plan_follows_its_category(plan, case):
    """A locked category reaches a user who disabled EMAIL, and no other category does."""
    found = audited(
        held(),
        replace(MUTED, wants_beta=True),
        requests=[plan],
        opted_out=frozenset({"ada"}),
    )

    assert broken(found) == ({CATEGORY: [f"r-1: {case}"]} if case else {})
    assert figures(found)["deliveries by lock"] == sum(one.by_lock for one in plan.deliveries)


@pytest.mark.parametrize("all_open", [True, False])
def test_planned_preferences_mean_what_the_service_makes_of_them(all_open):
    """Each opening is that of the service, which knows windows on a wall clock only."""
    users = population(11, 20, 5)
    policy = Policy({BETA: Category(name=BETA, title="Beta", enabled=False)})
    changes = list(planned(11, users, NOW, 300.0, all_open=all_open))

    for user_id, state in changes:
        given = preferences_change(state.body(), {}, now=NOW)
        stored = changed(None, given, policy, now=NOW, via="api")
        for at in range(0, 30 * 60, 211):
            t = NOW + at
            found = stored and opening(quiet_of(stored, "UTC"), user_id, "WEBHOOK", t)
            expected = state.opening("WEBHOOK", t)
            # A muted time is whole milliseconds; a window is followed by the spread.
            assert 0.0 <= (found.at if found else t) - expected < 120.0
            assert (expected == t) is (not found or found.reason is None)


def test_planned_preferences_cover_every_setting():
    """Some hours are closed at the start, some close later, and mutes end in both ways."""
    users = population(11, 50, 5)

    changes = list(planned(11, users, NOW, 300.0, all_open=False))

    assert changes == list(planned(11, users, NOW, 300.0, all_open=False))
    first = {user_id: state for user_id, state in changes if not state.since}
    closed = [one for one in first.values() if one.opening(one.types[0], NOW) > NOW]
    with_hours = [one for one in first.values() if one.windows]
    assert 0 < len(closed) < len(with_hours)
    assert all(one.opening(one.types[0], NOW) < NOW + 15 * MINUTE for one in with_hours)
    mutes = [one for _, one in changes if one.muted_until]
    ends = [one for _, one in changes if one.since and not one.muted_until]
    assert len(mutes) > len(ends) > 5
    last = dict(changes)
    assert 0 < sum(one.wants_beta for one in last.values()) < len(users)
    left = {name for name, one in first.items() if one.wants_beta and not last[name].wants_beta}
    assert left


def test_a_change_counts_from_its_request_until_the_next_response():
    """The service may go by either while a request is on its way."""

    class Caller:
        def __init__(self):
            self.seen = []

        def prefer(self, user_id, body):
            self.seen.append((user_id, body["muted_until"] is not None))

    caller = Caller()
    states = apply([("ada", MUTED)], caller)
    apply([("ada", State(since=0.0))], caller, states)

    nothing, muted, after = states["ada"]
    assert caller.seen == [("ada", True), ("ada", False)]
    assert 0.0 == nothing.since < muted.since <= nothing.until <= after.since <= muted.until
    assert after.until == float("inf")


def test_subjects_are_a_part_of_the_messages():
    """Each message of the locked category includes EMAIL; the opt-in one is there too."""
    sent = messages(11, population(11, 50, 5), 2000, 9.0)

    by_category = {
        name: [one for one in sent if one.body.get("category") == name] for name in (SECURITY, BETA)
    }
    assert min(map(len, by_category.values())) > 50
    assert all("EMAIL" in one.body["integration_types"] for one in by_category[SECURITY])


def test_a_mail_is_an_arrival():
    """Its Message-ID names the delivery."""
    ledger = Ledger()
    message = EmailMessage()
    message["Message-ID"] = f"<{FIRST}@example.com>"
    message.set_content("Hello")

    with Emails(port := free_port(), ledger), smtplib.SMTP("127.0.0.1", port) as client:
        client.send_message(message, "a@example.com", ["b@example.com"])

    [arrival] = ledger.arrivals
    assert (arrival.delivery_id, arrival.content, arrival.fate) == (FIRST, "Hello", Fate.ACCEPTED)


def test_a_new_time_of_a_hold_is_a_step():
    """A crash can hit between a change of preferences and each of its rows."""
    message = Message((HELD,))
    before = message.row
    message.write(150.0, deliveries=message.change(held=None, not_before=None, due_at=150.0))

    assert change(before, message.row) is Step.RESCHEDULE
    assert before.message_id == MESSAGE
