"""The protocol as data: every write whole, every budget and delay, and what a refusal means."""

from __future__ import annotations

import dataclasses
import zlib

import pytest

from dispatcher.delivery import protocol
from dispatcher.delivery.protocol import Change, Clause, Ending, Refusal, absent, equals, present
from dispatcher.delivery.rows import Delivery, Status

NOW = 1_800_000_000.0
TTL = NOW + 90 * 86_400

ROW = Delivery(
    user_id="ada",
    delivery_id="0000-d",
    request_id="r-1",
    integration_type="WEBHOOK",
    status="pending",
    priority=3,
    max_attempts=4,
    retry_delay_seconds=30,
    created_at=NOW - 500,
    due_at=NOW - 7,
    fingerprint="f",
    sweep_shard=5,
)
CLAIMED = dataclasses.replace(ROW, owner="me", lease_until=NOW + 53, sweep_at=NOW + 53, tries=2)
ENTRY = {
    "number": 2,
    "round": 1,
    "started_at": NOW - 3,
    "duration_ms": 1235,
    "outcome": "retry",
    "code": "http_503",
    "detail": "the receiver answered 503",
}
MINE = (equals("owner", "me"),)
LOST = {
    "number": 2,
    "round": 1,
    "started_at": NOW - 7,
    "duration_ms": None,
    "outcome": "unknown",
    "code": "unknown_outcome",
    "detail": "the worker ended before it recorded an outcome",
}


def entries(count: int) -> tuple[dict, ...]:
    """Return a log of that length."""
    return tuple({**ENTRY, "number": number} for number in range(count))


# Claim --------------------------------------------------------------------------------------------


def test_claim():
    """A claim takes a pending row that is due, waits for nobody and has no owner."""
    assert protocol.claim("me", NOW) == Change(
        when=(
            equals("status", "pending"),
            absent("waits"),
            Clause("at_most", "due_at", NOW),
            absent("owner"),
        ),
        set={"owner": "me", "lease_until": NOW + 60, "sweep_at": NOW + 60},
        add={"tries": 1},
        remove=("rings",),
    )


def test_take_over():
    """A take-over stands on the very claim that it saw, and logs the lost try as unknown."""
    row = dataclasses.replace(CLAIMED, owner="dead", attempt_log=entries(1))

    assert protocol.take_over(row, "me", NOW + 99) == Change(
        when=(equals("owner", "dead"), equals("lease_until", NOW + 53)),
        set={
            "owner": "me",
            "lease_until": NOW + 159,
            "sweep_at": NOW + 159,
            "attempt_log": [*entries(1), LOST],
        },
        add={"tries": 1, "unknown": 1},
        remove=("rings",),
    )


def test_give_back():
    """A claim that was not used counts as no try, and the sweeper looks after the row."""
    assert protocol.give_back("me", NOW) == Change(
        when=MINE,
        set={"sweep_at": NOW + 60, "last_owner": "me"},
        add={"tries": -1},
        remove=("owner", "lease_until"),
    )


PENDING = {"status": "pending", "due_at": NOW + 5}


@pytest.mark.parametrize(
    ("row", "refusal"),
    [
        (None, Refusal.GONE),
        ({**PENDING, "owner": "me", "lease_until": NOW + 60}, Refusal.MINE),
        ({**PENDING, "owner": "me", "lease_until": NOW - 60}, Refusal.MINE),
        ({"status": "success"}, Refusal.ENDED),
        ({"status": "failed"}, Refusal.ENDED),
        ({"status": "skipped"}, Refusal.ENDED),
        ({**PENDING, "waits": True}, Refusal.WAITING),
        (PENDING, Refusal.EARLY),
        ({**PENDING, "owner": "other", "lease_until": NOW + 0.001}, Refusal.LIVE),
        ({**PENDING, "owner": "other", "lease_until": NOW}, Refusal.LAPSED),
        ({**PENDING, "owner": "other", "lease_until": NOW - 1}, Refusal.LAPSED),
    ],
)
def test_why_a_claim_was_refused(row, refusal):
    """The row that stood in the way tells what comes next."""
    assert protocol.why_refused(row, "me", NOW) is refusal


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"tries": 1}, True),
        ({"tries": 2, "unknown": 1}, True),
        ({"tries": 4, "unknown": 3}, True),
        ({"tries": 2}, False),
        ({"tries": 1, "attempts": 1}, False),
        ({"tries": 1, "round": 2}, False),
    ],
)
def test_a_first_try_is_one_of_round_1_without_a_record(changes, first):
    """Unknown tries before it leave a first try a first try."""
    assert protocol.on_first_try(dataclasses.replace(ROW, **changes)) is first


