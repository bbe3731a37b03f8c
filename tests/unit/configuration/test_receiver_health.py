"""The rules by which a receiver that fails is paused, probed and disabled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.configuration.health_changes import HealthChange
from dispatcher.configuration.receiver_health import (
    PROBE,
    SPREAD,
    PauseRules,
    after_failure,
    health_response,
    is_answered,
    is_explained,
    needs_probe,
    probing,
    resumes,
    spread,
    state_of,
)
from dispatcher.configuration.rows import Override, ReceiverHealth
from dispatcher.errors import BrokenSettingError

NOW = 1_800_000_000.0
HOUR = 3600.0
RULES = PauseRules.parse("10/43200/3600/86400/604800")
FAILING = ReceiverHealth(failures=9, first_failed_at=NOW - 12 * HOUR, last_failed_at=NOW - HOUR)
PAUSED = replace(FAILING, failures=10, paused_until=NOW + HOUR, pauses=1)
DISABLED = replace(PAUSED, disabled=True)


def failed(health, now=NOW, *, probed=False, rules=RULES):
    """Return the health after one more failure."""
    return after_failure(health, rules, now, probed=probed)


def test_the_rules_are_five_numbers():
    """The template's default: ten failures, 12 h, pauses from 1 h to 24 h, disabled after 7 d."""
    assert PauseRules(10, 12 * HOUR, HOUR, 24 * HOUR, 168 * HOUR) == RULES


@pytest.mark.parametrize("text", ["", "10", "10/1/1/1", "10/1/1/1/1/1", "a/1/1/1/1", "-1/1/1/1/1"])
def test_other_rules_are_refused_with_an_example(text):
    """The variable is named with its value and a value that works."""
    with pytest.raises(BrokenSettingError, match=r"PAUSE_RULES.*10/43200/3600/86400/604800"):
        PauseRules.parse(text)


@pytest.mark.parametrize(
    ("code", "explained"),
    [
        *((code, True) for code in ("timeout", "connection_failed", "dns_failed", "tls_failed")),
        *((code, True) for code in ("http_408", "http_429", "http_500", "http_503", "http_599")),
        *((code, False) for code in ("http_404", "http_409", "http_410", "http_301", "smtp_550")),
        *((code, False) for code in ("internal_error", "broken_setting", "secret_unavailable")),
        *((code, False) for code in ("unknown_outcome", "rehearsed_failure", None)),
    ],
)
def test_the_receivers_health_explains_these_codes(code, explained):
    """Network, TLS, timeout, 408, 429 and 5xx: nothing that our own side causes."""
    assert is_explained(code) is explained


def test_another_response_shows_that_the_receiver_works():
    """A 409 or a greylisting is a response; our own faults say nothing about the receiver."""
    assert is_answered("http_409")
    assert is_answered("smtp_450")
    assert not is_answered("http_503")
    assert not is_answered("broken_setting")
    assert not is_answered(None)


def test_the_first_failure_begins_the_count():
    """Its time is that of both the first and the last failure."""
    assert failed(None) == ReceiverHealth(failures=1, first_failed_at=NOW, last_failed_at=NOW)


@pytest.mark.parametrize(
    ("failures", "hours", "paused"), [(9, 12, True), (8, 12, False), (9, 11.99, False)]
)
def test_a_pause_takes_both_the_failures_and_the_time(failures, hours, paused):
    """Ten failures within a minute are one outage; one failure a month causes no pause."""
    health = replace(FAILING, failures=failures, first_failed_at=NOW - hours * HOUR)

    after = failed(health)

    assert (after.failures, after.last_failed_at) == (failures + 1, NOW)
    assert after.paused_until == (NOW + HOUR if paused else None)
    assert after.pauses == int(paused)


def test_each_failed_probe_doubles_the_pause_up_to_a_day():
    """1, 2, 4, 8, 16, 24, 24 hours."""
    health, lengths = FAILING, []
    for _ in range(7):
        health = failed(health, probed=health.paused_until is not None)
        lengths.append((health.paused_until - NOW) / HOUR)

    assert lengths == [1, 2, 4, 8, 16, 24, 24]


def test_a_late_failure_changes_no_pause():
    """An attempt that began before the pause is counted, and is no probe."""
    assert failed(PAUSED) == replace(PAUSED, failures=11, last_failed_at=NOW)


