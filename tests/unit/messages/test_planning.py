"""Acceptance by category, hours and mute: what is planned, held and skipped, and why."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from dispatcher.configuration.hours import spread
from dispatcher.configuration.rows import CategoryChoice
from dispatcher.delivery.transitions import DEAD_LETTERS_KEPT, LONGEST_HOLDS
from dispatcher.errors import InvalidInputError, UnavailableError
from dispatcher.responses import rfc3339
from tests.fakes import Faulty
from tests.world import USER, World

DAY = 86_400.0
NIGHT = {
    "windows": [{"days": ["fri", "sat"], "from": "12:00", "to": "18:00"}],
    "integrations": ["TEST"],
}
"""Hours of TEST that are closed at the beginning of a test: Friday 15 Jan 2027, 09:00 in Berlin."""

OPENS = 1_800_000_000.0 + 3 * 3600
"""When they open."""


def accept(world, **body):
    """Accept a message; return the response."""
    body = {"content": "x", "request_id": "r-1", **body}
    return world.acceptance.accept(USER, body).response


def muted(world, seconds=3600.0, *integrations):
    """Let the user be muted for some time over some integrations, by default TEST."""
    hours = {"integrations": list(integrations or ["TEST"])}
    world.prefer(muted_until=world.clock.now() + seconds, hours=hours)


def reasons(response):
    """Return why integrations are skipped."""
    return {one["integration_type"]: one["reason"] for one in response["skipped"]}


# Hours and mutes ----------------------------------------------------------------------------------


def test_a_message_at_night_is_held_until_the_morning(world):
    """The delivery is due when its user's window opens, with the user's own spread."""
    world.prefer(hours=NIGHT)

    response = accept(world)

    until = OPENS + spread(USER)
    [delivery] = response["deliveries"]
    assert delivery["held"] == {
        "reason": "quiet_hours",
        "until": rfc3339(until),
        "detail": "Quiet hours until Fri 15 Jan 12:01 (Europe/Berlin).",
    }
    stored = world.delivery(delivery["delivery_id"])
    assert (stored.due_at, stored.held) == (until, "quiet_hours")
    assert stored.not_before == world.clock.now()
    assert world.doorbells.rung == []
    assert world.event_log.lines[0] == (
        "delivery.held",
        {
            "user_id": USER,
            "request_id": "r-1",
            "delivery_id": delivery["delivery_id"],
            "integration_type": "TEST",
            "round": 1,
            "reason": "quiet_hours",
            "until": rfc3339(until),
        },
    )


def test_the_delivery_resource_shows_the_hold(world):
    """``next_attempt_at`` of a held delivery is the end of its hold."""
    muted(world)
    [delivery] = accept(world)["deliveries"]

    shown = world.history.detail(USER, delivery["delivery_id"])

    assert (shown["status"], shown["held"]) == ("pending", delivery["held"])
    assert shown["next_attempt_at"] == delivery["held"]["until"]


def test_a_short_hold_is_rung_for_with_its_delay(world):
    """Up to 900 s the first doorbell waits."""
    muted(world, 900.0)

    accept(world)

    [(queue, _, delay)] = world.doorbells.rung
    assert (queue, delay) == ("delivery", 900)


def test_only_the_integrations_of_the_hours_are_held(world):
    """TEST waits; CLI, which does not interrupt users, is sent immediately."""
    world.override("CLI", enabled=True)
    muted(world)

    response = accept(world)

    held = {one["integration_type"]: one["held"] is not None for one in response["deliveries"]}
    assert held == {"TEST": True, "CLI": False}
    [(queue, doorbell, delay)] = world.doorbells.rung
    assert (queue, doorbell.due_at, delay) == ("delivery", world.clock.now(), 0)


def test_hours_apply_to_deliver_at(world):
    """A time that the caller chose is moved to the opening after it, never before."""
    muted(world, 3600.0)
    after = world.clock.now() + 7200

    [delivery] = accept(world, deliver_at=rfc3339(after))["deliveries"]

    assert delivery["held"] is None
    assert world.delivery(delivery["delivery_id"]).due_at == after


def test_what_would_expire_while_it_is_held_is_skipped(world):
    """No delivery is made that could only end as expired."""
    world.override("CLI", enabled=True)
    muted(world, 3600.0)

    response = accept(world, expires_at=rfc3339(world.clock.now() + 3599))

    assert [one["integration_type"] for one in response["deliveries"]] == ["CLI"]
    assert reasons(response)["TEST"] == "expires_while_held"
    [skipped] = [one for one in response["skipped"] if one["integration_type"] == "TEST"]
    assert skipped["detail"] == (
        f"The hours or a mute of {USER}, or a pause of the receiver, would hold TEST until after "
        "expires_at."
    )


def test_a_message_that_expires_with_its_opening_is_held(world):
    """``expires_at`` is the last moment at which a delivery may be sent."""
    muted(world, 3600.0)

    [delivery] = accept(world, expires_at=rfc3339(world.clock.now() + 3600))["deliveries"]

    assert delivery["held"]["reason"] == "muted"


def test_a_test_message_is_never_held(world):
    """Its user asked for it now, and its content is not kept longer."""
    muted(world)

    [delivery] = world.acceptance.test(USER, "TEST").response["deliveries"]

    assert delivery["held"] is None
    assert world.doorbells.rung != []


def test_a_replay_shows_the_hold_as_it_was(world):
    """The response to a repeated request is computed from the stored one."""
    muted(world)
    response = accept(world)
    world.prefer()

    replayed = world.acceptance.accept(USER, {"content": "x", "request_id": "r-1"})

    assert (replayed.response, replayed.replayed) == (response, True)


def test_a_completed_request_is_held_as_it_was_planned(world):
    """The plan stores each delivery's hold, so every completion of a request writes the same."""
    muted(world)
    disturbed = replace(
        world.context,
        messages=Faulty(world.table, lambda _: "throttled", "create"),
    )
    with pytest.raises(UnavailableError):
        replace(world.acceptance, context=disturbed).accept(
            USER, {"content": "x", "request_id": "r-1"}
        )
    world.clock.advance(10)

    response = accept(world)

    [delivery] = response["deliveries"]
    stored = world.delivery(delivery["delivery_id"])
    assert delivery["held"]["until"] == rfc3339(stored.due_at)
    assert stored.due_at == world.clock.now() - 10 + 3600