# Budget and time ----------------------------------------------------------------------------------


@pytest.mark.parametrize("most", range(1, 22))
@pytest.mark.parametrize("unknown", range(6))
def test_the_budget_forgives_three_unknown_tries(most, unknown):
    """A round has ``max_attempts`` tries, and one more for each of the first three unknown ones."""
    allowed = [
        tries
        for tries in range(unknown, most + 8)
        if protocol.may_try(tries, unknown, most)
    ]  # fmt: skip

    assert allowed == list(range(unknown, most + min(unknown, 3)))


@pytest.mark.parametrize(
    ("ahead", "delay"),
    [
        (-5, 0),
        (0, 0),
        (0.0004, 0),
        (0.001, 1),
        (1, 1),
        (1.001, 2),
        (29.5, 30),
        (899.001, 900),
        (900, 900),
        (900.001, 900),
        (86_400, 900),
    ],
)
def test_a_ring_is_delayed_by_whole_seconds_up_to_900(ahead, delay):
    """Never early, never longer than a queue allows."""
    assert protocol.delay_until(NOW + ahead, NOW) == delay


@pytest.mark.parametrize(
    ("ahead", "watched"),
    [(-30, 30), (0, 60), (45, 105), (900, 960), (900.001, 0.001), (5000, 4100)],
)
def test_the_sweeper_looks_after_a_ring_or_in_time_for_one(ahead, watched):
    """A minute after what a queue can delay, 900 s before what it cannot."""
    assert protocol.watch_from(NOW + ahead, NOW) == pytest.approx(NOW + watched, abs=1e-5)
    assert protocol.within_reach(NOW + ahead, NOW) is (ahead <= 900)


@pytest.mark.parametrize(
    ("delay", "after", "due"),
    [
        (30, None, 30),
        (30, 0.0, 30),
        (30, -5.0, 30),
        (30, 29.0, 30),
        (30, 31.5, 31.5),
        (30, 86_400.0, 86_400),
        (30, 999_999.0, 86_400),
        (86_400, 5.0, 86_400),
    ],
)
def test_a_receivers_wish_lengthens_the_own_delay(delay, after, due):
    """max(own delay, min(Retry-After, a day)), counted from the end of the attempt."""
    assert protocol.retry_due(NOW + 0.25, delay, after) == NOW + 0.25 + due


# Record -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "sweep"), [(30.0, 90.0), (900.0, 960.0), (901.0, 1.0), (86_400.0, 85_500.0)]
)
def test_record_retry(ahead, sweep):
    """A failed attempt that is repeated: what happened, when it is due, and who looks after it."""
    row = dataclasses.replace(
        CLAIMED, attempts=1, first_attempt_at=NOW - 99, attempt_log=entries(1)
    )

    change = protocol.record_retry(row, "me", ENTRY, due_at=NOW + ahead, now=NOW)

    assert change == Change(
        when=MINE,
        set={
            "attempts": 2,
            "first_attempt_at": NOW - 99,
            "last_attempt_at": NOW - 3,
            "attempt_log": [*entries(1), ENTRY],
            "last_owner": "me",
            "due_at": NOW + ahead,
            "sweep_at": NOW + sweep,
            "error_code": "http_503",
            "error_message": "the receiver answered 503",
        },
        remove=("owner", "lease_until"),
    )


ATTEMPTED = {
    "attempts": 1,
    "first_attempt_at": NOW - 3,
    "last_attempt_at": NOW - 3,
    "attempt_log": [ENTRY],
}
OWED = {"ticket_owed": True, "sweep_at": NOW + 60}


def failed(code: str) -> Ending:
    """Return an ending without success."""
    return Ending(status=Status.FAILED, code=code, message=f"because of {code}")


def skipped(code: str) -> Ending:
    """Return the ending of a delivery that is not wanted."""
    return Ending(status=Status.SKIPPED, code=code, message=f"because of {code}")


