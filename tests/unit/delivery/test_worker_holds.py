"""Holds at an attempt, at a retry and in new rounds; the selection at an attempt by category."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.configuration.hours import spread
from dispatcher.configuration.rows import CategoryChoice
from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.errors import BrokenSettingError, ConflictError, UnavailableError
from dispatcher.responses import rfc3339
from tests.fakes import Faulty
from tests.visits import BUSY, NOT_FOUND, rehearse, send, sends, statuses, visit
from tests.world import USER

HOUR = 3600.0
DAY = 86_400.0


def mute(world, seconds=HOUR, *integrations):
    """Let the user be muted for some time over some integrations, by default TEST."""
    hours = {"integrations": list(integrations or ["TEST"])}
    world.prefer(muted_until=world.clock.now() + seconds, hours=hours)


def hold_at(world, delivery_id):
    """Return the hold of a delivery and when it ends, in seconds from now."""
    delivery = world.delivery(delivery_id)
    return delivery.held, delivery.due_at - world.clock.now()


# At an attempt ------------------------------------------------------------------------------------


def test_a_mute_since_acceptance_holds_the_delivery(world):
    """No message is sent, no attempt is counted, and the delivery is due at its opening."""
    [did] = send(world)
    mute(world)

    visit(world, did)

    assert sends(world) == 0
    assert hold_at(world, did) == ("muted", HOUR)
    assert (world.delivery(did).tries, world.delivery(did).attempt_log) == (0, ())
    assert world.event_log.lines[-1][1]["until"] == rfc3339(world.clock.now() + HOUR)
    world.clock.advance(HOUR)
    visit(world, did)
    assert statuses(world, [did]) == [("success", None)]


def test_a_hold_delays_no_other_delivery_of_the_message(world):
    """The record of the hold claims the next one that is due."""
    world.override("CLI", enabled=True)
    test, cli = send(world, "TEST", "CLI")
    mute(world)

    visit(world, test)

    assert statuses(world, [test, cli]) == [("pending", None), ("success", None)]
    assert (sends(world), sends(world, "CLI")) == (0, 1)


def test_a_hold_ends_what_expires_before_the_opening(world):
    """No dead letter: a new round would expire too. The message names the hours."""
    expires_at = rfc3339(world.clock.now() + 100)
    [did] = send(world, expires_at=expires_at)
    mute(world)

    visit(world, did)

    delivery = world.delivery(did)
    assert (str(delivery.status), delivery.error_code) == ("failed", "expired")
    assert "hours and mutes" in delivery.error_message
    assert not [one for one in world.doorbells.rung if one[0] == "dead_letter"]


def test_an_urgent_message_is_sent_to_a_muted_user(world):
    """Urgency is fixed at acceptance."""
    world.category("incidents", urgent=True)
    [did] = send(world, category="incidents")
    world.category("incidents", urgent=False)
    mute(world)

    visit(world, did)

    assert statuses(world, [did]) == [("success", None)]


def test_an_unmute_beside_the_hold_releases_it(world):
    """The preferences are read again after a record that holds: the re-plan may have missed it."""
    [did] = send(world)
    mute(world)
    writes = iter([lambda: None, world.prefer])

    def fate(_):
        next(writes, lambda: None)()
        return ""

    context = replace(world.context, messages=Faulty(world.table, fate, "write"))
    builder = replace(world.builder, holds=replace(world.holds, context=context))
    world.worker = replace(world.worker, context=context, builder=builder)

    visit(world, did)

    assert world.delivery(did).held is None
    world.run()
    assert statuses(world, [did]) == [("success", None)]


def test_a_hold_that_cannot_be_checked_stays(world):
    """The read after it fails: the visit goes on, and the log says so."""
    [did] = send(world)
    mute(world)
    users = Faulty(world.overrides, lambda _: "throttled", "get")
    world.worker = replace(world.worker, builder=replace(world.builder, overrides=users))

    visit(world, did)

    assert hold_at(world, did) == ("muted", HOUR)
    assert world.event_log.events()[-1] == "hold.unchecked"


def test_a_broken_default_zone_claims_nothing(world):
    """The queue message comes back, and no attempt of the delivery is counted."""
    [did] = send(world)
    mute(world)
    broken = replace(world.holds, default_zone="Mars/Olympus")
    world.worker = replace(world.worker, builder=replace(world.builder, holds=broken))

    with pytest.raises(BrokenSettingError, match="DEFAULT_TIME_ZONE"):
        visit(world, did)

    assert (world.row(did).owner, world.delivery(did).tries) == (None, 0)


# At a retry ---------------------------------------------------------------------------------------


def test_a_retry_that_falls_into_a_mute_waits_for_its_end(world):
    """First the delay, then the opening: one record, one time, no attempt."""
    world.override("TEST", retry_count=2, retry_delay_seconds=10)
    [did] = send(world)
    rehearse(world, lambda: mute(world) or BUSY, BUSY)

    visit(world, did)

    # The mute came during the send: the next attempt meets it.
    assert world.delivery(did).held is None
    world.clock.advance(10)
    visit(world, did)
    assert hold_at(world, did) == ("muted", HOUR - 10)
    mute(world, HOUR)
    world.replanner.replan(USER)
    world.clock.advance(HOUR)
    visit(world, did)
    assert (world.delivery(did).attempts, world.delivery(did).held) == (2, None)
    mute(world, HOUR)
    world.clock.advance(10)
    visit(world, did)
    world.prefer()
    world.replanner.replan(USER)
    world.run()
    assert statuses(world, [did]) == [("success", None)]
    assert world.delivery(did).attempts == 3


def test_a_retry_that_falls_into_the_night_is_sent_in_the_morning(world):
    """The record of the attempt holds it: no attempt is needed to find the window closed."""
    window = {"days": ["fri", "sat"], "from": "08:00", "to": "09:01"}
    world.prefer(hours={"windows": [window], "integrations": ["TEST"]})
    world.override("TEST", retry_count=1, retry_delay_seconds=120)
    [did] = send(world)
    rehearse(world, BUSY)

    visit(world, did)

    delivery = world.delivery(did)
    assert hold_at(world, did) == ("quiet_hours", 23 * HOUR + spread(USER))
    assert (delivery.attempts, delivery.tries) == (1, 1)
    assert delivery.not_before == world.clock.now() + 120
    world.clock.advance(23 * HOUR + spread(USER))
    visit(world, did)
    assert statuses(world, [did]) == [("success", None)]


# New rounds ---------------------------------------------------------------------------------------


@pytest.fixture
def failed(world):
    """A delivery that failed, of a user who is muted since."""
    [did] = send(world)
    rehearse(world, NOT_FOUND)
    visit(world, did)
    world.doorbells.taken()
    mute(world)
    return did


def test_a_retry_by_a_caller_is_held(world, failed):
    """A new round respects hours."""
    world.rounds.retry(USER, failed)

    assert hold_at(world, failed) == ("muted", HOUR)
    assert world.doorbells.rung == []


def test_a_retry_now_is_sent_at_once(world, failed):
    """The caller asked for it; its attempts ignore hours too."""
    world.rounds.retry(USER, failed, now=True)

    assert world.delivery(failed).ignores_hours
    world.run()
    assert statuses(world, [failed]) == [("success", None)]


def test_a_redriven_dead_letter_is_held(world, failed):
    """A bulk redrive at night wakes no user."""
    world.handle(DeadLetter(USER, failed, 2))

    assert hold_at(world, failed) == ("muted", HOUR)


def test_an_unmute_beside_a_new_round_releases_it(world, failed):
    """The preferences of the read are older than the round."""
    context = replace(
        world.context, messages=Faulty(world.table, lambda _: world.prefer() or "", "write")
    )
    world.rounds = replace(
        world.rounds, context=context, holds=replace(world.holds, context=context)
    )

    world.rounds.retry(USER, failed)

    assert hold_at(world, failed) == (None, 0.0)


def test_a_round_that_would_outlast_its_content_is_refused(world, failed):
    """The caller learns of ``now=true``; a dead letter is dropped with a line in the log."""
    mute(world, 200 * DAY)

    with pytest.raises(ConflictError, match="now=true"):
        world.rounds.retry(USER, failed)
    world.handle(DeadLetter(USER, failed, 2))

    assert statuses(world, [failed]) == [("failed", "http_404")]
    assert world.event_log.events()[-1] == "dead_letter.dropped"


# Categories ---------------------------------------------------------------------------------------


def test_a_category_that_was_switched_off_since_is_skipped(world):
    """The selection is made again with the current row."""
    world.category("news")
    [did] = send(world, category="news")
    world.prefer(categories={"news": CategoryChoice(enabled=False)})

    visit(world, did)

    assert statuses(world, [did]) == [("skipped", "category_disabled_by_user")]


def test_a_message_that_was_locked_reaches_a_user_who_opted_out_since(world):
    """Its plan has no other delivery that would reach the user."""
    world.category("security", locked=True, reach_by=("EMAIL",))
    [did] = send(world, category="security")
    world.override("TEST", enabled=False)
    world.prefer(categories={"security": CategoryChoice(enabled=False)})

    visit(world, did)

    assert statuses(world, [did]) == [("success", None)]


def test_a_message_of_a_removed_category_is_delivered_as_without_one(world):
    """The category is gone; the user's choices for it have no effect."""
    world.category("news")
    [did] = send(world, category="news")
    world.prefer(categories={"news": CategoryChoice(enabled=False)})
    world.policies.policy = replace(
        world.policies.policy, categories={}, version=world.policies.policy.version + 1
    )
    world.clock.advance(31)

    visit(world, did)

    assert statuses(world, [did]) == [("success", None)]


def test_categories_that_cannot_be_read_claim_nothing(world):
    """After 10 minutes the message returns to its queue: no locks would be a guess."""
    world.category("news")
    [did] = send(world, category="news")
    world.policies.broken = True
    world.clock.advance(599)
    world.handle(world.doorbell(did))
    assert statuses(world, [did]) == [("success", None)]

    [other] = send(world, request_id="r-2")
    world.put(other, category="news")
    world.clock.advance(10)
    with pytest.raises(UnavailableError):
        visit(world, other)
    assert (world.row(other).owner, world.delivery(other).tries) == (None, 0)
