"""All transitions of a message row: whole successors, and both sides of every limit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.delivery import transitions
from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.delivery.rows import LogEntry, PlannedDelivery, Receipt, RequestRow, SkippedType
from dispatcher.delivery.transitions import (
    TABLE,
    Attempted,
    CancelDenied,
    ClaimDenied,
    Ending,
    Event,
    FeedbackDenied,
    GivenBack,
    IllegalTransitionError,
    ReopenDenied,
    Report,
    RetryPolicy,
    SettleDenied,
    State,
    Step,
    Transition,
    Unchanged,
)
from dispatcher.integrations.integration import Recipient
from tests.rows import (
    DAY,
    DELIVERY,
    FAILED,
    ID_1,
    ID_2,
    MESSAGE_ID,
    NOW,
    SKIPPED,
    SOON,
    SUCCESS,
    changed,
    claimed,
    first_success,
    message,
)

if TYPE_CHECKING:
    from dispatcher.delivery.rows import Delivery, MessageRow

RETENTION = 90.0 * DAY
ENDED_TTL = int(NOW + RETENTION)
"""The ``ttl`` of a row whose last delivery ends now."""

RELEASED = {"owner": None, "lease_until": None, "current": None, "last_owner": "mine"}
"""Fields that every record sets in the row."""


def begin(row: MessageRow, now: float = NOW) -> Step | ClaimDenied:
    """Let a worker try to claim what is due."""
    return transitions.begin(row, token="mine", now=now, retention=RETENTION)


def settle(row, settlement, *, now=NOW, next_token=None, token="mine") -> Step | SettleDenied:
    """Let a worker record how its claim ended."""
    return transitions.settle(
        row, token, settlement, now=now, retention=RETENTION, next_token=next_token
    )


def cancel(row: MessageRow, place: int = 0) -> Step | CancelDenied:
    """Let a caller cancel a delivery."""
    return transitions.cancel(row, place, now=NOW, retention=RETENTION)


def reopen(row: MessageRow, place: int = 0, *, round_number: int = 1) -> Step | ReopenDenied:
    """Let a caller begin a new round."""
    return transitions.reopen(
        row, place, round_number=round_number, policy=RetryPolicy(6, 11), token="caller", now=NOW
    )


def bounce(row: MessageRow, place: int = 0) -> Step | FeedbackDenied:
    """Let a provider report a bounce."""
    report = Report(Receipt("bounced", NOW - 1, "550"), NOW - 1, "bounced", "550")
    return transitions.reported(row, place, report, round_number=1, now=NOW, retention=RETENTION)


def stamp(row: MessageRow, *, read: bytes = b"rev-1") -> Step | Unchanged:
    """Let the sweeper stamp a row."""
    return transitions.stamp(row, read=read, now=NOW, retention=RETENTION)


# States -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "states"),
    [
        (message(DELIVERY, SOON), "pending pending"),
        (message(SUCCESS, FAILED, SKIPPED), "success failed skipped"),
        (claimed(message(DELIVERY, DELIVERY), 1), "pending claimed"),
        (claimed(message(DELIVERY, DELIVERY), 1, lease_until=NOW - 999), "pending claimed"),
        (first_success(DELIVERY, DELIVERY, DELIVERY), "pending waiting waiting"),
        (claimed(first_success(DELIVERY, DELIVERY)), "claimed waiting"),
        (first_success(FAILED, DELIVERY, DELIVERY), "failed pending waiting"),
        (first_success(SKIPPED, FAILED, DELIVERY), "skipped failed pending"),
        (first_success(DELIVERY, replace(DELIVERY, round=2)), "pending pending"),
        (first_success(replace(DELIVERY, round=2), DELIVERY), "pending waiting"),
    ],
)
def test_waiting_and_claimed_are_computed(row, states):
    """A round-1 delivery of ``first_success`` waits for those before it; a claim has one place."""
    assert [transitions.state_of(row, place) for place in range(len(row.deliveries))] == [
        State(name) for name in states.split()
    ]


# Due times ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "fits", "delay"),
    [
        (-5, True, 0),
        (0, True, 0),
        (0.0004, True, 0),
        (0.0006, True, 1),
        (0.001, True, 1),
        (1, True, 1),
        (1.001, True, 2),
        (29.5, True, 30),
        (899, True, 899),
        (899.001, True, 900),
        (900, True, 900),
        (900.001, False, 900),
        (DAY, False, 900),
    ],
)
def test_a_ring_is_delayed_by_whole_seconds_up_to_900(ahead, fits, delay):
    """A ring is never early, and a due time beyond 900 s does not fit SQS [19]."""
    assert transitions.fits_sqs_delay(NOW + ahead, NOW) is fits
    assert transitions.sqs_delay(NOW + ahead, NOW) == delay


@pytest.mark.parametrize(
    ("row", "due_at"),
    [
        (message(SUCCESS, FAILED, SKIPPED), None),
        (message(SOON, DELIVERY, SUCCESS), NOW - 7),
        (message(SUCCESS, SOON), NOW + 100),
        (claimed(message(DELIVERY, SOON)), NOW + 100),
        (claimed(message(DELIVERY)), None),
        (first_success(SOON, DELIVERY), NOW + 100),
    ],
)
def test_next_due(row, due_at):
    """The next due time ignores deliveries that have ended, wait or are claimed."""
    assert transitions.next_due(row) == due_at


@pytest.mark.parametrize(
    ("lease_until", "live"),
    [(NOW - 1, False), (NOW, False), (NOW + 0.001, True), (None, False)],
)
def test_a_lease_is_live_until_its_end(lease_until, live):
    """At ``lease_until`` another worker may take over."""
    assert transitions.is_claimed(message(lease_until=lease_until), NOW) is live


LATER = replace(DELIVERY, due_at=NOW + 900.001)


@pytest.mark.parametrize(
    ("row", "due_at"),
    [
        (message(SUCCESS), None),
        (message(DELIVERY, SOON), NOW - 7),
        (message(replace(DELIVERY, due_at=NOW + 900)), NOW + 900),
        (message(LATER), None),
        (claimed(message(DELIVERY, SOON)), NOW - 7),
        (claimed(message(SOON, DELIVERY)), NOW - 7),
        (claimed(message(SOON, DELIVERY), 1), NOW - 7),
        (claimed(message(LATER, SUCCESS)), NOW + 900.001),
    ],
)
def test_the_sweeper_rings_within_900_seconds_or_for_an_expired_claim(row, due_at):
    """The delivery of an expired claim counts with its own due time."""
    assert transitions.sweeper_rings_for(row, NOW) == due_at


@pytest.mark.parametrize("most", range(1, 22))
@pytest.mark.parametrize("unknown", range(6))
def test_the_budget_forgives_three_unknown_outcomes(most, unknown):
    """A round has ``max_attempts`` tries and one more for each of its first 3 unknown outcomes."""
    allowed = [
        tries
        for tries in range(most + 8)
        if transitions.may_attempt(
            replace(DELIVERY, tries=tries, unknown=unknown, max_attempts=most)
        )
    ]

    assert allowed == list(range(most + min(unknown, 3)))


# Accept -------------------------------------------------------------------------------------------

REQUEST = RequestRow(
    user_id="ada",
    request_id="r-1",
    message_id=MESSAGE_ID,
    fingerprint=b"f" * 32,
    ttl=int(NOW) + 1400,
    subject="Subject",
    content="Hello",
    agent_id="a-1",
    session_id="s-1",
    recipient=Recipient(),
    mode="all",
    forced=False,
    created_at=NOW - 500,
    due_at=NOW - 7,
    expires_at=NOW + 9000,
    deliveries=(
        PlannedDelivery(type="WEBHOOK", priority=3, max_attempts=4, retry_delay_seconds=30),
        PlannedDelivery(type="SMS", priority=5, max_attempts=1, retry_delay_seconds=60),
    ),
    skipped=(SkippedType(type="EMAIL", reason="no_address"),),
)
ACCEPTED = message(
    DELIVERY,
    replace(DELIVERY, type="SMS", priority=5, max_attempts=1, retry_delay_seconds=60),
    rev=b"",
    expires_at=NOW + 9000,
    keep_until=NOW + 1400 + 3600,
)


@pytest.mark.parametrize(
    ("ahead", "sweep_in", "rings"),
    [
        (-500.0, 60.0, True),
        (0.0, 60.0, True),
        (45.0, 105.0, True),
        (900.0, 960.0, True),
        (900.001, 0.001, False),
        (5000.0004, 4100.0, False),
        (30.0 * DAY, 30.0 * DAY - 900, False),
    ],
)
def test_accept(ahead, sweep_in, rings):
    """The first state follows the stored request alone [7] and is in the sweep index [10]."""
    step = transitions.accept(replace(REQUEST, due_at=NOW + ahead), now=NOW)

    assert step == Step(
        row=changed(
            ACCEPTED,
            {"due_at": NOW + ahead},
            {"due_at": NOW + ahead},
            sweep_at=round(NOW + sweep_in, 3),
        ),
        ring_for=NOW + ahead if rings else None,
    )


def test_accept_first_success_and_forced():
    """Mode and ``forced`` are the request's, and nothing about waiting is stored."""
    request = replace(REQUEST, mode="first_success", forced=True, subject=None, session_id=None)

    assert transitions.accept(request, now=NOW) == Step(
        row=replace(
            ACCEPTED,
            mode="first_success",
            forced=True,
            subject=None,
            session_id=None,
            sweep_at=NOW + 60,
        ),
        ring_for=NOW - 7,
    )


