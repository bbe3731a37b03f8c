"""Holds: what hours and mutes make of a message row, and both sides of every limit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.adapters.items import message_item, message_row
from dispatcher.configuration.hours import Opening
from dispatcher.delivery import transitions
from dispatcher.delivery.outcomes import Delivered, Retry
from dispatcher.delivery.rows import PlannedDelivery, RequestRow
from dispatcher.delivery.transitions import (
    Attempted,
    Held,
    ReopenDenied,
    RetryPolicy,
    State,
    Step,
    Unchanged,
    kept_for_holds,
    longest_round,
)
from dispatcher.integrations.integration import Recipient
from tests.rows import (
    DAY,
    DELIVERY,
    FAILED,
    MESSAGE_ID,
    NOW,
    SUCCESS,
    claimed,
    first_success,
    message,
)

RETENTION = 90.0 * DAY
END = NOW + 40 * DAY
"""The end of holds of the rows below."""

MORNING = Opening(NOW + 8 * 3600, "quiet_hours")
SENDABLE = replace(DELIVERY, tries=1)
CLAIMED = claimed(message(SENDABLE, hold_end=END))
HELD = replace(DELIVERY, held="quiet_hours", due_at=NOW + 3600, not_before=NOW - 7)


def closed_until(at, reason="quiet_hours"):
    """Return the preferences of a user who is closed until a time."""

    def opens(_row, _delivery, t):
        return Opening(t) if t >= at else Opening(at, reason)

    return opens


OPEN = closed_until(0)


def settle(row, settlement, *, now=NOW, next_token=None, opens=None):
    """Let a worker record how its claim ended."""
    return transitions.settle(
        row,
        "mine",
        settlement,
        now=now,
        retention=RETENTION,
        next_token=next_token,
        opens=opens,
    )


def reschedule(row, opens, *, now=NOW):
    """Let changed preferences plan a row again."""
    return transitions.reschedule(row, opens, now=now, retention=RETENTION)


def reopen(row, opens, *, now=NOW, ignores_hours=False):
    """Let a caller begin a new round."""
    return transitions.reopen(
        row,
        0,
        round_number=1,
        policy=RetryPolicy(4, 30),
        token="caller",
        now=now,
        opens=opens,
        ignores_hours=ignores_hours,
    )


# At an attempt ------------------------------------------------------------------------------------


def test_a_hold_uses_no_try_and_leaves_no_entry():
    """The delivery is due at its opening; nothing counts and nothing is logged [31]."""
    step = settle(CLAIMED, Held(MORNING))

    [held] = step.row.deliveries
    assert (held.tries, held.attempts, held.attempt_log) == (0, 0, ())
    assert (held.due_at, held.held, held.not_before) == (MORNING.at, "quiet_hours", NOW - 7)
    assert (step.row.owner, step.row.last_owner) == (None, "mine")
    assert step.row.sweep_at == MORNING.at - 900
    assert (step.ring_for, step.ended, step.dead_letters) == (None, (), ())


def test_a_hold_within_reach_of_the_queue_is_rung_for():
    """Up to 900 s ahead a doorbell waits; after that the sweeper rings."""
    assert settle(CLAIMED, Held(Opening(NOW + 900, "muted"))).ring_for == NOW + 900
    assert settle(CLAIMED, Held(Opening(NOW + 900.001, "muted"))).ring_for is None


def test_a_hold_does_not_end_the_visit():
    """The same write claims the next delivery that is due."""
    row = claimed(message(SENDABLE, replace(DELIVERY, type="CLI"), hold_end=END))

    step = settle(row, Held(MORNING), next_token="next")

    assert (step.row.owner, step.row.current) == ("next", 1)
    assert transitions.state_of(step.row, 0) is State.PENDING


def test_the_hold_of_a_first_success_message_holds_its_chain():
    """A held delivery is pending, so the next one waits."""
    row = claimed(first_success(SENDABLE, DELIVERY, hold_end=END))

    step = settle(row, Held(MORNING), next_token="next")

    assert step.row.owner is None
    assert transitions.state_of(step.row, 1) is State.WAITING


def test_a_claim_and_an_end_remove_the_hold():
    """A delivery that is attempted or has ended is not held."""
    row = message(replace(HELD, due_at=NOW), hold_end=END)
    begun = transitions.begin(row, token="mine", now=NOW, retention=RETENTION)
    [tried] = begun.row.deliveries
    cancelled = transitions.cancel(row, 0, now=NOW, retention=RETENTION)

    assert (tried.held, tried.not_before, tried.tries) == (None, None, 1)
    assert cancelled.row.deliveries[0].held is None
    assert cancelled.row.deliveries[0].error_code == "cancelled"


@pytest.mark.parametrize(("expires", "ends"), [(MORNING.at, False), (MORNING.at - 0.001, True)])
def test_a_message_that_expires_before_its_opening_fails(expires, ends):
    """At the attempt: expired, no dead letter, and the message names the hours."""
    step = settle(replace(CLAIMED, expires_at=expires), Held(MORNING))

    [delivery] = step.row.deliveries
    assert (delivery.error_code == "expired") is ends
    assert delivery.status == ("failed" if ends else "pending")
    assert step.dead_letters == ()
    if ends:
        assert "hours and mutes" in delivery.error_message


def test_no_delivery_is_held_beyond_the_end_of_holds():
    """It is held until then; if the user is still closed then, it fails without a dead letter."""
    far = Opening(END + DAY, "muted")

    [held] = settle(CLAIMED, Held(far)).row.deliveries
    late = settle(replace(CLAIMED, lease_until=END + 53), Held(far), now=END)

    assert held.due_at == END
    [failed] = late.row.deliveries
    assert (failed.status, failed.error_code, failed.dead_letter_owed) == (
        "failed",
        "expired",
        False,
    )


# At a record --------------------------------------------------------------------------------------

BUSY = Attempted(Retry("http_503", "busy"), started_at=NOW - 3, seconds=1.0)
RETRY_DUE = NOW - 2 + 30


def test_a_retry_waits_for_its_delay_and_then_for_its_opening():
    """One record with one time; the attempt counts, the wait does not."""
    [held] = settle(CLAIMED, BUSY, opens=closed_until(MORNING.at)).row.deliveries

    assert (held.attempts, held.tries) == (1, 1)
    assert (held.due_at, held.held, held.not_before) == (MORNING.at, "quiet_hours", RETRY_DUE)
    assert held.error_code == "http_503"


def test_a_retry_that_is_due_in_a_window_is_not_held():
    """The opening of a time in a window is that time."""
    [delivery] = settle(CLAIMED, BUSY, opens=closed_until(RETRY_DUE)).row.deliveries

    assert (delivery.due_at, delivery.held, delivery.not_before) == (RETRY_DUE, None, None)


def test_a_retry_whose_opening_comes_after_expires_at_fails():
    """Its delay alone would not be too late."""
    row = replace(CLAIMED, expires_at=RETRY_DUE + 60)

    [failed] = settle(row, BUSY, opens=closed_until(MORNING.at)).row.deliveries

    assert (failed.status, failed.error_code) == ("failed", "expired")
    assert "hours and mutes" in failed.error_message


def test_a_retry_after_the_end_of_holds_is_never_early():
    """Beyond the end of holds it is due at its own time, where the attempt ends it."""
    row = replace(CLAIMED, hold_end=NOW)

    [held] = settle(row, BUSY, opens=closed_until(NOW + DAY)).row.deliveries

    assert held.due_at == RETRY_DUE


# When preferences change --------------------------------------------------------------------------


def test_an_unmute_moves_a_hold_to_now_and_rings():
    """The delivery is free, due now, and its next due time changed [33, 36]."""
    row = message(HELD, hold_end=END, sweep_at=NOW + 2700, rings=3)

    step = reschedule(row, OPEN)

    [free] = step.row.deliveries
    assert (free.due_at, free.held, free.not_before) == (NOW, None, None)
    assert (step.ring_for, step.row.sweep_at, step.row.rings) == (NOW, NOW + 60, 0)


def test_a_hold_can_move_later():
    """It keeps the time before which it is not due; no ring that far ahead."""
    step = reschedule(message(HELD, hold_end=END), closed_until(MORNING.at, "muted"))

    [later] = step.row.deliveries
    assert (later.due_at, later.held, later.not_before) == (MORNING.at, "muted", NOW - 7)
    assert step.ring_for is None


def test_a_hold_is_never_moved_before_its_own_due_time():
    """An unmute sends nothing before ``deliver_at`` or inside a retry's delay [38]."""
    waiting = replace(HELD, not_before=NOW + 600)

    step = reschedule(message(waiting, hold_end=END), OPEN)

    [free] = step.row.deliveries
    assert (free.due_at, free.held) == (NOW + 600, None)
    assert step.ring_for == NOW + 600