@pytest.mark.parametrize(
    ("ending", "entry", "expected", "removed"),
    [
        (
            Ending(status=Status.SUCCESS, metadata={"id": "m-1"}),
            ENTRY,
            {**ATTEMPTED, "status": "success", "delivered_at": NOW, "metadata": {"id": "m-1"}},
            ("rings", "sweep_at", "error_code", "error_message"),
        ),
        *(
            (
                failed(code),
                ENTRY,
                {
                    **ATTEMPTED,
                    "status": "failed",
                    "error_code": code,
                    "error_message": f"because of {code}",
                    **OWED,
                },
                ("rings",),
            )
            for code in ("http_503", "http_404", "timeout", "unknown_outcome", "secret_unavailable")
        ),
        *(
            (
                failed(code),
                None,
                {"status": "failed", "error_code": code, "error_message": f"because of {code}"},
                ("rings", "sweep_at"),
            )
            for code in ("expired", "content_expired", "no_address", "not_configured")
        ),
        *(
            (
                skipped(code),
                None,
                {"status": "skipped", "error_code": code, "error_message": f"because of {code}"},
                ("rings", "sweep_at"),
            )
            for code in ("disabled_by_user", "disabled_by_default", "not_configured")
        ),
    ],
)
def test_record_end(ending, entry, expected, removed):
    """A round ends once; a failure owes a ticket where a fresh round could change anything."""
    change = protocol.record_end(CLAIMED, "me", ending, entry=entry, now=NOW, ttl=TTL)

    assert change == Change(
        when=MINE,
        set={"last_owner": "me", "ttl": TTL, **expected},
        remove=("owner", "lease_until", *removed),
    )


def test_end_unknown():
    """A used-up budget ends on the dead worker's claim and counts its try as unknown."""
    row = dataclasses.replace(CLAIMED, owner="dead")

    change = protocol.end_unknown(row, "me", failed("unknown_outcome"), now=NOW, ttl=TTL)

    assert change == Change(
        when=(equals("owner", "dead"), equals("lease_until", NOW + 53)),
        set={
            "last_owner": "me",
            "attempt_log": [LOST],
            "status": "failed",
            "ttl": TTL,
            "error_code": "unknown_outcome",
            "error_message": "because of unknown_outcome",
            **OWED,
        },
        add={"unknown": 1},
        remove=("owner", "lease_until", "rings"),
    )


@pytest.mark.parametrize("length", [0, 1, 24, 25, 26])
def test_a_row_remembers_its_last_25_attempts(length):
    """The log keeps the newest, in order."""
    row = dataclasses.replace(CLAIMED, attempt_log=entries(length))

    log = protocol.record_retry(row, "me", ENTRY, due_at=NOW, now=NOW).set["attempt_log"]

    assert log == [*entries(length), ENTRY][-25:]


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(None, None), (0.0, 0), (1.2346, 1235), (9.9, 9900)]
)
def test_attempt_entry(seconds, milliseconds):
    """An attempt is told by number and round, with its length in milliseconds."""
    row = dataclasses.replace(CLAIMED, round=3)

    entry = protocol.attempt_entry(
        row, started=NOW, seconds=seconds, outcome="permanent", code="c", detail="d"
    )

    assert entry == {
        "number": 2,
        "round": 3,
        "started_at": NOW,
        "duration_ms": milliseconds,
        "outcome": "permanent",
        "code": "c",
        "detail": "d",
    }


@pytest.mark.parametrize(
    ("row", "ours"),
    [
        (None, False),
        ({}, False),
        ({"last_owner": "other"}, False),
        ({"owner": "me"}, False),
        ({"last_owner": "me"}, True),
    ],
)
def test_a_refused_record_was_ours_where_the_row_names_us_last(row, ours):
    """The last owner tells a lost answer from a lost claim."""
    assert protocol.is_ours(row, "me") is ours


@pytest.mark.parametrize(
    ("row", "ours"),
    [(None, False), ({"last_owner": "me"}, False), ({"opened_by": "me", "round": 3}, True)],
)
def test_a_refused_round_was_ours_where_the_row_names_who_opened_it(row, ours):
    """Whoever wrote the row since."""
    assert protocol.has_opened(row, "me") is ours


# Siblings, tickets, rounds ------------------------------------------------------------------------

WAITS = (equals("status", "pending"), present("waits"))


@pytest.mark.parametrize(
    ("ahead", "due", "watched"), [(-5, 0, 60), (45, 45, 105), (900, 900, 960), (901, 901, 1)]
)
def test_release(ahead, due, watched):
    """The next sibling goes at once, but not before ``deliver_at``; the sweeper looks after it."""
    sibling = dataclasses.replace(ROW, due_at=NOW + ahead)

    change = protocol.release(sibling, NOW)

    assert change == Change(
        when=WAITS,
        set={"due_at": NOW + due, "sweep_at": NOW + watched},
        remove=("waits",),
    )