def test_a_failed_probe_ends_its_own_wait():
    """The others are held by the next pause, not by the probe."""
    assert failed(replace(PAUSED, probe_until=NOW + 9), probed=True).probe_until is None


@pytest.mark.parametrize(("days", "disabled"), [(7, True), (6.99, False)])
def test_a_probe_that_fails_after_seven_days_disables(days, disabled):
    """The time counts from the first failure."""
    health = replace(PAUSED, first_failed_at=NOW - days * 24 * HOUR)

    assert failed(health, probed=True).disabled is disabled
    assert failed(health).disabled is False


def test_zero_failures_never_pause():
    """Nothing is counted, and an earlier count is forgotten."""
    off = PauseRules.parse("0/0/0/0/0")

    assert failed(None, rules=off) is None
    assert failed(PAUSED, probed=True, rules=off) is None


def test_one_delivery_probes_after_the_pause():
    """It gets 60 s; a second probe begins only after them."""
    assert probing(PAUSED, NOW) is None
    first = probing(PAUSED, NOW + HOUR)
    assert first.probe_until == NOW + HOUR + PROBE
    assert probing(first, NOW + HOUR + PROBE - 1) is None
    assert probing(first, NOW + HOUR + PROBE).probe_until == NOW + HOUR + 2 * PROBE


@pytest.mark.parametrize("health", [None, FAILING, DISABLED])
def test_only_a_pause_needs_a_probe(health):
    """Of a disabled integration the deliveries end, and a failing one is used as before."""
    assert not needs_probe(health)
    assert probing(health, NOW) is None
    assert (resumes(health, NOW), spread(health, "m", NOW)) == (NOW, 0)


def test_the_end_of_a_pause_is_spread_by_message():
    """So that held deliveries are not all due in one second; a probe's end is not spread."""
    seconds = {spread(PAUSED, f"message-{number}", NOW) for number in range(500)}

    assert resumes(PAUSED, NOW) == NOW + HOUR
    assert min(seconds) == 0
    assert max(seconds) == SPREAD - 1
    assert spread(PAUSED, "message-1", NOW + HOUR) == 0
    probed = replace(PAUSED, probe_until=NOW + HOUR + PROBE)
    assert resumes(probed, NOW + HOUR + 1) == NOW + HOUR + PROBE


def test_the_states_are_shown_with_their_times():
    """A disabled integration has no next attempt, so no time is shown."""
    assert health_response(None) is None
    assert [state_of(one) for one in (FAILING, PAUSED, DISABLED)] == [
        *("failing", "paused", "disabled"),
    ]
    assert health_response(PAUSED) == {
        "state": "paused",
        "failures": 10,
        "first_failed_at": "2027-01-14T20:00:00.000Z",
        "last_failed_at": "2027-01-15T07:00:00.000Z",
        "paused_until": "2027-01-15T09:00:00.000Z",
    }
    assert health_response(DISABLED)["paused_until"] is None


@pytest.mark.parametrize("health", [None, FAILING, PAUSED, DISABLED])
def test_a_health_is_stored_with_its_override(health):
    """Without one the stored override is as before; keys of a later version are left out."""
    override = Override({}, 1.0, 2.0, health=health)

    item = override.as_item()

    assert Override.of(item) == override
    assert ("health" in item) is (health is not None)
    later = {**item, "later": 1, **({"health": {**item["health"], "later": 1}} if health else {})}
    assert Override.of(later) == override


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        (None, FAILING, None),
        (FAILING, PAUSED, "integration.paused"),
        (PAUSED, replace(PAUSED, failures=11), None),
        (PAUSED, replace(PAUSED, pauses=2), "integration.paused"),
        (PAUSED, replace(DISABLED, pauses=2), "integration.disabled"),
        (DISABLED, replace(DISABLED, failures=12), None),
        (PAUSED, None, "integration.recovered"),
        (DISABLED, None, "integration.recovered"),
        (FAILING, None, None),
        (None, None, None),
    ],
)
def test_a_transition_has_one_event(before, after, event):
    """A change without effect on deliveries has none."""
    assert HealthChange("ada", "WEBHOOK", before, after).event == event