# Claim --------------------------------------------------------------------------------------------

CLAIM = {"owner": "mine", "lease_until": NOW + 60, "current": 0, "rings": 0}
"""Fields that every claim of the first delivery sets in the row."""


def test_claim():
    """A claim counts as an attempt, holds for 60 s, forgets the rings, keeps ``sweep_at`` [26]."""
    row = message(replace(DELIVERY, tries=1), SOON, rings=3, last_owner="last", sweep_at=NOW + 53)

    assert begin(row) == Step(row=changed(row, {"tries": 2}, **CLAIM), ring_for=NOW + 100)


@pytest.mark.parametrize(
    ("row", "place"),
    [
        (message(replace(DELIVERY, due_at=NOW)), 0),
        (message(replace(DELIVERY, due_at=NOW + 0.001)), None),
        (message(SUCCESS, FAILED, SKIPPED), None),
        (message(DELIVERY, DELIVERY), 0),
        (message(DELIVERY, replace(DELIVERY, due_at=NOW - 7.001)), 1),
        (message(SOON, DELIVERY, replace(DELIVERY, due_at=NOW - 6)), 1),
        (message(SUCCESS, DELIVERY), 1),
        (first_success(DELIVERY, replace(DELIVERY, due_at=NOW - 9)), 0),
        (first_success(FAILED, DELIVERY, DELIVERY), 1),
        (first_success(SOON, DELIVERY), None),
    ],
)
def test_the_claim_goes_to_the_least_due_time_and_place(row, place):
    """Only what is due and does not wait is claimed, first by due time, then by place [13]."""
    step = begin(row)

    if place is None:
        assert step is ClaimDenied.IDLE
    else:
        pairs = zip(row.deliveries, step.row.deliveries, strict=True)
        assert step.row.current == place
        assert [new.tries - old.tries for old, new in pairs] == [
            int(at == place) for at in range(len(row.deliveries))
        ]


@pytest.mark.parametrize(
    ("present", "kept"),
    [
        (None, False),
        (NOW - 0.001, False),
        (NOW, True),
        (NOW + 59, True),
        (NOW + 60, True),
        (NOW + 60.001, False),
    ],
)
def test_sweep_at_is_kept_up_to_60_seconds_before_the_wanted_time(present, kept):
    """A claim costs no index write if the sweeper reads at most 60 s before the lease ends [26]."""
    step = begin(message(sweep_at=present))

    assert step.row.sweep_at == (present if kept else NOW + 60)


@pytest.mark.parametrize(
    ("other", "sweep_at"),
    [
        (SOON, NOW + 60),
        (replace(DELIVERY, due_at=NOW + 950), NOW + 50),
        (replace(DELIVERY, due_at=NOW + 960), NOW + 60),
        (replace(DELIVERY, due_at=NOW + 970), NOW + 60),
        (replace(DELIVERY, due_at=NOW - 1), NOW + 60),
        (replace(FAILED, dead_letter_owed=True), NOW + 60),
    ],
)
def test_sweep_at_is_computed_over_all_deliveries(other, sweep_at):
    """The least of the lease, the other due times and the dead letters is wanted [2]."""
    assert begin(message(DELIVERY, other)).row.sweep_at == sweep_at


def test_a_live_lease_denies_the_claim():
    """Until the lease has expired its holder continues with everything that is due [11]."""
    row = claimed(message(DELIVERY, DELIVERY), owner="other", lease_until=NOW + 0.001)

    assert begin(row) is ClaimDenied.LIVE
    assert begin(row, NOW + 0.001).row.owner == "mine"


# Take over ----------------------------------------------------------------------------------------

LOST = LogEntry(
    number=2,
    round=1,
    started_at=NOW - 65,
    duration_ms=None,
    outcome="unknown",
    code="unknown_outcome",
    detail="the worker ended before it recorded an outcome",
)


def expired(*deliveries: Delivery, place: int = 0, **fields) -> MessageRow:
    """Return a row whose claim of the worker ``dead`` expired 5 s ago."""
    common = {"owner": "dead", "lease_until": NOW - 5, "rings": 2, "sweep_at": NOW}
    return claimed(message(*deliveries), place, **{**common, **fields})


def taken_over(place: int = 0, *, tries: int = 2, unknown: int = 1) -> Event:
    """Return the event of a take-over."""
    return Event("claim.taken_over", place, {"tries": tries, "unknown": unknown})


def ended_event(place: int, status: str, code: str | None, round_number: int = 1) -> Event:
    """Return the event of a delivery that ended without an attempt's line."""
    fields = {"status": status, "error_code": code, "round": round_number}
    return Event("delivery.ended", place, fields)


def test_take_over_and_claim_again():
    """The lost attempt is logged as unknown and the next claim is made in the same write [14]."""
    row = expired(replace(DELIVERY, tries=2))

    assert begin(row) == Step(
        row=changed(row, {"tries": 3, "unknown": 1, "attempt_log": (LOST,)}, **CLAIM),
        events=(taken_over(),),
    )