def test_skip_sibling():
    """A sibling that still waits is not needed once another one has succeeded."""
    assert protocol.skip_sibling(NOW, TTL) == Change(
        when=WAITS,
        set={
            "status": "skipped",
            "ttl": TTL,
            "error_code": "first_success",
            "error_message": "another integration delivered the message",
        },
        remove=("waits", "rings", "sweep_at"),
    )


def test_a_sibling_forbids_a_fresh_round_unless_it_failed_or_was_skipped():
    """The check writes nothing."""
    assert (
        Change(when=(Clause("one_of", "status", ("failed", "skipped")),))
        == protocol.WITHOUT_SUCCESS
    )


def test_ticket_sent():
    """A ticket's debt is settled only for the round that owed it."""
    assert protocol.ticket_sent(4) == Change(
        when=(equals("status", "failed"), equals("round", 4)), remove=("ticket_owed", "sweep_at")
    )


def test_new_round():
    """A fresh round starts from nothing, with the policy of today."""
    row = dataclasses.replace(ROW, status="failed", round=2, tries=4, unknown=1, attempts=3)

    change = protocol.new_round(row, "me", max_attempts=6, retry_delay_seconds=11, now=NOW)

    assert change == Change(
        when=(
            equals("status", "failed"),
            equals("round", 2),
            Clause("absent_or_above", "ttl", NOW),
        ),
        set={
            "status": "pending",
            "round": 3,
            "tries": 0,
            "unknown": 0,
            "attempts": 0,
            "max_attempts": 6,
            "retry_delay_seconds": 11,
            "due_at": NOW,
            "sweep_at": NOW + 60,
            "opened_by": "me",
        },
        remove=(
            "ttl",
            "ticket_owed",
            "owner",
            "lease_until",
            "rings",
            "delivered_at",
            "error_code",
            "error_message",
        ),
    )


@pytest.mark.parametrize(("waits", "clause"), [(False, absent("waits")), (True, present("waits"))])
def test_cancel(waits, clause):
    """Only a pending row without an owner can be cancelled, and only as it was read."""
    row = dataclasses.replace(ROW, waits=waits)

    assert protocol.cancel(row, "me", now=NOW, ttl=TTL) == Change(
        when=(equals("status", "pending"), absent("owner"), clause),
        set={
            "last_owner": "me",
            "status": "skipped",
            "ttl": TTL,
            "error_code": "cancelled",
            "error_message": "cancelled before it was sent",
        },
        remove=("waits", "rings", "sweep_at"),
    )


# Sweep --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rings", "wait"), [(0, 60), (1, 120), (2, 240), (3, 480), (4, 900), (5, 900), (50, 900)]
)
@pytest.mark.parametrize("ahead", [-40.0, 300.0])
def test_stamp(rings, wait, ahead):
    """The sweeper's rings for one row grow rarer, counted from now or from when it is due."""
    row = {"sweep_at": NOW - 9, "due_at": NOW + ahead, **({"rings": rings} if rings else {})}

    assert protocol.stamp(row, NOW) == Change(
        when=(equals("sweep_at", NOW - 9),),
        set={"sweep_at": NOW + max(0.0, ahead) + wait, "rings": rings + 1},
    )


@pytest.mark.parametrize(
    ("changes", "whole"),
    [
        ({}, True),
        ({"rings": 7}, True),
        ({"rings": 8}, False),
        ({"tries": 1}, False),
        ({"round": 2}, False),
    ],
)
def test_a_first_try_is_rung_for_with_its_request(changes, whole):
    """Round 1, no try, fewer than eight rings: one doorbell for the request keeps the order."""
    row = {"round": 1, "tries": 0, **changes}

    assert protocol.rings_for_request(row) is whole


@pytest.mark.parametrize("user", ["ada", "grace@example.com", "U+1"])
def test_the_shard_is_the_users_checksum(user):
    """crc32(user_id) mod 8: the same for every row of a user."""
    assert protocol.shard_of(user) == zlib.crc32(user.encode()) % 8


def test_the_key_of_a_delivery():
    """Rows of one user lie together, in order of time."""
    assert protocol.key_of("ada", "d-1") == ("ada", "DELIVERY#d-1")
