"""The reckoning after a chaos run: each kind of broken promise is found, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tools.chaos import audit
from tools.chaos.audit import Arrival, Audit, Cause, Claim, Crash, Fate, Lateness, reckon

ONE = "0190-1"


def row(**fields):
    """Return a webhook delivery that was tried twice and arrived."""
    return {
        "delivery_id": ONE,
        "integration_type": "WEBHOOK",
        "status": "success",
        "round": 1,
        "attempts": 2,
        "tries": 2,
        "max_attempts": 3,
        "retry_delay_seconds": 2,
        "attempt_log": [
            {"started_at": 100.5, "code": "http_503"},
            {"started_at": 103.0, "code": None},
        ],
        **fields,
    }


def arrival(at, fate=Fate.ACCEPTED, **fields):
    """Return a request that was dealt with in a tenth of a second."""
    return Arrival(**{"delivery_id": ONE, "at": at, "fate": fate, "ended_at": at + 0.1} | fields)


def claim(token, at, **fields):
    """Return a claim under which one record was tried, and written after 0.8 s."""
    usual = {"pid": 7, "lease_until": at + 60, "records": 1, "recorded_at": at + 0.8}
    return Claim(**{"delivery_id": ONE, "token": token, "at": at} | usual | fields)


def written(**pages):
    """Return audit that agree: refused at 100.6, accepted at 103.1."""
    agreeing = {
        "accepted": frozenset({ONE}),
        "rows": (row(),),
        "shown": {ONE: "success"},
        "mailbox": frozenset(),
        "arrivals": (arrival(100.6, Fate.REFUSED), arrival(103.1)),
        "claims": (claim("a", 100.4), claim("b", 102.9)),
        "crashes": (),
        "deaths": {},
        "tickets": (),
    }
    return Audit(**agreeing | pages)


def twice(first, **pages):
    """Return audit in which the receiver took the message under each of two claims."""
    second = claim("b", 170.0)
    taken = (arrival(100.6), arrival(170.3))
    return written(**{"arrivals": taken, "claims": (first, second)} | pages)


UNRECORDED = {"records": 0, "recorded_at": None}


def broken(found):
    """Return the rules that do not hold, with their cases."""
    return {rule: cases for rule, cases in found.broken.items() if cases}


def test_books_that_agree_break_nothing():
    """Refused once, accepted after the delay: two tries, no duplicate, 0.2 s after it was due."""
    found = reckon(written())

    assert broken(found) == {}
    assert (found.statuses, found.unpromised, found.lost) == ({"success": 1}, 0, 0)
    assert found.duplicates == {}
    assert found.retries == Lateness(pytest.approx(0.2), pytest.approx(0.2))


def test_an_accepted_id_without_a_row_is_lost():
    """The promise was made, and nobody knows of it."""
    found = reckon(written(accepted=frozenset({ONE, "0190-2"})))

    assert broken(found) == {audit.LOST: ["0190-2: accepted, and no row knows it"]}
    assert found.lost == 1


def test_an_arrival_without_a_row_is_lost():
    """What a receiver saw must be in the log."""
    found = reckon(written(arrivals=(*written().arrivals, arrival(1.0, delivery_id="0190-3"))))

    assert broken(found) == {audit.LOST: ["0190-3: a receiver saw it, no row knows it"]}


@pytest.mark.parametrize(
    "pages",
    [
        {"arrivals": (arrival(100.6, Fate.REFUSED),)},
        {"rows": (row(integration_type="TEST"),), "mailbox": frozenset({"0190-2"})},
    ],
    ids=["refused", "not in the mailbox"],
)
def test_a_success_that_nobody_took_is_lost(pages):
    """A success is a message that its receiver has."""
    found = reckon(written(**pages))

    assert broken(found) == {audit.LOST: [f"{ONE}: success, and no receiver took it"]}


def test_a_row_that_no_202_named_is_told():
    """The caller never got its answer; it counts as unpromised, and must end all the same."""
    found = reckon(written(accepted=frozenset()))

    assert (found.unpromised, broken(found)) == (1, {})


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"status": "pending"}, "pending"),
        ({"owner": "a"}, "success, and still has owner"),
        ({"sweep_at": 5.0}, "success, and still has sweep_at"),
    ],
)
def test_a_row_that_did_not_end_is_told(fields, told):
    """Pending, or ended and still owed something."""
    changed = row(**fields)

    found = reckon(written(rows=(changed,), shown={ONE: changed["status"]}))

    assert broken(found) == {audit.FINISHED: [f"{ONE}: {told}"]}


@pytest.mark.parametrize("shown", [{ONE: "pending"}, {}, {ONE: "success", "0190-4": "success"}])
def test_an_api_that_shows_something_else_is_told(shown):
    """Another status, nothing, or something that is not there."""
    found = reckon(written(shown=shown))

    assert broken(found).keys() == {audit.AGREED}


@pytest.mark.parametrize(
    ("first", "pages", "cause"),
    [
        (claim("a", 100.4, **UNRECORDED), {"deaths": {7: 101.0}}, Cause.CRASH),
        (claim("a", 100.4, **UNRECORDED), {"deaths": {7: 100.5}}, Cause.CRASH),
        (claim("a", 100.4, records=4, recorded_at=None), {}, Cause.UNRECORDED),
        (claim("a", 100.4, **UNRECORDED), {}, Cause.STALL),
        (
            claim("a", 100.4),
            {"arrivals": (arrival(100.6, Fate.CUT), arrival(170.3))},
            Cause.RECEIVER,
        ),
        (
            claim("a", 100.4),
            {"rows": (row(attempt_log=[{"started_at": 100.6, "code": "timeout"}]),)},
            Cause.RECEIVER,
        ),
    ],
)
def test_a_duplicate_is_put_down_to_its_cause(first, pages, cause):
    """Each of the four events that the guarantee names; a request outlives its sender."""
    found = reckon(twice(first, **pages))

    assert found.duplicates == {cause: 1}
    assert broken(found) == {}


@pytest.mark.parametrize(
    ("first", "pages"),
    [
        (claim("a", 100.4), {}),
        (claim("a", 100.4, lease_until=180.0, **UNRECORDED), {"deaths": {7: 90.0}}),
        (claim("a", 100.4, lease_until=180.0, **UNRECORDED), {"deaths": {8: 101.0}}),
    ],
    ids=["recorded", "died before its claim", "somebody else died"],
)
def test_a_duplicate_without_an_event_is_told(first, pages):
    """Its outcome was recorded, or nothing had happened to its worker: it was sent again."""
    found = reckon(twice(first, **pages))

    assert found.duplicates == {}
    assert broken(found)[audit.DUPLICATES] == [f"{ONE}: sent again 69.7 s later, unexplained"]


def test_a_refused_request_is_no_duplicate():
    """Only what a receiver has taken can be there twice."""
    found = reckon(twice(claim("a", 100.4), arrivals=(arrival(100.6, Fate.UNREAD), arrival(170.3))))

    assert (found.duplicates, broken(found)) == ({}, {})


def test_sends_need_claims_of_their_own():
    """Two requests under one claim, and one before any."""
    arrivals = (arrival(99.0, Fate.REFUSED), *written().arrivals, arrival(109.0, Fate.REFUSED))

    found = reckon(written(arrivals=arrivals))

    assert broken(found)[audit.CLAIMED] == [
        f"{ONE}: sent without a claim",
        f"{ONE}: sent twice under one claim",
    ]


def test_a_budget_that_is_overdrawn_is_told():
    """More recorded outcomes than tries, and more requests than 3 forgiven ones allow."""
    claims = tuple(claim(str(n), 100.0 + 10 * n) for n in range(7))
    arrivals = tuple(arrival(100.5 + 10 * n, Fate.REFUSED) for n in range(7))
    gone = row(status="failed", error_code="http_404", attempts=4)
    pages = {"rows": (gone,), "shown": {ONE: "failed"}, "tickets": ((ONE, 2),)}

    found = reckon(written(arrivals=arrivals, claims=claims, **pages))

    assert broken(found) == {
        audit.BUDGET: [f"{ONE}: 4 recorded of 3", f"{ONE}: sent 7 times, 3 + 3 at most"]
    }


def test_a_budget_that_is_not_used_is_told():
    """A receiver that always refuses gets exactly all tries."""
    early = row(status="failed", error_code="http_503", attempts=2)
    arrivals = (arrival(100.6, Fate.REFUSED), arrival(103.1, Fate.REFUSED))
    pages = {"rows": (early,), "shown": {ONE: "failed"}, "tickets": ((ONE, 2),)}

    found = reckon(written(arrivals=arrivals, **pages))

    assert broken(found) == {audit.BUDGET: [f"{ONE}: gave up after 2 of 3"]}


@pytest.mark.parametrize(
    "pages",
    [
        {"arrivals": (arrival(100.6, Fate.REFUSED), arrival(102.69))},
        {"arrivals": (arrival(100.6, Fate.REFUSED, retry_after=2.5), arrival(103.19))},
    ],
    ids=["own delay", "Retry-After"],
)
def test_a_retry_before_its_time_is_told(pages):
    """The delay counts from the end of the try before, and the receiver's wish counts more."""
    found = reckon(written(**pages, claims=(claim("a", 100.4), claim("b", 102.5))))

    assert broken(found) == {audit.EARLY: [f"{ONE}: 0.010 s early"]}


