"""Pauses of receivers: their causes, the deliveries that they hold, probes, and their ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.configuration.receiver_health import SPREAD, PauseRules
from dispatcher.configuration.rows import ReceiverHealth
from dispatcher.delivery.describe import delivery_response
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.errors import UnavailableError
from dispatcher.responses import rfc3339
from tests.fakes import Faulty
from tests.visits import BUSY, NOT_FOUND, rehearse, send, sends, statuses, visit
from tests.world import USER, World

HOUR = 3600.0
HOOK = "https://hooks.example.com/x"


class Bus:
    """Keeps what was published about integrations."""

    def __init__(self):
        self.events, self.broken = [], False

    def publish(self, row, place):
        """Let the ends of deliveries pass."""

    def publish_integration(self, name, change):
        """Keep the event, or fail."""
        if self.broken:
            raise UnavailableError("PutEvents failed: rehearsed")
        self.events.append((name, change["until"]))


@pytest.fixture
def bus():
    """An outcome bus."""
    return Bus()


@pytest.fixture
def world(bus):
    """WEBHOOK has one attempt a round; after two failures in a row it is paused for an hour."""
    world = World(publisher=bus, PAUSE_RULES="2/0/3600/7200/86400")
    world.webhook(retry_count=0)
    return world


def health(world):
    """Return the health of the receiver as it is stored."""
    return world.overrides.get(USER).by_type["WEBHOOK"].health


def set_health(world, **fields):
    """Store what earlier failures said about the receiver; return it."""
    now = world.clock.now()
    given = {"failures": 3, "first_failed_at": now, "last_failed_at": now, **fields}
    known = ReceiverHealth(**given)
    stored = world.overrides.get(USER)
    override = replace(stored.by_type["WEBHOOK"], health=known)
    by_type = {**stored.by_type, "WEBHOOK": override}
    world.overrides.rows[USER] = replace(stored, by_type=by_type, version=stored.version + 1)
    return known


def pause(world, seconds=HOUR, **fields):
    """Let the receiver be paused for some time from now."""
    return set_health(world, paused_until=world.clock.now() + seconds, pauses=1, **fields)


def hook(world, request_id="r-1", **body):
    """Send over WEBHOOK; return the delivery."""
    [did] = send(world, "WEBHOOK", request_id=request_id, **body)
    return did


def held(world, did):
    """Return the reason of a delivery's hold, and in how many seconds it ends."""
    delivery = world.delivery(did)
    return delivery.held, delivery.due_at - world.clock.now()


def fail(world, number, outcome=BUSY):
    """Let a message fail permanently; return its delivery."""
    rehearse(world, outcome, name="WEBHOOK")
    did = hook(world, f"r-{number}")
    visit(world, did)
    return did


# Failures and successes ---------------------------------------------------------------------------


def test_the_last_failure_of_a_round_counts(world):
    """Failures before it do not: the round may still succeed."""
    world.webhook(retry_count=1, retry_delay_seconds=30)
    rehearse(world, BUSY, BUSY, name="WEBHOOK")
    did = hook(world)

    visit(world, did)
    assert health(world) is None
    world.clock.advance(30)
    visit(world, did)

    now = world.clock.now()
    assert health(world) == ReceiverHealth(failures=1, first_failed_at=now, last_failed_at=now)


@pytest.mark.parametrize("outcome", [NOT_FOUND, Retry("internal_error", "our fault")])
def test_other_failures_do_not_count(world, outcome):
    """They are not about the health of the receiver."""
    fail(world, 1, outcome)

    assert health(world) is None


def test_an_integration_without_an_override_has_no_health(world):
    """The health needs a row, and no attempt creates one."""
    rehearse(world, BUSY)
    world.environ["INTEGRATION_DEFAULTS_TEST_RETRY_COUNT"] = "0"
    del world.overrides.rows[USER]
    [did] = send(world)
    visit(world, did)

    assert world.delivery(did).status == "failed"
    assert world.overrides.rows == {}