@pytest.mark.parametrize(("retention", "kept"), [(1, 59), (58, 59), (59, 59), (90, 90)])
def test_content_is_kept_for_the_longest_hold(world, retention, kept):
    """30 days of mute, 15 of hours, and the dead letter's 14 come before the content's end."""
    planner = replace(world.planner, retention=retention * DAY)
    world.acceptance = replace(world.acceptance, planner=planner)

    accept(world)
    forced = world.acceptance.test(USER, "TEST").response

    assert (LONGEST_HOLDS + DEAD_LETTERS_KEPT) / DAY == 59
    ttl = world.table.request(USER, "r-1").ttl - world.clock.now()
    of_test = world.table.request(USER, forced["request_id"]).ttl - world.clock.now()
    round_ = 2 * (DAY + 60 + 900)
    assert (ttl, of_test) == (kept * DAY + round_, retention * DAY + round_)


# The preferences change in the same moment --------------------------------------------------------


def test_an_unmute_between_the_read_and_the_commit_releases_the_message(world):
    """The preferences are read again after the commit: the re-plan may have looked before it."""
    muted(world)
    disturb_create(world, world.prefer)

    [delivery] = accept(world)["deliveries"]

    assert delivery["held"]["reason"] == "muted"
    stored = world.delivery(delivery["delivery_id"])
    assert (stored.held, stored.due_at) == (None, world.clock.now())
    [(queue, doorbell, delay)] = world.doorbells.rung
    assert (queue, doorbell.due_at, delay) == ("delivery", world.clock.now(), 0)


def test_a_hold_that_stays_the_same_is_not_written_again(world):
    """Another version of the row with the same hours changes nothing."""
    muted(world)
    disturb_create(world, lambda: world.override("CLI", enabled=False))

    [delivery] = accept(world)["deliveries"]

    assert world.delivery(delivery["delivery_id"]).held == "muted"
    assert world.doorbells.rung == []


def test_a_send_that_cannot_read_again_is_accepted(world):
    """The message is stored; its hold ends in time."""
    muted(world)
    reads = iter(["", "throttled"])
    users = Faulty(world.overrides, lambda _: next(reads), "get")
    world.acceptance = replace(
        world.acceptance,
        planner=replace(world.planner, overrides=users),
        holds=replace(world.holds, overrides=users),
    )

    [delivery] = accept(world)["deliveries"]

    assert delivery["held"]["reason"] == "muted"
    assert world.event_log.events() == ["delivery.held", "hold.unchecked", "message.accepted"]


def disturb_create(world, between):
    """Let something happen directly before the next commit."""

    def fate(_):
        between()
        return ""

    context = replace(world.context, messages=Faulty(world.table, fate, "create"))
    world.acceptance = replace(world.acceptance, context=context)


# Categories ---------------------------------------------------------------------------------------


def test_a_category_of_a_send_is_stored_and_shown(world):
    """Request, message and responses name it."""
    world.category("builds")

    response = accept(world, category="builds")

    [delivery] = response["deliveries"]
    assert (response["category"], delivery["locked"]) == ("builds", False)
    row = world.row(delivery["delivery_id"])
    assert (row.category, row.urgent, row.locked) == ("builds", False, False)
    assert world.history.detail(USER, delivery["delivery_id"])["category"] == "builds"