def test_take_over_of_a_later_place():
    """The lost attempt is that of the claimed place, even if another delivery is claimed next."""
    row = expired(DELIVERY, replace(DELIVERY, tries=2, due_at=NOW - 6), place=1)

    assert begin(row) == Step(
        row=changed(row, {"tries": 1}, {"unknown": 1, "attempt_log": (LOST,)}, **CLAIM),
        ring_for=NOW - 6,
        events=(taken_over(1),),
    )


FAILED_UNKNOWN = {
    "status": "failed",
    "unknown": 1,
    "error_code": "unknown_outcome",
    "dead_letter_owed": True,
    "attempt_log": (LOST,),
}
UNCLAIMED = {"owner": None, "lease_until": None, "current": None, "rings": 0}


def test_take_over_of_the_last_attempt():
    """A delivery without a budget fails at the take-over and has a dead letter to send."""
    row = expired(replace(DELIVERY, tries=2, max_attempts=1, round=3, metadata={"id": 5}))

    assert begin(row) == Step(
        row=changed(
            row,
            {
                **FAILED_UNKNOWN,
                "attempt_log": (replace(LOST, round=3),),
                "error_message": (
                    "the last attempt left no record, and the budget of attempts is used up"
                ),
            },
            **UNCLAIMED,
            ttl=ENDED_TTL,
        ),
        dead_letters=(DeadLetter("ada", ID_1, 4),),
        events=(taken_over(), ended_event(0, "failed", "unknown_outcome", 3)),
        ended=(0,),
    )


def test_take_over_of_an_sms():
    """An SMS is never sent again after an unknown outcome, whatever its budget."""
    row = expired(replace(DELIVERY, type="SMS", tries=2, max_attempts=9), SOON)

    assert begin(row) == Step(
        row=changed(
            row,
            {
                **FAILED_UNKNOWN,
                "error_message": "the attempt left no record, and SMS is never sent twice",
            },
            **UNCLAIMED,
        ),
        ring_for=NOW + 100,
        dead_letters=(DeadLetter("ada", ID_1, 2),),
        events=(taken_over(), ended_event(0, "failed", "unknown_outcome")),
        ended=(0,),
    )


def test_every_delivery_that_a_take_over_ends_has_its_event():
    """A delivery at any place that ends without an attempt gets the event ``delivery.ended``."""
    row = expired(SUCCESS, replace(DELIVERY, type="SMS", tries=2), place=1)
    step = begin(row)

    assert step.events == (taken_over(1), ended_event(1, "failed", "unknown_outcome"))
    assert step.ended == (1,)


@pytest.mark.parametrize(
    ("tries", "unknown", "most", "fails"),
    [
        (1, 0, 1, False),
        (2, 1, 1, False),
        (3, 2, 1, False),
        (4, 3, 1, True),
        (4, 0, 4, False),
        (5, 0, 4, True),
        (6, 2, 4, False),
        (7, 2, 4, True),
        (7, 3, 4, True),
        (6, 3, 4, False),
    ],
)
def test_a_take_over_counts_the_lost_attempt_as_unknown(tries, unknown, most, fails):
    """The budget is checked after the lost attempt was added to the unknown ones."""
    row = expired(replace(DELIVERY, tries=tries, unknown=unknown, max_attempts=most))

    assert (begin(row).row.deliveries[0].status == "failed") is fails


def test_take_over_in_first_success():
    """A failed take-over frees the delivery that waited, and claims it in the same write."""
    row = expired(replace(DELIVERY, type="SMS", tries=2), DELIVERY, mode="first_success")
    step = begin(row)

    assert [delivery.status for delivery in step.row.deliveries] == ["failed", "pending"]
    assert step == Step(
        row=changed(step.row, {}, {"tries": 1}, **{**CLAIM, "current": 1}, sweep_at=NOW),
        dead_letters=(DeadLetter("ada", ID_1, 2),),
        events=(taken_over(), ended_event(0, "failed", "unknown_outcome")),
        ended=(0,),
    )


def test_take_over_while_nothing_is_due():
    """A take-over is written even if no delivery is due, because the clocks differ."""
    row = expired(replace(DELIVERY, tries=2, due_at=NOW + 3))

    assert begin(row) == Step(
        row=changed(row, {"unknown": 1, "attempt_log": (LOST,)}, **UNCLAIMED, sweep_at=NOW + 63),
        ring_for=NOW + 3,
        events=(taken_over(),),
    )


# Record -------------------------------------------------------------------------------------------

CLAIMED = claimed(message(replace(DELIVERY, tries=2)))
BUSY = Retry("http_503", "the receiver returned 503")
GONE = Permanent("http_410", "the receiver returned 410", gone=True)
OK = Delivered({"id": "m-1", "status": 202}, "accepted", "http_202")


def attempted(outcome, **fields) -> Attempted:
    """Return an attempt that began 3 s ago and took 1.2346 s."""
    return Attempted(**{"outcome": outcome, "started_at": NOW - 3, "seconds": 1.2346, **fields})


def entry(outcome: str, code: str | None, detail: str, **fields) -> LogEntry:
    """Return the log entry of ``attempted``."""
    common = {"number": 2, "round": 1, "started_at": NOW - 3, "duration_ms": 1235}
    return LogEntry(**{**common, **fields}, outcome=outcome, code=code, detail=detail)


def attempted_event(log_entry: LogEntry, place: int = 0, **fields) -> Event:
    """Return the event of an attempt, which tells how its delivery goes on."""
    common = {
        "round": log_entry.round,
        "number": log_entry.number,
        "max_attempts": 4,
        "late_ms": 4000,
        "duration_ms": log_entry.duration_ms,
        "outcome": log_entry.outcome,
        "code": log_entry.code,
        "detail": log_entry.detail,
        "error_code": None,
    }
    return Event("delivery.attempted", place, {**common, **fields})


DELIVERED_ENTRY = entry("delivered", "http_202", "accepted")
BUSY_ENTRY = entry("retry", "http_503", "the receiver returned 503")
GONE_ENTRY = entry("permanent", "http_410", "the receiver returned 410")
RECORDED = {"attempts": 1, "first_attempt_at": NOW - 3, "last_attempt_at": NOW - 3}
SENT = {
    **RECORDED,
    "status": "success",
    "delivered_at": NOW,
    "metadata": {"id": "m-1", "status": 202},
    "attempt_log": (DELIVERED_ENTRY,),
}
"""Fields that the record of a success sets in the delivery."""


@pytest.mark.parametrize(
    ("row", "token"),
    [
        (CLAIMED, "another"),
        (replace(CLAIMED, owner="another"), "mine"),
        (message(last_owner="mine"), "mine"),
        (message(last_owner="mine"), None),
        (message(owner="mine"), "mine"),
    ],
)
def test_a_lost_claim_records_nothing(row, token):
    """An outcome is recorded only under the token of the claim."""
    assert settle(row, attempted(OK), token=token) is SettleDenied.LOST


def test_record_success():
    """A message whose last delivery ends leaves the sweep index and gets its ``ttl``."""
    row = changed(CLAIMED, {"error_code": "http_503", "error_message": "busy"}, rings=4)

    assert settle(row, attempted(OK)) == Step(
        row=changed(
            row,
            {**SENT, "error_code": None, "error_message": None},
            **RELEASED,
            rings=0,
            sweep_at=None,
            ttl=ENDED_TTL,
        ),
        events=(attempted_event(DELIVERED_ENTRY, status="success"),),
        ended=(0,),
    )


