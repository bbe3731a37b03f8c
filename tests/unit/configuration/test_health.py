"""Whether the service can work now, and how each integration stands."""

from __future__ import annotations

import pytest

from dispatcher import VERSION
from dispatcher.integrations import catalogue
from tests.world import ENVIRON, World

NAMES = list(catalogue())


def test_all_is_well(world):
    """Every integration with what is known of it; no secret anywhere."""
    able = [name for name, one in catalogue().items() if one.configured(ENVIRON)]

    report = world.health.report()

    def stands(name: str) -> dict:
        configured = name in able
        return {
            "configured": configured,
            "enabled_by_default": name == "TEST",
            "healthy": None,
            "detail": "configured; there is no shared provider to probe"
            if configured
            else f"{name} is not configured",
        }

    assert report == {
        "status": "healthy",
        "service": "dispatcher",
        "version": VERSION,
        "integrations": {name: stands(name) for name in NAMES},
        "detail": None,
        "timestamp": "2027-01-15T08:00:00.000Z",
    }
    assert world.probes.asked == [(2.0, able)]
    assert {"WEBHOOK", "TEST", "CLI"} <= set(able)
    assert {"SLACK", "EMAIL", "SMS", "TOOL"}.isdisjoint(able)


@pytest.mark.parametrize(
    ("troubles", "detail"),
    [
        ({"DeliveriesTable": "late", "DeliveryQueue": None}, "cannot reach DeliveriesTable"),
        (
            {"DeliveryQueue": "late", "DeliveriesTable": "late", "SLACK": "late"},
            "cannot reach DeliveriesTable, DeliveryQueue",
        ),
    ],
)
def test_what_cannot_be_reached_is_named(world, troubles, detail):
    """An unreachable dependency is named, and the integrations are still reported."""
    world.probes.troubles = troubles

    report = world.health.report()

    assert (report["status"], report["detail"]) == ("unhealthy", detail)
    assert list(report["integrations"]) == NAMES


def test_a_dead_peer_degrades_the_service(world):
    """If a provider is down, the service is degraded, and the detail is at that integration."""
    world.environ |= {"SLACK_BOT_TOKEN_SECRET": "slack", "SMTP_HOST": "smtp.example.com"}
    world.probes.troubles |= {"SLACK": "Slack returned invalid_auth", "EMAIL": None}

    report = world.health.report()

    told = {name: report["integrations"][name] for name in ("SLACK", "EMAIL")}
    assert (report["status"], report["detail"]) == ("degraded", "cannot reach SLACK")
    assert told == {
        "SLACK": {
            "configured": True,
            "enabled_by_default": True,
            "healthy": False,
            "detail": "Slack returned invalid_auth",
        },
        "EMAIL": {
            "configured": True,
            "enabled_by_default": True,
            "healthy": True,
            "detail": "configured; its provider responds",
        },
    }


def test_an_operators_setting_is_seen(world):
    """``enabled_by_default`` is what the next user would get."""
    world.environ |= {
        "INTEGRATION_DEFAULTS_TEST_ENABLED": "false",
        "INTEGRATION_DEFAULTS_SMS_ENABLED": "true",
    }

    integrations = world.health.report()["integrations"]

    assert [name for name in NAMES if integrations[name]["enabled_by_default"]] == ["SMS"]


def test_a_broken_setting_is_named():
    """Nothing is probed: nothing would work."""
    world = World(INTEGRATION_DEFAULTS_SLACK_PRIORITY="first")

    report = world.health.report()

    assert report == {
        "status": "unhealthy",
        "service": "dispatcher",
        "version": VERSION,
        "integrations": {},
        "detail": "INTEGRATION_DEFAULTS_SLACK_PRIORITY is 'first': "
        "set it to a whole number from 1 to 100, or leave it empty",
        "timestamp": "2027-01-15T08:00:00.000Z",
    }
    assert world.probes.asked == []


@pytest.mark.parametrize(("seconds", "looks"), [(0, 1), (59.9, 1), (60, 2)])
def test_one_look_serves_sixty_seconds(world, seconds, looks):
    """A report is cached for 60 s, so callers cannot cause more probes; its time is current."""
    world.health.report()
    world.probes.troubles = {"DeliveriesTable": "late"}
    world.clock.advance(seconds)

    report = world.health.report()

    assert len(world.probes.asked) == looks
    assert report["status"] == ("healthy" if looks == 1 else "unhealthy")
    assert report["timestamp"] != "2027-01-15T08:00:00.000Z" or seconds == 0