def test_enough_failures_pause_the_receiver(world, bus):
    """The pause is stored, published once, and holds the next message from its acceptance on."""
    fail(world, 1)
    assert bus.events == []
    fail(world, 2)

    until = world.clock.now() + HOUR
    assert health(world).paused_until == until
    assert bus.events == [("integration.paused", rfc3339(until))]
    reason, seconds = held(world, hook(world, "r-3"))
    assert reason == "paused"
    assert HOUR <= seconds < HOUR + SPREAD
    assert world.doorbells.taken() == []


def test_a_lost_race_counts_nothing(world):
    """The row has changed since it was read: the failure may be of another receiver."""

    def changed_meanwhile():
        world.prefer(language="de")
        return BUSY

    fail(world, 1, changed_meanwhile)

    assert health(world) is None


def test_a_success_ends_the_count(world, bus):
    """Failures in a row count; the end of mere failures publishes no event."""
    fail(world, 1)
    visit(world, hook(world, "r-2"))

    assert health(world) is None
    assert bus.events == []


def test_a_healthy_receiver_costs_no_write(world):
    """A success without failures before it writes nothing to the user's row."""
    version = world.overrides.get(USER).version
    visit(world, hook(world))

    assert world.overrides.get(USER).version == version


def test_rules_that_never_pause_cost_no_write():
    """With ``0/0/0/0/0`` a failure writes nothing to the user's row."""
    world = World(PAUSE_RULES="0/0/0/0/0")
    world.webhook(retry_count=0)
    version = world.overrides.get(USER).version

    did = fail(world, 1)

    assert statuses(world, [did]) == [("failed", "http_503")]
    assert (health(world), world.overrides.get(USER).version) == (None, version)


@pytest.mark.parametrize("fault", ["throttled", "lost"])
def test_a_health_that_cannot_be_stored_costs_no_record(world, fault):
    """The outcome is recorded nevertheless."""
    faulty = Faulty(world.overrides, lambda _: fault, "replace")
    receivers = replace(world.worker.receivers, overrides=faulty)
    world.worker = replace(world.worker, receivers=receivers)

    did = fail(world, 1)

    assert statuses(world, [did]) == [("failed", "http_503")]


def test_without_time_beside_the_record_nothing_is_stored(world):
    """The record comes first: without it the message would be sent again."""
    rehearse(world, lambda: setattr(world, "seconds_left", 29.0) or BUSY, name="WEBHOOK")
    did = hook(world)
    visit(world, did)

    assert statuses(world, [did]) == [("failed", "http_503")]
    assert health(world) is None


# Holds by a pause ---------------------------------------------------------------------------------


def test_a_pause_since_acceptance_holds_at_the_attempt(world):
    """Nothing is sent, and no attempt is counted."""
    did = hook(world)
    pause(world)

    visit(world, did)

    assert sends(world, "WEBHOOK") == 0
    assert held(world, did)[0] == "paused"
    assert world.delivery(did).tries == 0


@pytest.mark.parametrize("kind", ["urgent", "now"])
def test_a_pause_holds_messages_that_ignore_hours(world, kind):
    """It is about the receiver, so urgent messages and ``now=true`` are held too."""
    if kind == "urgent":
        world.category("alarms", urgent=True)
        pause(world)
        did = hook(world, category="alarms")
    else:
        did = fail(world, 1)
        pause(world)
        world.rounds.retry(USER, did, now=True)
        visit(world, did)

    assert held(world, did)[0] == "paused"
    assert sends(world, "WEBHOOK") == (0 if kind == "urgent" else 1)


def test_a_mute_and_a_pause_hold_until_both_are_over(world):
    """The reason is the one that the user can end; the spread stays within open hours."""
    world.prefer(muted_until=world.clock.now() + 2 * HOUR, hours={"integrations": ["WEBHOOK"]})
    pause(world)

    reason, seconds = held(world, hook(world))

    assert reason == "muted"
    assert 2 * HOUR <= seconds < 2 * HOUR + SPREAD