def test_record_success_and_claim_the_next():
    """The record and the claim of what is due next are one write."""
    row = claimed(message(replace(DELIVERY, tries=2), DELIVERY, SOON))

    assert settle(row, attempted(OK), next_token="next") == Step(
        row=changed(
            row,
            SENT,
            {"tries": 1},
            owner="next",
            lease_until=NOW + 60,
            current=1,
            last_owner="mine",
        ),
        ring_for=NOW + 100,
        events=(attempted_event(DELIVERED_ENTRY, status="success"),),
        ended=(0,),
    )


def test_record_without_time_for_another_attempt():
    """Without a next token nothing is claimed, though another delivery is due."""
    row = claimed(message(replace(DELIVERY, tries=2), DELIVERY))

    assert settle(row, attempted(OK)) == Step(
        row=changed(row, SENT, **RELEASED),
        ring_for=NOW - 7,
        events=(attempted_event(DELIVERED_ENTRY, status="success"),),
        ended=(0,),
    )


RETRIED = {
    **RECORDED,
    "due_at": NOW + 28.235,
    "error_code": "http_503",
    "error_message": "the receiver returned 503",
    "attempt_log": (BUSY_ENTRY,),
}
"""Fields that the record of a failed attempt sets in the delivery: due 30 s after its end."""


def test_record_retry():
    """A failed attempt within its budget is due again after the delay, counted from its end."""
    assert settle(CLAIMED, attempted(BUSY), next_token="next") == Step(
        row=changed(CLAIMED, RETRIED, **RELEASED),
        ring_for=NOW + 28.235,
        events=(attempted_event(BUSY_ENTRY, status="pending", error_code="http_503"),),
    )


def test_record_retry_that_is_due_already():
    """A record that comes after the delay claims the same delivery again."""
    step = settle(CLAIMED, attempted(BUSY), now=NOW + 29, next_token="next")

    assert step == Step(
        row=changed(
            CLAIMED,
            {**RETRIED, "tries": 3},
            owner="next",
            lease_until=NOW + 89,
            current=0,
            last_owner="mine",
        ),
        events=(attempted_event(BUSY_ENTRY, status="pending", error_code="http_503"),),
    )


@pytest.mark.parametrize(
    ("outcome", "log_entry"), [(GONE, GONE_ENTRY), (BUSY, BUSY_ENTRY)], ids=["permanent", "budget"]
)
def test_record_failure(outcome, log_entry):
    """A permanent outcome and a used-up budget fail the delivery; a dead letter has to be sent."""
    row = changed(CLAIMED, {"max_attempts": 2, "round": 5, "attempts": 1})
    log_entry = replace(log_entry, round=5)
    event = attempted_event(log_entry, status="failed", error_code=log_entry.code, max_attempts=2)

    assert settle(row, attempted(outcome)) == Step(
        row=changed(
            row,
            {
                **RECORDED,
                "attempts": 2,
                "status": "failed",
                "error_code": log_entry.code,
                "error_message": log_entry.detail,
                "dead_letter_owed": True,
                "attempt_log": (log_entry,),
            },
            **RELEASED,
            ttl=ENDED_TTL,
        ),
        dead_letters=(DeadLetter("ada", ID_1, 6),),
        events=(event,),
        ended=(0,),
    )


@pytest.mark.parametrize(
    ("tries", "unknown", "most", "fails"),
    [
        (1, 0, 1, True),
        (2, 1, 1, True),
        (2, 2, 1, False),
        (3, 0, 4, False),
        (4, 0, 4, True),
        (6, 3, 4, False),
        (7, 3, 4, True),
        (7, 4, 4, True),
        (20, 0, 21, False),
        (21, 0, 21, True),
    ],
)
def test_a_recorded_retry_counts_against_the_budget(tries, unknown, most, fails):
    """The budget is checked with the current attempt counted; 3 unknown outcomes are forgiven."""
    row = changed(CLAIMED, {"tries": tries, "unknown": unknown, "max_attempts": most})
    [delivery] = settle(row, attempted(BUSY)).row.deliveries

    assert (delivery.status, delivery.dead_letter_owed) == (
        ("failed", True) if fails else ("pending", False)
    )


@pytest.mark.parametrize(
    ("delay", "after", "wait"),
    [
        (30, None, 30),
        (30, 0.0, 30),
        (30, -5.0, 30),
        (30, 29.0, 30),
        (30, 31.5, 31.5),
        (30, DAY - 1.0, DAY - 1),
        (30, float(DAY), DAY),
        (30, DAY + 1.0, DAY),
        (DAY, 5.0, DAY),
        (1, None, 1),
    ],
)
def test_retry_after_lengthens_the_delay_by_a_day_at_most(delay, after, wait):
    """A retry is due after max(own delay, min(Retry-After, a day)) from the attempt's end."""
    row = changed(CLAIMED, {"retry_delay_seconds": delay})
    outcome = Retry("http_429", "busy", after=after)
    step = settle(row, attempted(outcome, seconds=0.25))

    assert step.row.deliveries[0].due_at == NOW - 2.75 + wait


@pytest.mark.parametrize(
    ("seconds", "after", "due_in"),
    [
        (0.2504, 31.0, 28.25),
        (0.2506, 31.0, 28.251),
        (0.25, 31.0004, 28.25),
        (0.2504, 31.0004, 28.25),
    ],
)
def test_a_due_time_has_whole_milliseconds(seconds, after, due_in):
    """The end of an attempt and the due time after it are rounded to milliseconds."""
    step = settle(CLAIMED, attempted(Retry("http_429", "busy", after=after), seconds=seconds))

    assert step.row.deliveries[0].due_at == NOW + due_in


@pytest.mark.parametrize(
    ("delay", "sweep_at", "rings"),
    [
        (30, NOW + 90, True),
        (900, NOW + 960, True),
        (901, NOW + 1, False),
        (DAY, NOW + 85_500, False),
    ],
)
def test_the_ring_or_the_sweeper_serves_a_retry(delay, sweep_at, rings):
    """The sweeper looks 60 s after a due time within 900 s, and 900 s before a later one."""
    row = changed(CLAIMED, {"retry_delay_seconds": delay}, sweep_at=None)
    step = settle(row, attempted(BUSY, started_at=NOW, seconds=0.0))

    assert (step.row.sweep_at, step.ring_for) == (sweep_at, NOW + delay if rings else None)


@pytest.mark.parametrize(("expires_in", "expires"), [(28.235, False), (28.234, True)])
def test_a_retry_after_expires_at_is_not_made(expires_in, expires):
    """A delivery whose next attempt would come after ``expires_at`` has expired."""
    row = replace(CLAIMED, expires_at=NOW + expires_in)
    message_text = (
        "the next attempt would come after expires_at; the last: the receiver returned 503"
    )
    ends = {
        "status": "failed",
        "due_at": NOW - 7,
        "error_code": "expired",
        "error_message": message_text,
    }
    event = {"status": "failed", "error_code": "expired"} if expires else {
        "status": "pending",
        "error_code": "http_503",
    }  # fmt: skip

    assert settle(row, attempted(BUSY)) == Step(
        row=changed(
            row,
            {**RETRIED, **(ends if expires else {})},
            **RELEASED,
            sweep_at=None if expires else NOW + 53,
            ttl=ENDED_TTL if expires else None,
        ),
        ring_for=None if expires else NOW + 28.235,
        events=(attempted_event(BUSY_ENTRY, **event),),
        ended=(0,) if expires else (),
    )


