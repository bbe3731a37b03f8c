"""Deliveries that end without a send: no longer wanted, or impossible; receivers that are gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.configuration.rows import Override, UserOverrides
from dispatcher.delivery.outcomes import Permanent
from tests.visits import BUSY, SMS, break_overrides, overtaken, rehearse, send, sends, slowly, visit
from tests.world import HOOK, USER

GONE = Permanent("http_410", "the receiver returned 410", gone=True)


def check_unsent(world, delivery_id: str, status: str, code: str, message: str) -> None:
    """Check that the delivery ended without a send: no attempt, and no dead letter."""
    row, delivery = world.row(delivery_id), world.delivery(delivery_id)
    assert row.deliveries == (
        replace(
            delivery,
            status=status,
            error_code=code,
            error_message=message,
            tries=1,
            attempts=0,
            dead_letter_owed=False,
            attempt_log=(),
        ),
    )
    assert (row.owner, row.lease_until, row.current) == (None, None, None)
    assert (row.sweep_at, row.ttl) == (None, row.keep_until)
    assert (sends(world, delivery.type), world.doorbells.rung) == (0, [])
    ids = {
        "user_id": USER,
        "delivery_id": delivery_id,
        "request_id": "r-1",
        "integration_type": delivery.type,
    }
    line = {**ids, "status": status, "error_code": code, "round": 1}
    assert world.event_log.lines[1:] == [("delivery.ended", line)]


# No longer enabled --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "settings", "reason"),
    [
        ({}, {"enabled": False}, "disabled_by_user"),
        ({"INTEGRATION_DEFAULTS_TEST_ENABLED": "false"}, None, "disabled_by_default"),
        ({"STAGE": "prod"}, None, "not_configured"),
    ],
)
def test_an_integration_that_is_no_longer_effective_is_skipped(world, environ, settings, reason):
    """Overrides are read at each attempt, so an opt-out also holds for accepted messages."""
    (only,) = send(world)
    if settings:
        world.override("TEST", **settings)
    world.environ |= environ

    visit(world, only)

    message = f"TEST is no longer used for this user: {reason}"
    check_unsent(world, only, "skipped", reason, message)


def test_an_override_that_its_receiver_disabled_is_skipped(world):
    """After a 410 nothing more is sent to that receiver."""
    world.webhook()
    (only,) = send(world, "WEBHOOK")
    override = world.overrides.get(USER).by_type["WEBHOOK"]
    disabled = replace(override, disabled_by_receiver=True)
    world.overrides.rows[USER] = UserOverrides({"WEBHOOK": disabled}, 9)

    visit(world, only)

    message = "WEBHOOK is no longer used for this user: disabled_by_receiver"
    check_unsent(world, only, "skipped", "disabled_by_receiver", message)


def test_an_opt_out_between_two_attempts_ends_the_retries(world):
    """The delivery is skipped, and its log keeps the attempt that was made."""
    (only,) = send(world)
    rehearse(world, BUSY)
    visit(world, only)
    before = world.delivery(only)
    world.override("TEST", enabled=False)

    world.run()

    assert world.delivery(only) == replace(
        before,
        status="skipped",
        tries=2,
        error_code="disabled_by_user",
        error_message="TEST is no longer used for this user: disabled_by_user",
    )
    assert sends(world) == 1


def test_a_forced_message_ignores_enabled(world):
    """The route ``/test`` sends over an integration that the user has disabled."""
    world.override("TEST", enabled=False)
    response = world.acceptance.test(USER, "TEST").response

    world.run()

    (delivery,) = response["deliveries"]
    assert world.delivery(delivery["delivery_id"]).status == "success"


def test_a_forced_message_needs_a_configured_integration(world):
    """``/test`` of an integration without a provider fails instead of being skipped."""
    response = world.acceptance.test(USER, "EMAIL").response

    world.run()

    (delivery,) = response["deliveries"]
    ended = world.delivery(delivery["delivery_id"])
    assert (ended.status, ended.error_code) == ("failed", "not_configured")


def test_a_delivery_whose_override_was_deleted_uses_the_defaults(world):
    """The config is that of now; the retry policy stays as it was at acceptance."""
    world.override("TEST", enabled=True, retry_count=5, config={"latency_ms": 5})
    (only,) = send(world)
    world.overrides.rows.clear()

    visit(world, only)

    (message,) = world.channels["TEST"].messages
    delivery = world.delivery(only)
    assert (message.config, delivery.status, delivery.max_attempts) == ({}, "success", 6)


# Impossible ---------------------------------------------------------------------------------------


def test_an_enabled_integration_that_is_not_configured_fails(world):
    """An explicit ``enabled: true`` stays effective without a provider."""
    world.override("EMAIL", enabled=True)
    (only,) = send(world, "EMAIL")

    visit(world, only)

    message = "EMAIL is not configured on this system"
    check_unsent(world, only, "failed", "not_configured", message)


def test_an_address_that_was_lost_fails(world):
    """The error names the key to set."""
    world.webhook()
    (only,) = send(world, "WEBHOOK")
    world.webhook(config={})

    visit(world, only)

    check_unsent(world, only, "failed", "no_address", "no address is known: set config.url")


@pytest.mark.parametrize("kind", ["missing", "of another message"])
def test_without_its_own_request_row_a_message_is_not_sent(world, kind):
    """The content of a later request with the same ``request_id`` is never sent instead [20]."""
    (only,) = send(world)
    request = world.table.rows.pop((USER, "REQUEST#r-1"))
    if kind == "of another message":
        world.table.put(replace(request, message_id=request.message_id[:-4] + "ff00"))

    visit(world, only)

    check_unsent(world, only, "failed", "content_expired", "the content is no longer stored")


def test_without_its_request_row_every_delivery_of_a_message_fails(world):
    """One visit ends them all, one write each after the claim."""
    world.webhook()
    ids = send(world, "WEBHOOK", "TEST")
    del world.table.rows[USER, "REQUEST#r-1"]

    visit(world, ids[0])

    codes = [world.delivery(delivery_id).error_code for delivery_id in ids]
    assert (codes, world.row(ids[0]).sweep_at) == (["content_expired"] * 2, None)


# Expiry -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [0.0, 0.001])
def test_past_expires_at_nothing_is_sent(world, late):
    """At exactly ``expires_at`` the message is still sent."""
    (only,) = send(world)
    world.put(only, expires_at=world.clock.now() + 30)
    world.clock.advance(30 + late)

    visit(world, only)

    if late:
        check_unsent(world, only, "failed", "expired", "expires_at has passed")
    else:
        assert (world.delivery(only).status, sends(world)) == ("success", 1)


@pytest.mark.parametrize(("rest", "status"), [(10.5, "pending"), (10.499, "failed")])
def test_a_retry_that_would_come_after_expires_at_ends_the_delivery(world, rest, status):
    """With a delay of 10 s and an attempt of 0.5 s, the next one would come after 10.5 s."""
    (only,) = send(world)
    world.put(only, expires_at=world.clock.now() + rest)
    rehearse(world, slowly(world, 0.5, BUSY))

    visit(world, only)

    delivery = world.delivery(only)
    assert (delivery.status, delivery.attempts, delivery.attempt_log[0].code) == (
        status,
        1,
        "http_503",
    )
    if status == "failed":
        assert (delivery.error_code, delivery.dead_letter_owed) == ("expired", False)
        assert delivery.error_message == (
            "the next attempt would come after expires_at; the last: the receiver returned 503"
        )
        assert world.doorbells.rung == []


# Receivers that are gone --------------------------------------------------------------------------


def test_a_410_disables_the_override(world):
    """Only that override changes, and only in this one field; its delivery fails."""
    world.webhook(retry_count=2)
    world.override("SMS", **SMS)
    before = world.overrides.get(USER)
    (only,) = send(world, "WEBHOOK")
    rehearse(world, GONE, name="WEBHOOK")

    visit(world, only)

    settings = {"enabled": True, "config": HOOK, "retry_count": 2}
    disabled = Override(settings, created_at=1.0, updated_at=1.0, disabled_by_receiver=True)
    by_type = {"WEBHOOK": disabled, "SMS": before.by_type["SMS"]}
    delivery = world.delivery(only)
    assert world.overrides.get(USER) == UserOverrides(by_type, before.version + 1)
    assert (delivery.status, delivery.error_code) == ("failed", "http_410")
    line = {
        "user_id": USER,
        "delivery_id": only,
        "request_id": "r-1",
        "integration_type": "WEBHOOK",
    }
    assert ("override.disabled", line) in world.event_log.lines


@pytest.mark.parametrize("seconds", [0.0, 9.0])
def test_an_override_that_was_changed_stays_enabled(world, seconds):
    """The 410 came from the receiver of an earlier version, however long the send took."""
    world.webhook()
    world.override("TEST", enabled=True, priority=1)
    first, _ = send(world, "WEBHOOK", "TEST")

    def move():
        world.clock.advance(seconds)
        world.webhook(config={"url": "https://hooks.example.com/new"})
        return GONE

    rehearse(world, slowly(world, seconds))
    rehearse(world, move, name="WEBHOOK")

    visit(world, first)

    assert sends(world, "WEBHOOK") == 1
    assert world.overrides.get(USER).by_type["WEBHOOK"].disabled_by_receiver is False


@pytest.mark.parametrize("kind", ["deleted", "disabled", "unavailable"])
def test_an_override_that_cannot_be_disabled_stays_as_it_is(world, kind):
    """The outcome is recorded even if the override was deleted, disabled, or cannot be written."""
    world.webhook()
    (only,) = send(world, "WEBHOOK")
    world.put(only, forced=True)
    override = world.overrides.get(USER).by_type["WEBHOOK"]
    rehearse(world, GONE, name="WEBHOOK")
    if kind == "deleted":
        world.channels["WEBHOOK"].outcomes = [lambda: world.overrides.rows.clear() or GONE]
    if kind == "disabled":
        disabled = replace(override, disabled_by_receiver=True)
        world.overrides.rows[USER] = UserOverrides({"WEBHOOK": disabled}, 7)
    if kind == "unavailable":
        break_overrides(world, lambda _: "throttled", "replace")
    before = dict(world.overrides.rows)

    visit(world, only)

    assert world.delivery(only).error_code == "http_410"
    assert world.overrides.rows == ({} if kind == "deleted" else before)
    assert "override.disabled" not in world.event_log.events()


def test_a_410_without_an_override_disables_nothing(world):
    """An integration that is enabled by default has no override to disable."""
    (only,) = send(world)
    rehearse(world, GONE)

    visit(world, only)

    assert (world.delivery(only).status, world.overrides.rows) == ("failed", {})


def test_a_410_counts_although_its_record_was_lost(world):
    """The receiver asked for no further messages, even if another worker has the claim by now."""
    world.webhook()
    (only,) = send(world, "WEBHOOK")
    rehearse(world, overtaken(world, only, GONE), name="WEBHOOK")

    visit(world, only)

    assert world.overrides.get(USER).by_type["WEBHOOK"].disabled_by_receiver is True
    assert world.delivery(only).status == "pending"