def test_a_pause_that_ends_at_night_waits_for_the_morning(world):
    """Due is the opening after the pause; the reason is the pause, which applies now."""
    # 09:00 in Berlin, and the pause ends one hour after the window.
    window = {"days": ["fri", "sat"], "from": "08:00", "to": "10:00"}
    world.prefer(hours={"integrations": ["WEBHOOK"], "windows": [window]})
    pause(world, 2 * HOUR)

    did = hook(world)

    reason, seconds = held(world, did)
    assert reason == "paused"
    assert 23 * HOUR <= seconds < 23 * HOUR + 2 * SPREAD
    assert hold_detail(world, did).startswith("Paused after failures until Sat 16 Jan 08:0")


def hold_detail(world, did):
    """Return the sentence about a delivery's hold."""
    return delivery_response(world.row(did), 0)["held"]["detail"]


def test_a_message_that_would_expire_in_the_pause_is_skipped(world):
    """As with hours: no delivery is made that could only end as expired."""
    pause(world)
    body = {"content": "x", "integration_types": ["WEBHOOK"]}
    body["expires_at"] = rfc3339(world.clock.now() + HOUR - 1)

    [skipped] = world.acceptance.accept(USER, body).response["skipped"]

    assert skipped["reason"] == "expires_while_held"


def test_a_preview_shows_the_earliest_end(world):
    """The message's own seconds are not known before it exists."""
    pause(world)

    [planned] = world.preview.preview(USER, {"integration_types": ["WEBHOOK"]})["deliveries"]

    assert planned["held"]["reason"] == "paused"
    assert planned["held"]["until"] == rfc3339(world.clock.now() + HOUR)


# Probes -------------------------------------------------------------------------------------------


def after_pause(world, count=2, **fields):
    """Hold some messages by a pause, and let it pass; return their deliveries."""
    pause(world, **fields)
    ids = [hook(world, f"held-{number}") for number in range(count)]
    world.clock.advance(HOUR + SPREAD)
    return ids


def test_one_delivery_probes_and_the_others_wait(world):
    """While the probe is on its way, the others are held until 60 s after its beginning."""
    first, second = after_pause(world)

    def meanwhile():
        visit(world, second)
        assert held(world, second) == ("paused", 60.0)
        return Delivered()

    rehearse(world, meanwhile, name="WEBHOOK")
    visit(world, first)

    assert statuses(world, [first]) == [("success", None)]
    assert sends(world, "WEBHOOK") == 1


def test_the_success_of_a_probe_ends_the_pause(world, bus):
    """The others are sent when they are due, without another probe."""
    first, second = after_pause(world)

    visit(world, first)
    visit(world, second)

    assert health(world) is None
    assert bus.events == [("integration.recovered", None)]
    assert statuses(world, [first, second]) == [("success", None)] * 2


def test_a_failed_probe_begins_the_next_pause_whatever_retries_it_has(world, bus):
    """Its own retry is held like the rest, and one request was sent for the whole pause."""
    world.webhook(retry_count=5, retry_delay_seconds=1)
    first, second = after_pause(world)
    rehearse(world, BUSY, name="WEBHOOK")

    visit(world, first)
    visit(world, second)

    until = rfc3339(world.clock.now() + 2 * HOUR)
    assert bus.events == [("integration.paused", until)]
    for did in (first, second):
        reason, seconds = held(world, did)
        assert reason == "paused"
        assert 2 * HOUR <= seconds < 2 * HOUR + SPREAD
    assert sends(world, "WEBHOOK") == 1