def test_a_used_up_budget_comes_before_expiry():
    """The last attempt of a round keeps its own code, and a dead letter has to be sent."""
    row = changed(CLAIMED, {"max_attempts": 2}, expires_at=NOW)
    [delivery] = settle(row, attempted(BUSY)).row.deliveries

    assert (delivery.error_code, delivery.dead_letter_owed) == ("http_503", True)


@pytest.mark.parametrize(
    ("status", "code", "owed"),
    [
        ("failed", "expired", False),
        ("failed", "content_expired", False),
        ("failed", "no_address", False),
        ("failed", "not_configured", False),
        ("failed", "unknown_outcome", True),
        ("failed", "timeout", True),
        ("skipped", "disabled_by_user", False),
        ("skipped", "disabled_by_default", False),
    ],
)
def test_record_an_end_without_an_attempt(status, code, owed):
    """An end without a send counts no attempt; it has a dead letter only if a retry can help."""
    assert settle(CLAIMED, Ending(status, code, f"because of {code}")) == Step(
        row=changed(
            CLAIMED,
            {
                "status": status,
                "error_code": code,
                "error_message": f"because of {code}",
                "dead_letter_owed": owed,
            },
            **RELEASED,
            sweep_at=NOW + 53 if owed else None,
            ttl=ENDED_TTL,
        ),
        dead_letters=(DeadLetter("ada", ID_1, 2),) if owed else (),
        events=(ended_event(0, status, code),),
        ended=(0,),
    )


def test_give_back():
    """An unused claim does not count as an attempt; the delivery stays due, nothing is logged."""
    assert settle(CLAIMED, GivenBack()) == Step(
        row=changed(CLAIMED, {"tries": 1}, **RELEASED),
        ring_for=NOW - 7,
        events=(Event("claim.given_back", 0),),
    )


def test_the_record_belongs_to_the_claimed_place():
    """The place of the claim is recorded, whatever else is pending."""
    row = claimed(message(SOON, replace(DELIVERY, tries=2), DELIVERY), 1)

    assert settle(row, attempted(OK)) == Step(
        row=changed(row, {}, SENT, **RELEASED),
        ring_for=NOW - 7,
        events=(attempted_event(DELIVERED_ENTRY, 1, status="success"),),
        ended=(1,),
    )


def test_an_attempt_keeps_the_first_time_and_the_metadata():
    """``first_attempt_at`` is set once; only a success brings metadata."""
    row = changed(CLAIMED, {"first_attempt_at": NOW - 99, "metadata": {"id": 1}, "attempts": 1})
    [delivery] = settle(row, attempted(GONE)).row.deliveries

    assert (delivery.first_attempt_at, delivery.last_attempt_at) == (NOW - 99, NOW - 3)
    assert (delivery.metadata, delivery.attempts) == ({"id": 1}, 2)


def test_an_attempt_at_time_zero_is_the_first():
    """A first attempt at the time 0 is kept as the first one."""
    row = changed(CLAIMED, {"first_attempt_at": 0.0})

    assert settle(row, attempted(OK)).row.deliveries[0].first_attempt_at == 0.0


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(0.0, 0), (0.0004, 0), (1.2346, 1235), (9.9, 9900)]
)
def test_an_attempt_is_measured_in_milliseconds(seconds, milliseconds):
    """The log and the event hold whole milliseconds, also of how late the attempt began."""
    step = settle(CLAIMED, attempted(OK, seconds=seconds, started_at=NOW - 6.9986))
    [event] = step.events

    assert step.row.deliveries[0].attempt_log[-1].duration_ms == milliseconds
    assert (event.fields["duration_ms"], event.fields["late_ms"]) == (milliseconds, 1)


# first_success ------------------------------------------------------------------------------------


def test_a_success_of_first_success_skips_the_siblings():
    """The write that records the success also ends all that is pending, and nothing else."""
    row = claimed(first_success(FAILED, replace(DELIVERY, tries=2), DELIVERY, SKIPPED, DELIVERY), 1)
    skipped = {
        "status": "skipped",
        "error_code": "first_success",
        "error_message": "another integration delivered the message",
    }

    assert settle(row, attempted(OK), next_token="next") == Step(
        row=changed(row, {}, SENT, skipped, {}, skipped, **RELEASED, sweep_at=None, ttl=ENDED_TTL),
        events=(
            attempted_event(DELIVERED_ENTRY, 1, status="success"),
            ended_event(2, "skipped", "first_success"),
            ended_event(4, "skipped", "first_success"),
        ),
        ended=(1, 2, 4),
    )


def test_a_success_of_all_skips_no_sibling():
    """In the mode ``all`` a success leaves the other deliveries pending."""
    row = claimed(message(replace(DELIVERY, tries=2), SOON))

    assert settle(row, attempted(OK)).row.deliveries[1] == SOON


@pytest.mark.parametrize("next_token", [None, "next"])
def test_a_failure_of_first_success_frees_the_next(next_token):
    """Any other end makes the next delivery due, and it is claimed if there is time."""
    row = claimed(first_success(replace(DELIVERY, tries=2, max_attempts=2), DELIVERY, DELIVERY))
    step = settle(row, attempted(BUSY), next_token=next_token)

    assert [transitions.state_of(step.row, place) for place in range(3)] == [
        State.FAILED,
        State.CLAIMED if next_token else State.PENDING,
        State.WAITING,
    ]
    assert (step.ring_for, step.row.ttl) == (None if next_token else NOW - 7, None)


# Log ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 23, 24, 25, 26])
def test_the_log_keeps_the_last_25_attempts(length):
    """The log drops its oldest entries beyond 25."""
    log = tuple(entry("retry", "c", "d", number=number) for number in range(length))
    row = changed(CLAIMED, {"attempt_log": log})

    assert settle(row, attempted(BUSY)).row.deliveries[0].attempt_log == (*log, BUSY_ENTRY)[-25:]


@pytest.mark.parametrize(
    ("text", "newest", "older"),
    [
        ("", "", ""),
        ("x" * 20, "x" * 20, "x" * 20),
        ("x" * 80, "x" * 80, "x" * 80),
        ("x" * 81, "x" * 81, "x" * 80),
        ("x" * 300, "x" * 300, "x" * 80),
        ("x" * 301, "x" * 300, "x" * 80),
        ("é" * 40, "é" * 40, "é" * 40),
        ("é" * 41, "é" * 41, "é" * 40),
        ("x" + "é" * 150, "x" + "é" * 149, "x" + "é" * 39),
        ("\N{PARTY POPPER}" * 76, "\N{PARTY POPPER}" * 75, "\N{PARTY POPPER}" * 20),
    ],
)
def test_details_are_cut_to_bytes_at_whole_characters(text, newest, older):
    """A detail has 300 bytes in the newest entry and 80 bytes in all others."""
    row = settle(CLAIMED, attempted(Retry("c", text))).row
    first = row.deliveries[0]
    row = settle(claimed(row), attempted(BUSY)).row
    row = settle(claimed(row), attempted(OK)).row

    assert (first.attempt_log[0].detail, first.error_message) == (newest, newest)
    assert [one.detail for one in row.deliveries[0].attempt_log] == [
        older,
        "the receiver returned 503",
        "accepted",
    ]