def test_a_category_that_the_user_switched_off_is_skipped(world):
    """Each type says that the user did it, with a sentence."""
    world.category("builds")
    world.prefer(categories={"builds": CategoryChoice(enabled=False)})

    response = accept(world, category="builds")

    assert response["deliveries"] == []
    assert reasons(response)["TEST"] == "category_disabled_by_user"
    assert all(
        "detail" in one for one in response["skipped"] if one["reason"].startswith("category")
    )


def test_a_locked_category_reaches_the_user(world):
    """The first type of ``reach_by`` that works is used, and shown as locked."""
    world.environ.update(EMAIL_SENDER="dispatcher@example.com")
    world.override("EMAIL", enabled=False)
    world.category("security", locked=True, reach_by=("SLACK", "EMAIL"))

    response = accept(world, category="security")

    locked = {one["integration_type"]: one["locked"] for one in response["deliveries"]}
    assert locked == {"EMAIL": True, "TEST": False}
    row = world.row(response["deliveries"][0]["delivery_id"])
    assert (row.locked, row.deliveries[0].by_lock) == (True, True)


def test_an_urgent_category_is_not_held(world):
    """Hours and mutes do not apply to it."""
    world.category("incidents", urgent=True)
    muted(world)

    [delivery] = accept(world, category="incidents")["deliveries"]

    assert delivery["held"] is None
    assert world.row(delivery["delivery_id"]).urgent


def test_an_unknown_category_is_refused_with_those_that_are_known(world):
    """The pointer is the field; nothing is written."""
    world.category("builds")

    with pytest.raises(InvalidInputError) as refused:
        accept(world, category="build")

    [error] = refused.value.field_errors
    assert (error.pointer, error.detail) == (
        "/category",
        "build is not a known category; known: builds",
    )
    assert world.table.rows == {}


def test_a_repeat_is_replayed_after_its_category_was_removed(world):
    """The request was accepted; the stored response is returned."""
    world.category("builds")
    response = accept(world, category="builds")
    policy = world.policies.policy
    world.policies.policy = replace(policy, categories={}, version=policy.version + 1)
    world.clock.advance(31)

    assert accept(world, category="builds") == response


def test_a_category_that_cannot_be_read_accepts_nothing(world):
    """To go on without it would be a guess: the caller tries again."""
    world.policies.broken = True

    with pytest.raises(UnavailableError):
        accept(world, category="builds")

    assert world.table.rows == {}
    assert accept(world)["deliveries"] != []


def test_an_event_of_an_unknown_category_is_parked_with_its_reason(world):
    """An event has the same fields as a send."""
    world.intake.take(f'{{"user_id": "{USER}", "content": "x", "category": "nope"}}', "m-1")

    [(_, reason, _)] = world.doorbells.parked
    assert "/category" in reason
    assert "nope is not a known category; known: none" in reason


# Preview ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{}, {"content": "x", "request_id": "r-1"}])
def test_a_preview_is_the_response_of_a_send_without_ids(world, body):
    """It shows deliveries, holds and reasons, and leaves no trace."""
    world.category("builds")
    muted(world)
    world.event_log.lines.clear()

    shown = world.preview.preview(USER, {**body, "category": "builds"})

    assert (world.table.rows, world.doorbells.rung, world.event_log.lines) == ({}, [], [])
    sent = accept(world, category="builds")
    del sent["request_id"]
    for delivery in sent["deliveries"]:
        del delivery["delivery_id"]
    assert shown == sent


def test_a_preview_refuses_what_a_send_refuses(world):
    """Also times, fields and categories."""
    late = rfc3339(world.clock.now() + 31 * DAY)
    for body in ({"contents": "x"}, {"deliver_at": late}, {"category": "nope"}, "x"):
        with pytest.raises(InvalidInputError):
            world.preview.preview(USER, body)


def test_a_user_without_preferences_has_the_rows_of_before():
    """Not one key more: the defaults are not written."""
    world = World()
    accept(world)

    request = world.table.request(USER, "r-1")
    assert (request.hold_zone, request.category) == ("UTC", None)
    assert [(one.due_at, one.held, one.by_lock) for one in request.deliveries] == [
        (None, None, False)
    ]


def test_a_send_without_hours_loads_no_time_zones():
    """The modules of the rule of time would make each cold start of a send slower."""
    code = (
        "import sys, dispatcher.messages.acceptance, dispatcher.messages.planning\n"
        "print('dispatcher.configuration.hours' in sys.modules)"
    )
    command = [sys.executable, "-c", code]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