@pytest.mark.parametrize(
    "outcome", [NOT_FOUND, Permanent("http_410", "gone"), Retry("http_409", "conflict")]
)
def test_a_probe_that_is_refused_shows_that_the_receiver_works(world, outcome):
    """Another response is a response: the pause ends."""
    first, _ = after_pause(world)
    rehearse(world, outcome, name="WEBHOOK")

    visit(world, first)

    assert health(world) is None


def test_a_probe_that_says_nothing_is_repeated_after_its_time(world):
    """A fault on our side neither ends the pause nor begins the next one."""
    first, second = after_pause(world)
    rehearse(world, Retry("internal_error", "our fault"), name="WEBHOOK")

    visit(world, first)

    known = health(world)
    assert (known.pauses, known.probe_until) == (1, world.clock.now() + 60)
    world.clock.advance(60)
    visit(world, second)
    assert health(world) is None


def test_a_probe_depends_on_its_pause_and_not_on_the_version(world):
    """The row may change for other reasons while the probe is on its way [49]."""
    first, _ = after_pause(world)

    def changed_meanwhile():
        world.prefer(language="de")
        return BUSY

    rehearse(world, changed_meanwhile, name="WEBHOOK")
    visit(world, first)

    assert health(world).pauses == 2
    assert world.overrides.get(USER).preferences.language == "de"


def test_a_probe_of_a_pause_that_ended_otherwise_says_nothing(world, bus):
    """A PUT of the URL meanwhile: the failure was of the old receiver."""
    first, _ = after_pause(world)

    def moved_meanwhile():
        world.configurations.update(USER, "WEBHOOK", {"config": {"url": HOOK + "/new"}})
        return BUSY

    rehearse(world, moved_meanwhile, name="WEBHOOK")
    visit(world, first)

    assert health(world) is None
    assert bus.events == [("integration.recovered", None)]


def test_a_lost_race_for_the_probe_is_decided_on_the_new_row(world):
    """The user opted out between the read and the probe: nothing is sent."""
    first, _ = after_pause(world)
    get = world.overrides.replace

    def opted_out(*args, **kwargs):
        world.overrides.replace = get
        world.override("WEBHOOK", enabled=False)
        return get(*args, **kwargs)

    world.overrides.replace = opted_out
    visit(world, first)

    assert statuses(world, [first]) == [("skipped", "disabled_by_user")]
    assert sends(world, "WEBHOOK") == 0


def test_a_row_that_never_stays_costs_no_attempt(world):
    """The delivery is given back and rung for again."""
    first, _ = after_pause(world)
    receivers = replace(
        world.worker.receivers,
        overrides=Faulty(world.overrides, lambda _: world.prefer(language="de"), "replace"),
    )
    world.worker = replace(world.worker, receivers=receivers)

    visit(world, first)

    assert (world.delivery(first).status, world.delivery(first).tries) == ("pending", 0)
    assert sends(world, "WEBHOOK") == 0


def test_an_outage_costs_one_request_a_pause_and_no_message(world):
    """500 messages are held; after the receiver works again, each arrives once."""
    world.worker = replace(
        world.worker,
        receivers=replace(world.worker.receivers, rules=PauseRules.parse("3/5/5/20/600")),
    )
    for number in range(3):
        fail(world, number)
        world.clock.advance(3)
    world.webhook(retry_count=5, retry_delay_seconds=1)
    pause(world, 5, first_failed_at=world.clock.now())
    ids = [hook(world, f"held-{number}") for number in range(500)]
    before = sends(world, "WEBHOOK")
    is_up = False

    class Receiving:
        """Counts, and is down until the test says otherwise."""

        def deliver(self, message):
            world.channels["WEBHOOK"].messages.append(message)
            return Delivered() if is_up else BUSY

    world.worker = replace(world.worker, channels=lambda _: Receiving())

    def second():
        world.clock.advance(1)
        for did in ids:
            delivery = world.delivery(did)
            if delivery.is_pending and delivery.due_at <= world.clock.now():
                visit(world, did)

    for _ in range(60):
        second()
    pauses = health(world).pauses - 1
    assert pauses >= 3
    assert sends(world, "WEBHOOK") - before == pauses
    is_up = True
    for _ in range(200):
        second()

    assert statuses(world, ids) == [("success", None)] * 500
    delivered = [one.delivery_id for one in world.channels["WEBHOOK"].messages[before + pauses :]]
    assert sorted(delivered) == sorted(ids)
    assert health(world) is None