def test_a_take_over_cuts_the_older_details_too():
    """The entry of the lost attempt is the newest one, and all others are cut to 80 bytes."""
    log = (entry("retry", "c", "x" * 300),)

    row = begin(expired(replace(DELIVERY, tries=2, attempt_log=log))).row

    assert row.deliveries[0].attempt_log == (replace(log[0], detail="x" * 80), LOST)


def test_only_the_detail_of_an_older_entry_is_cut():
    """An entry whose detail is cut keeps the keys that this version does not know."""
    log = (entry("retry", "c", "x" * 300, extra={"digest": 1}),)
    row = changed(CLAIMED, {"attempt_log": log})

    assert settle(row, attempted(BUSY)).row.deliveries[0].attempt_log == (
        replace(log[0], detail="x" * 80),
        BUSY_ENTRY,
    )


@pytest.mark.parametrize(("length", "left"), [(300, 300), (301, 300)])
def test_an_error_message_has_300_bytes(length, left):
    """An error message is cut to 300 bytes, as a detail is."""
    ending = Ending("failed", "timeout", "x" * length)

    assert settle(CLAIMED, ending).row.deliveries[0].error_message == "x" * left


# ttl ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep_until", "ttl"),
    [
        (NOW + RETENTION - 1, ENDED_TTL),
        (NOW + RETENTION + 0.001, ENDED_TTL + 1),
        (NOW + RETENTION + 500, ENDED_TTL + 500),
    ],
)
def test_an_ended_message_outlives_its_requests_identity(keep_until, ttl):
    """The row is kept for the retention, and until ``keep_until`` at least [5]."""
    assert settle(replace(CLAIMED, keep_until=keep_until), attempted(OK)).row.ttl == ttl


def test_a_pending_message_has_no_ttl():
    """A row with a pending delivery has no ``ttl``: DynamoDB must not delete it."""
    row = claimed(message(replace(DELIVERY, tries=2), SOON))

    assert settle(row, attempted(OK)).row.ttl is None


# Cancel -------------------------------------------------------------------------------------------

CANCELLED = {
    "status": "skipped",
    "error_code": "cancelled",
    "error_message": "cancelled before it was sent",
}


def test_cancel_the_last_delivery():
    """A cancelled delivery is skipped; the message ends with its last delivery."""
    row = message(sweep_at=NOW + 53)

    assert cancel(row) == Step(
        row=changed(row, CANCELLED, sweep_at=None, ttl=ENDED_TTL),
        events=(Event("delivery.cancelled", 0),),
        ended=(0,),
    )


@pytest.mark.parametrize(
    ("row", "place", "denied"),
    [
        (message(SUCCESS), 0, CancelDenied.ENDED),
        (message(FAILED), 0, CancelDenied.ENDED),
        (message(SKIPPED), 0, CancelDenied.ENDED),
        (message(replace(FAILED, error_code="cancelled")), 0, CancelDenied.ENDED),
        (message(DELIVERY, replace(SKIPPED, error_code="cancelled")), 1, CancelDenied.CANCELLED),
        (claimed(message()), 0, CancelDenied.CLAIMED),
        (claimed(message(), lease_until=NOW - 999), 0, CancelDenied.CLAIMED),
        (claimed(message(DELIVERY, DELIVERY), 1), 1, CancelDenied.CLAIMED),
    ],
)
def test_what_cannot_be_cancelled(row, place, denied):
    """A delivery that has ended or is claimed; an expired lease is still a claim [23]."""
    assert cancel(row, place) is denied


@pytest.mark.parametrize(
    ("row", "place", "ring_for"),
    [
        (message(DELIVERY, SOON), 0, NOW + 100),
        (message(DELIVERY, SOON), 1, None),
        (message(DELIVERY, DELIVERY), 0, None),
        (message(DELIVERY, LATER), 0, None),
        (message(DELIVERY, replace(DELIVERY, due_at=NOW + 900)), 0, NOW + 900),
        (claimed(message(DELIVERY, SOON, DELIVERY)), 2, NOW + 100),
        (claimed(message(DELIVERY, SOON)), 1, None),
        (first_success(DELIVERY, SOON), 0, NOW + 100),
        (first_success(DELIVERY, SOON), 1, None),
    ],
)
def test_a_cancel_rings_only_if_the_next_due_time_changed(row, place, ring_for):
    """A cancel rings for the next due time of the row, but only if the cancel changed it [25]."""
    step = cancel(row, place)
    changes = [CANCELLED if at == place else {} for at in range(place + 1)]

    assert step == Step(
        row=changed(row, *changes, sweep_at=step.row.sweep_at),
        ring_for=ring_for,
        events=(Event("delivery.cancelled", place),),
        ended=(place,),
    )


@pytest.mark.parametrize(
    ("present", "sweep_at"),
    [
        (None, NOW + 160),
        (NOW - 999, NOW - 999),
        (NOW + 99, NOW + 99),
        (NOW + 160, NOW + 160),
        (NOW + 160.001, NOW + 160),
        (NOW + 9999, NOW + 160),
    ],
)
def test_a_cancel_never_moves_sweep_at_later(present, sweep_at):
    """A write that no ring follows keeps an earlier ``sweep_at`` [29]."""
    row = message(DELIVERY, SOON, sweep_at=present)

    assert cancel(row).row.sweep_at == sweep_at


# New rounds ---------------------------------------------------------------------------------------


REOPENED = {
    "status": "pending",
    "round": 2,
    "tries": 0,
    "unknown": 0,
    "attempts": 0,
    "max_attempts": 6,
    "retry_delay_seconds": 11,
    "due_at": NOW,
    "opened_by": "caller",
    "dead_letter_owed": False,
    "delivered_at": None,
    "error_code": None,
    "error_message": None,
}


def test_reopen():
    """A new round begins from nothing, with today's policy, and keeps the history."""
    spent = replace(
        FAILED,
        round=2,
        unknown=1,
        dead_letter_owed=True,
        delivered_at=NOW - 1,
        error_message="busy",
        first_attempt_at=NOW - 300,
        last_attempt_at=NOW - 30,
        attempt_log=(LOST,),
        opened_by="before",
    )
    row = message(SUCCESS, spent, sweep_at=NOW - 100, ttl=int(NOW) + 1, rings=5, last_owner="last")

    assert reopen(row, 1, round_number=2) == Step(
        row=changed(
            row,
            {},
            {**REOPENED, "round": 3},
            sweep_at=NOW + 60,
            ttl=None,
            rings=0,
        ),
        ring_for=NOW,
        events=(Event("round.opened", 1, {"round": 3}),),
    )