def test_no_change_is_no_write():
    """The same opening leaves the row as it is."""
    row = message(HELD, hold_end=END)

    assert reschedule(row, closed_until(HELD.due_at)) is Unchanged.AS_PLANNED


def test_a_hold_that_is_over_stays_as_it_is():
    """It is due and open, so its doorbell is on the way; closed again, it is held again."""
    over = message(replace(HELD, due_at=NOW - 1), hold_end=END)

    assert reschedule(over, OPEN) is Unchanged.AS_PLANNED
    assert reschedule(over, closed_until(MORNING.at)).row.deliveries[0].due_at == MORNING.at


@pytest.mark.parametrize("delivery", [DELIVERY, SUCCESS, FAILED, replace(DELIVERY, due_at=NOW + 9)])
def test_only_held_deliveries_are_moved(delivery):
    """A re-plan moves only held deliveries; others are checked at their attempt."""
    row = message(delivery, hold_end=END)

    assert reschedule(row, closed_until(MORNING.at)) is Unchanged.AS_PLANNED


def test_a_claimed_row_is_moved_without_a_ring():
    """Its worker goes on with everything that is due; after its lease a ring is needed."""
    row = claimed(message(SENDABLE, HELD, hold_end=END), 0)

    live, over = reschedule(row, OPEN), reschedule(row, OPEN, now=NOW + 53)

    assert live.row.deliveries == (SENDABLE, replace(HELD, due_at=NOW, held=None, not_before=None))
    assert (live.ring_for, over.ring_for) == (None, NOW + 53)