def test_a_take_over_before_the_end_of_the_lease_is_told():
    """A try that left no record holds its lease, unless the run itself cut it short."""
    dead = claim("a", 100.4, lease_until=160.4, **UNRECORDED)
    pages = {
        "arrivals": (arrival(100.6, Fate.UNREAD), arrival(150.4)),
        "deaths": {7: 101.0},
    }
    after = claim("b", 150.2)

    waited = reckon(written(claims=(dead, after), **pages))
    cut_short = reckon(written(claims=(replace(dead, hastened=True), after), **pages))

    assert broken(waited) == {audit.EARLY: [f"{ONE}: 10.000 s early"]}
    assert broken(cut_short) == {}


@pytest.mark.parametrize(
    ("tickets", "told"),
    [
        ((), f"{ONE}: failed, and there is no ticket"),
        (((ONE, 2), (ONE, 3)), f"{ONE}: a ticket for what did not fail"),
    ],
)
def test_a_ticket_that_is_missing_or_wrong_is_told(tickets, told):
    """A final failure has a ticket for the round that comes next."""
    failed = row(status="failed", error_code="http_404")

    found = reckon(written(rows=(failed,), shown={ONE: "failed"}, tickets=tickets))

    assert broken(found) == {audit.TICKETS: [told]}


def test_tickets_may_be_doubled_and_some_failures_have_none():
    """A fresh round could not change that a message has expired."""
    failed = row(status="failed", error_code="http_404")
    expired = row(status="failed", error_code="expired")

    twice_sent = reckon(
        written(rows=(failed,), shown={ONE: "failed"}, tickets=((ONE, 2), (ONE, 2)))
    )
    without = reckon(written(rows=(expired,), shown={ONE: "failed"}))

    assert (twice_sent.doubled_tickets, broken(twice_sent)) == (1, {})
    assert (without.doubled_tickets, broken(without)) == (0, {})


def test_crashes_are_counted():
    """By step; and those that came after a request and before its record."""
    dead = claim("a", 100.4, **UNRECORDED)
    crashes = (Crash(101.0, "after send", 7), Crash(300.0, "before claim", 8))

    found = reckon(twice(dead, crashes=crashes, deaths={7: 101.0, 8: 300.0}))

    assert found.crashes == {"after send": 1, "before claim": 1}
    assert found.crashes_between == 1


def test_lateness_counts_from_when_the_next_claim_was_allowed():
    """A retry from its due time, a take-over from the end of the lease."""
    dead = claim("a", 100.0, **UNRECORDED)
    arrivals = (arrival(100.6, Fate.UNREAD), arrival(170.2, Fate.REFUSED), arrival(175.3))
    claims = (dead, claim("b", 170.0), claim("c", 175.0))

    found = reckon(written(arrivals=arrivals, claims=claims, deaths={7: 100.6}))

    assert found.takeovers == Lateness(10.0, 10.0)
    assert found.retries == Lateness(pytest.approx(2.7), pytest.approx(2.7))