# The end ------------------------------------------------------------------------------------------


def test_a_probe_that_fails_too_late_disables(world, bus):
    """Pending deliveries end at their attempt with a dead letter; new ones are skipped."""
    first, second = after_pause(world, first_failed_at=world.clock.now() - 86_400)
    rehearse(world, BUSY, name="WEBHOOK")

    visit(world, first)
    world.doorbells.taken()
    visit(world, second)

    assert bus.events == [("integration.disabled", None)]
    assert statuses(world, [second]) == [("failed", "disabled_after_failures")]
    assert [queue for queue, *_ in world.doorbells.taken()] == ["dead_letter"]
    body = {"content": "x", "integration_types": ["WEBHOOK"]}
    response = world.acceptance.accept(USER, body).response
    assert (response["deliveries"], response["skipped"][0]["reason"]) == (
        [],
        "disabled_after_failures",
    )
    shown = world.configurations.effective(USER)["disabled_integrations"]
    assert shown["WEBHOOK"] == "disabled_after_failures"


@pytest.mark.parametrize("change", [{"enabled": True}, {"config": {"url": HOOK + "/new"}}])
def test_a_put_ends_a_pause_and_releases_held_deliveries(world, bus, change):
    """Of ``enabled`` or ``url``; each held delivery is rung for now."""
    pause(world)
    did = hook(world)

    world.configurations.update(USER, "WEBHOOK", change)

    assert health(world) is None
    assert bus.events == [("integration.recovered", None)]
    assert world.delivery(did).held is None
    assert [queue for queue, *_ in world.doorbells.taken()] == ["retry"]


END_BY_REMOVAL = {
    "delete": lambda world: world.configurations.delete(USER, "WEBHOOK"),
    "reset": lambda world: world.configurations.reset(USER),
}


@pytest.mark.parametrize("how", END_BY_REMOVAL)
@pytest.mark.parametrize("disabled", [False, True])
def test_an_override_that_is_removed_releases_what_its_pause_holds(world, bus, how, disabled):
    """Its pause ends with it: each held delivery is rung for now, and decided without it."""
    pause(world)
    did = hook(world)
    pause(world, disabled=disabled)

    END_BY_REMOVAL[how](world)

    assert bus.events == [("integration.recovered", None)]
    assert (world.delivery(did).held, world.delivery(did).due_at) == (None, world.clock.now())
    assert [queue for queue, *_ in world.doorbells.taken()] == ["retry"]
    visit(world, did)
    assert statuses(world, [did]) == [("skipped", "disabled_by_default")]


@pytest.mark.parametrize("how", END_BY_REMOVAL)
@pytest.mark.parametrize("failing", [False, True])
def test_a_removal_without_a_pause_plans_nothing_again(world, bus, how, failing):
    """It takes no call more than before, and publishes no event."""
    if failing:
        set_health(world)

    END_BY_REMOVAL[how](world)

    assert bus.events == []
    assert "replan.done" not in world.event_log.events()


def test_a_removal_leaves_the_holds_of_others(world):
    """Hours and mutes go on without an override, and so does the pause of another one."""
    world.prefer(muted_until=world.clock.now() + 2 * HOUR, hours={"integrations": ["WEBHOOK"]})
    pause(world)
    did = hook(world)

    world.configurations.delete(USER, "WEBHOOK")

    assert held(world, did) == ("muted", 2 * HOUR)