def test_a_move_behind_the_next_due_time_is_not_rung_for():
    """Another delivery is due before, for which a doorbell is on its way."""
    row = message(replace(DELIVERY, due_at=NOW - 1), HELD, hold_end=END)

    step = reschedule(row, OPEN)

    assert step.row.deliveries[1].due_at == NOW
    assert step.ring_for is None


# New rounds ---------------------------------------------------------------------------------------

KEPT = replace(message(FAILED), keep_until=NOW + 10 * DAY)
LATER_END = NOW + 9 * DAY - 3600
"""The end of holds of a later round: a day before the end of the identity."""


def test_a_new_round_respects_hours():
    """A redrive at night wakes no user."""
    step = reopen(KEPT, closed_until(MORNING.at))

    [held] = step.row.deliveries
    assert (held.round, held.due_at, held.held) == (2, MORNING.at, "quiet_hours")
    assert step.ring_for is None


def test_a_new_round_may_ignore_hours():
    """``now=true`` is kept in the row for the attempts of this round, and gone in the next."""
    step = reopen(KEPT, closed_until(MORNING.at), ignores_hours=True)
    [forced] = step.row.deliveries
    again = replace(step.row, deliveries=(replace(forced, status="failed", round=1),))

    assert (forced.due_at, forced.held, forced.ignores_hours) == (NOW, None, True)
    assert reopen(again, OPEN).row.deliveries[0].ignores_hours is False