@pytest.mark.parametrize(
    ("row", "round_number", "denied"),
    [
        (message(), 1, ReopenDenied.NOT_FAILED),
        (message(SUCCESS), 1, ReopenDenied.NOT_FAILED),
        (message(SKIPPED), 1, ReopenDenied.NOT_FAILED),
        (message(FAILED), 0, ReopenDenied.NOT_FAILED),
        (message(FAILED), 2, ReopenDenied.NOT_FAILED),
        (message(replace(FAILED, error_code="content_expired")), 1, ReopenDenied.CONTENT_EXPIRED),
        (message(FAILED, ttl=int(NOW) - 1), 1, ReopenDenied.EXPIRED),
        (message(FAILED, ttl=int(NOW)), 1, ReopenDenied.EXPIRED),
        (message(FAILED, ttl=int(NOW) + 1), 1, None),
        (message(replace(FAILED, error_code="expired")), 1, None),
        (message(FAILED, SUCCESS), 1, None),
        (first_success(FAILED, FAILED, SKIPPED), 1, None),
        (first_success(FAILED, SUCCESS), 1, ReopenDenied.SIBLING),
        (first_success(FAILED, FAILED, DELIVERY), 1, ReopenDenied.SIBLING),
    ],
)
def test_when_a_round_begins(row, round_number, denied):
    """A round begins after a failure, in a live row [4], if no sibling may succeed [18]."""
    step = reopen(row, round_number=round_number)

    if denied:
        assert step is denied
    else:
        assert step.row.deliveries[0].round == 2


def test_reopen_while_a_worker_holds_the_claim():
    """A new round leaves the claim untouched: its holder continues with the new round."""
    row = claimed(message(FAILED, replace(DELIVERY, tries=2)), 1)

    assert reopen(row) == Step(
        row=changed(row, REOPENED),
        ring_for=NOW,
        events=(Event("round.opened", 0, {"round": 2}),),
    )


# Dead letters -------------------------------------------------------------------------------------

OWED = message(
    replace(FAILED, dead_letter_owed=True),
    replace(FAILED, dead_letter_owed=True, round=3),
    FAILED,
    sweep_at=NOW,
    ttl=5,
)
OWED_1, OWED_2 = DeadLetter("ada", ID_1, 2), DeadLetter("ada", ID_2, 4)


def test_dead_letters_owed():
    """A dead letter names its delivery and opens the round after the failed one."""
    assert transitions.dead_letters_owed(OWED) == (OWED_1, OWED_2)


@pytest.mark.parametrize(
    ("sent", "left", "sweep_at"),
    [
        ((OWED_1, OWED_2), (), None),
        ((OWED_1,), (OWED_2,), NOW + 60),
        ((OWED_2, DeadLetter("ada", ID_1, 3)), (OWED_1,), NOW + 60),
    ],
)
def test_dead_letters_sent(sent, left, sweep_at):
    """Sent dead letters clear only the flags of the same rounds, and end the watch of the row."""
    row = replace(OWED, sweep_at=NOW + 61)
    step = transitions.dead_letters_sent(row, sent, now=NOW, retention=RETENTION)

    assert step == Step(
        row=changed(
            row,
            {"dead_letter_owed": OWED_1 in left},
            {"dead_letter_owed": OWED_2 in left},
            sweep_at=sweep_at,
        ),
        dead_letters=left,
    )


@pytest.mark.parametrize("sent", [(), (DeadLetter("ada", ID_1, 3),), (DeadLetter("ada", ID_2, 2),)])
def test_a_settled_debt_needs_no_write(sent):
    """A dead letter of another round clears no flag."""
    step = transitions.dead_letters_sent(OWED, sent, now=NOW, retention=RETENTION)

    assert step is Unchanged.SETTLED


# Sweep --------------------------------------------------------------------------------------------


def test_a_row_that_changed_is_not_stamped():
    """A row that was written since the sweeper read it gets no stamp."""
    assert stamp(message(), read=b"rev-0") is Unchanged.MOVED_ON


@pytest.mark.parametrize(
    ("row", "changes"),
    [
        (claimed(message(DELIVERY, SOON), sweep_at=NOW - 1), {"sweep_at": NOW + 53}),
        (claimed(message(), lease_until=NOW + 0.001), {"sweep_at": NOW + 0.001}),
        (claimed(message(), lease_until=NOW), {"sweep_at": NOW + 60, "rings": 1}),
        (claimed(message(LATER), lease_until=NOW), {"sweep_at": NOW + 960.001, "rings": 1}),
        (message(LATER), {"sweep_at": NOW + 0.001}),
        (message(replace(DELIVERY, due_at=NOW + 5000.5)), {"sweep_at": NOW + 4100.5}),
        (message(replace(DELIVERY, due_at=NOW + 5000.0004)), {"sweep_at": NOW + 4100}),
        (message(replace(DELIVERY, due_at=NOW + 99.9996)), {"sweep_at": NOW + 160, "rings": 1}),
        (message(replace(DELIVERY, due_at=NOW + 900)), {"sweep_at": NOW + 960, "rings": 1}),
        (message(SOON), {"sweep_at": NOW + 160, "rings": 1}),
        (message(SUCCESS, sweep_at=NOW, ttl=5), {"sweep_at": None}),
        (message(SUCCESS, sweep_at=NOW), {"sweep_at": None, "ttl": ENDED_TTL}),
        (message(replace(FAILED, dead_letter_owed=True), ttl=5), {"sweep_at": NOW + 60}),
    ],
)
def test_stamp(row, changes):
    """A stamp sets ``sweep_at`` to the lease's end [21], 900 s before a due time, or a back-off."""
    step = stamp(row)

    assert step.row == replace(row, **changes)
    assert (step.ring_for, step.events, step.ended) == (None, (), ())


@pytest.mark.parametrize(
    ("rings", "wait"), [(0, 60), (1, 120), (2, 240), (3, 480), (4, 900), (5, 900), (99, 900)]
)
def test_the_sweeper_backs_off_per_row(rings, wait):
    """The time to the sweeper's next ring doubles until a claim, up to 900 s."""
    row = message(rings=rings)

    assert stamp(row) == Step(row=replace(row, rings=rings + 1, sweep_at=NOW + wait))


# The table ----------------------------------------------------------------------------------------


SMS = replace(DELIVERY, type="SMS", tries=1)
TWO = first_success(DELIVERY, DELIVERY)
"""A ``first_success`` message whose second delivery waits."""

NOT_NEEDED = replace(SKIPPED, error_code="first_success")
OVER = first_success(SUCCESS, NOT_NEEDED, NOT_NEEDED)
"""A ``first_success`` message whose first delivery has succeeded."""