def test_a_removal_whose_response_was_lost_plans_again(world):
    """The health of the removed override is unknown then, so it may have been paused."""
    pause(world)
    did = hook(world)
    delete = world.overrides.delete

    def lost(*args, **kwargs):
        delete(*args, **kwargs)

    world.overrides.delete = lost

    world.configurations.delete(USER, "WEBHOOK")

    assert world.delivery(did).held is None


def test_a_reset_of_several_pauses_plans_again_once(world, bus):
    """Each pause is reported, and all that they held is planned with one query."""
    pause(world)
    stored = world.overrides.get(USER)
    by_type = {**stored.by_type, "CLI": stored.by_type["WEBHOOK"]}
    world.overrides.rows[USER] = replace(stored, by_type=by_type, version=stored.version + 1)

    world.configurations.reset(USER)

    assert bus.events == [("integration.recovered", None)] * 2
    assert world.event_log.events().count("replan.done") == 1


def test_a_probe_of_a_removed_override_says_nothing(world, bus):
    """DELETE meanwhile: the failure begins no pause, and the retry is not held."""
    world.webhook(retry_count=1, retry_delay_seconds=30)
    first, _ = after_pause(world)

    def removed_meanwhile():
        world.configurations.delete(USER, "WEBHOOK")
        return BUSY

    rehearse(world, removed_meanwhile, name="WEBHOOK")
    visit(world, first)

    assert USER not in world.overrides.rows
    assert bus.events == [("integration.recovered", None)]
    assert held(world, first) == (None, 30.0)


def test_another_put_changes_no_pause(world):
    """A priority or a header says nothing about the receiver."""
    pause(world)
    before = health(world)

    world.configurations.update(USER, "WEBHOOK", {"priority": 7})

    assert health(world) == before


def test_a_put_of_a_failing_override_publishes_no_event(world, bus):
    """Nothing is held, so nothing is planned again."""
    set_health(world)

    world.configurations.update(USER, "WEBHOOK", {"enabled": True})

    assert health(world) is None
    assert bus.events == []
    assert "replan.done" not in world.event_log.events()


@pytest.mark.parametrize("disabled", [False, True])
def test_a_successful_test_ends_a_pause(world, bus, disabled):
    """It is sent immediately, and the worker releases held deliveries."""
    pause(world, disabled=False)
    did = hook(world)
    pause(world, disabled=disabled)
    accepted = world.acceptance.test(USER, "WEBHOOK").response

    visit(world, accepted["deliveries"][0]["delivery_id"])

    assert sends(world, "WEBHOOK") == 1
    assert health(world) is None
    assert bus.events == [("integration.recovered", None)]
    assert world.delivery(did).held is None


def test_a_failed_test_begins_no_pause(world, bus):
    """It is no probe: it does not lengthen the pause."""
    before = pause(world)
    rehearse(world, BUSY, name="WEBHOOK")
    accepted = world.acceptance.test(USER, "WEBHOOK").response

    visit(world, accepted["deliveries"][0]["delivery_id"])

    assert health(world).paused_until == before.paused_until
    assert bus.events == []


def test_an_event_that_is_lost_changes_nothing(world, bus):
    """The pause is stored; the log has a line about the event."""
    bus.broken = True
    fail(world, 1)
    fail(world, 2)

    assert health(world).paused_until is not None
    assert world.event_log.events().count("change.unpublished") == 1


def test_the_health_is_shown_with_the_override(world):
    """One override always has the field; a list has it where something failed."""
    world.override("CLI", enabled=True)
    pause(world)

    assert world.configurations.override(USER, "CLI")["health"] is None
    shown = world.configurations.override(USER, "WEBHOOK")["health"]
    assert (shown["state"], shown["failures"]) == ("paused", 3)
    listed = world.configurations.listing(USER)["integrations"]
    assert {one["integration_type"]: one.get("health") for one in listed} == {
        "CLI": None,
        "WEBHOOK": shown,
    }