@pytest.mark.parametrize(("opens_at", "denied"), [(LATER_END, False), (LATER_END + 1, True)])
def test_a_new_round_is_denied_if_its_content_would_not_last(opens_at, denied):
    """Up to the end of holds it is held."""
    found = reopen(KEPT, closed_until(opens_at))

    assert (found is ReopenDenied.CLOSED) is denied
    assert denied or found.row.deliveries[0].due_at == opens_at


# Accept and storage -------------------------------------------------------------------------------


def request(*planned, **fields):
    """Return a stored request that was accepted now."""
    common = {
        "user_id": "ada",
        "request_id": "r-1",
        "message_id": MESSAGE_ID,
        "fingerprint": b"f" * 32,
        "ttl": int(NOW + 200 * DAY),
        "subject": None,
        "content": "Hello",
        "agent_id": None,
        "session_id": None,
        "recipient": Recipient(),
        "mode": "all",
        "forced": False,
        "created_at": NOW,
        "due_at": NOW,
        "expires_at": None,
        "skipped": (),
    }
    return RequestRow(deliveries=planned, **{**common, **fields})


PLANNED = PlannedDelivery(type="SLACK", priority=1, max_attempts=4, retry_delay_seconds=60)


def test_what_is_held_at_accept_follows_the_stored_plan():
    """Every completion of a request stores the same holds [35]."""
    held = replace(PLANNED, due_at=MORNING.at, held="quiet_hours", by_lock=True)
    longest = longest_round([held, PLANNED], one_by_one=False)
    stored = request(
        held,
        replace(PLANNED, type="CLI"),
        ttl=int(NOW + longest + kept_for_holds(DAY)),
        category="security",
        urgent=False,
        locked=True,
    )

    step = transitions.accept(stored, now=NOW)

    slack, cli = step.row.deliveries
    assert (slack.due_at, slack.held, slack.not_before) == (MORNING.at, "quiet_hours", NOW)
    assert (slack.by_lock, cli.by_lock) == (True, False)
    assert (cli.due_at, cli.held, cli.not_before) == (NOW, None, None)
    assert (step.row.category, step.row.locked, step.row.urgent) == ("security", True, False)
    # Content outlives the longest hold, although the operator keeps it for a day.
    assert step.row.hold_end == pytest.approx(NOW + 45 * DAY, abs=1)
    assert step.ring_for == NOW


def test_a_row_without_holds_is_stored_as_before():
    """No key of holds is written for a message that was never held."""
    step = transitions.accept(request(PLANNED), now=NOW)

    body = message_item(replace(step.row, rev=b"1"))["body"]["S"]

    assert not any(
        key in body
        for key in ("held", "not_before", "hold_end", "category", "urgent", "locked", "by_lock")
    )


def test_a_held_row_survives_a_round_trip():
    """Every new field comes back."""
    row = message(
        replace(HELD, by_lock=True, ignores_hours=True),
        category="news",
        urgent=True,
        locked=True,
        hold_end=END,
        sweep_at=NOW + 2700.5,
    )

    assert message_row(message_item(row)) == row


def test_an_attempt_without_preferences_is_recorded_as_before():
    """Without preferences no time is asked for, and nothing is held."""
    sent = Attempted(Delivered({"id": 1}), started_at=NOW - 3, seconds=1.0)

    assert settle(CLAIMED, sent) == settle(CLAIMED, sent, opens=closed_until(MORNING.at))
    assert isinstance(settle(CLAIMED, BUSY), Step)
    assert settle(CLAIMED, BUSY) == settle(CLAIMED, BUSY, opens=OPEN)