REACHED = {
    ("accept", None, "pending"): (None, 0, lambda _: transitions.accept(REQUEST, now=NOW)),
    ("accept", None, "waiting"): (
        None,
        1,
        lambda _: transitions.accept(replace(REQUEST, mode="first_success"), now=NOW),
    ),
    ("begin", "pending", "claimed"): (message(), 0, begin),
    ("begin", "claimed", "claimed"): (expired(DELIVERY), 0, begin),
    ("begin", "claimed", "pending"): (expired(DELIVERY, DELIVERY, place=1), 1, begin),
    ("begin", "claimed", "failed"): (expired(SMS), 0, begin),
    ("begin", "waiting", "pending"): (expired(SMS, SOON, mode="first_success"), 1, begin),
    ("begin", "waiting", "claimed"): (expired(SMS, DELIVERY, mode="first_success"), 1, begin),
    ("settle", "claimed", "success"): (CLAIMED, 0, lambda row: settle(row, attempted(OK))),
    ("settle", "claimed", "failed"): (CLAIMED, 0, lambda row: settle(row, attempted(GONE))),
    ("settle", "claimed", "skipped"): (
        CLAIMED,
        0,
        lambda row: settle(row, Ending("skipped", "disabled_by_user")),
    ),
    ("settle", "claimed", "pending"): (CLAIMED, 0, lambda row: settle(row, attempted(BUSY))),
    ("settle", "claimed", "claimed"): (
        CLAIMED,
        0,
        lambda row: settle(row, attempted(BUSY), now=NOW + 30, next_token="next"),
    ),
    ("settle", "pending", "claimed"): (
        claimed(message(DELIVERY, DELIVERY)),
        1,
        lambda row: settle(row, attempted(OK), next_token="next"),
    ),
    ("settle", "waiting", "pending"): (claimed(TWO), 1, lambda row: settle(row, attempted(GONE))),
    ("settle", "waiting", "claimed"): (
        claimed(TWO),
        1,
        lambda row: settle(row, attempted(GONE), next_token="next"),
    ),
    ("settle", "waiting", "skipped"): (claimed(TWO), 1, lambda row: settle(row, attempted(OK))),
    ("cancel", "pending", "skipped"): (message(), 0, cancel),
    ("cancel", "waiting", "skipped"): (TWO, 1, lambda row: cancel(row, 1)),
    ("cancel", "waiting", "pending"): (TWO, 1, cancel),
    ("reopen", "failed", "pending"): (message(FAILED), 0, reopen),
    ("feedback", "success", "failed"): (message(SUCCESS), 0, bounce),
    ("feedback", "skipped", "pending"): (OVER, 1, bounce),
    ("feedback", "skipped", "waiting"): (OVER, 2, bounce),
}
"""For each change of the table a row, a place, and the call that makes the change there."""


def test_the_table_allows_nothing_that_no_function_does():
    """Every change of the table is one of those that the next test makes."""
    changes = {(transition, *change) for transition in TABLE for change in TABLE[transition]}

    assert changes == set(REACHED)


@pytest.mark.parametrize("change", REACHED, ids=lambda change: "-".join(map(str, change)))
def test_every_change_of_the_table_is_reached(change):
    """A function makes the change; where the state stays, the claim is a new one."""
    _, before, after = change
    row, place, call = REACHED[change]
    step = call(row)

    assert (transitions.state_of(row, place) if row else None) == before
    assert transitions.state_of(step.row, place) == after
    assert before != after or step.row.owner != row.owner


def row_in(state: State) -> MessageRow:
    """Return a row whose second delivery is in a state; the first one is pending."""
    ended = {"success": SUCCESS, "failed": FAILED, "skipped": SKIPPED}
    row = (first_success if state == "waiting" else message)(DELIVERY, ended.get(state, DELIVERY))
    return claimed(row, 1) if state == "claimed" else row


ALL_CHANGES = [(before, after) for before in (None, *State) for after in State]


@pytest.mark.parametrize("transition", [*Transition, None])
def test_no_other_change_of_state_can_become_a_step(transition):
    """A change that the table does not name for the transition is refused."""
    refused = set()
    for before, after in ALL_CHANGES:
        try:
            transitions._check(transition, row_in(before) if before else None, row_in(after))
        except IllegalTransitionError:
            refused.add((before, after))

    allowed = TABLE[transition] if transition else {}
    assert refused == {
        (before, after)
        for before, after in ALL_CHANGES
        if before != after and (before, after) not in allowed
    }


def test_an_illegal_change_is_named():
    """An illegal change is an error that names the transition and both states."""
    with pytest.raises(IllegalTransitionError, match=r"^cancel: failed -> success$"):
        transitions._check(Transition.CANCEL, message(FAILED), message(SUCCESS))


# Any order ----------------------------------------------------------------------------------------

OUTCOMES = [OK, BUSY, GONE, Retry("http_429", "busy", after=1200.0)]
ACTS = st.one_of(
    st.tuples(st.just("begin"), st.none()),
    st.tuples(st.just("settle"), st.tuples(st.sampled_from(OUTCOMES), st.booleans())),
    st.tuples(st.just("give back"), st.none()),
    st.tuples(st.just("skip"), st.none()),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
    st.tuples(st.just("reopen"), st.integers(0, 3)),
    st.tuples(st.just("dead letters"), st.none()),
    st.tuples(st.just("stamp"), st.none()),
)


def act(row: MessageRow, what: str, choice, *, now: float, token: str):
    """Let something happen to a row."""
    common = {"now": now, "retention": RETENTION}
    settlements = {"give back": GivenBack(), "skip": Ending("skipped", "disabled_by_user")}
    match what:
        case "begin":
            return transitions.begin(row, token=token, **common)
        case "settle":
            outcome, goes_on = choice
            done = Attempted(outcome, now, 0.0)
            following = token if goes_on else None
            return transitions.settle(row, row.owner, done, next_token=following, **common)
        case "give back" | "skip":
            done = settlements[what]
            return transitions.settle(row, row.owner, done, next_token=None, **common)
        case "cancel":
            return transitions.cancel(row, choice % len(row.deliveries), **common)
        case "reopen":
            place = choice % len(row.deliveries)
            number, policy = row.deliveries[place].round, RetryPolicy(2, 30)
            return transitions.reopen(
                row, place, round_number=number, policy=policy, token=token, now=now
            )
        case "dead letters":
            owed = transitions.dead_letters_owed(row)
            return transitions.dead_letters_sent(row, owed, **common)
    return transitions.stamp(row, read=row.rev, **common)


@given(
    mode=st.sampled_from(["all", "first_success"]),
    types=st.lists(st.sampled_from(["WEBHOOK", "SMS"]), min_size=1, max_size=4),
    due_in=st.sampled_from([0, 45, 5000]),
    acts=st.lists(st.tuples(ACTS, st.sampled_from([0.0, 0.001, 30.0, 60.0, 900.0])), max_size=30),
)
def test_whatever_happens_the_row_keeps_its_promises(mode, types, due_in, acts):
    """No order of events makes an illegal change, loses a pending row or exceeds a budget."""
    planned = tuple(
        PlannedDelivery(type=name, priority=1, max_attempts=2, retry_delay_seconds=30)
        for name in types
    )
    request = replace(REQUEST, mode=mode, due_at=NOW + due_in, expires_at=None, deliveries=planned)
    row, now = transitions.accept(request, now=NOW).row, NOW
    for number, ((what, choice), seconds) in enumerate(acts):
        now += seconds
        step = act(row, what, choice, now=now, token=f"token-{number}")
        row = step.row if isinstance(step, Step) else row
        open_ = [one for one in row.deliveries if one.status == "pending"]
        owed = [one for one in row.deliveries if one.dead_letter_owed]

        assert (row.sweep_at is None) is not bool(open_ or owed)
        assert (row.ttl is None) is bool(open_)
        assert (row.owner is None) is (row.current is None) is (row.lease_until is None)
        assert all(one.attempts <= 2 and one.tries <= 2 + 3 for one in row.deliveries)
        assert mode == "all" or sum(one.status == "success" for one in row.deliveries) <= 1
        if isinstance(step, Step):
            ends = (place for place, one in enumerate(row.deliveries) if one.status != "pending")
            assert set(step.ended) <= set(ends)
            assert step.ring_for is None or step.ring_for == transitions.next_due(row)
