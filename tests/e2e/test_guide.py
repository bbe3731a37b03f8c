"""The guide's endpoints, asked with the guide's own bodies."""

from __future__ import annotations

import pytest

from tests.e2e.system import answered

NOT_CONFIGURED = dict.fromkeys(("SLACK", "EMAIL"), "not_configured")
NOT_BY_DEFAULT = dict.fromkeys(("WEBHOOK", "SMS", "CLI", "TOOL"), "disabled_by_default")

TEST_DEFAULT = {
    "enabled": True,
    "priority": 5,
    "retry_count": 1,
    "retry_delay_seconds": 10,
    "config": {},
}
EMAIL = {
    "enabled": True,
    "config": {"email_address": "john.doe@company.com", "format": "html"},
    "priority": 1,
    "retry_count": 5,
    "retry_delay_seconds": 30,
}
SLACK = {
    "enabled": True,
    "config": {"user_email": "john.doe@company.com", "thread_replies": True, "mention_user": True},
    "priority": 1,
    "retry_count": 5,
    "retry_delay_seconds": 30,
}


@pytest.fixture
def john(api):
    """Return the path of the guide's user, who has no overrides."""
    path = "/api/v1/users/john.doe"
    answered(api.post(f"{path}/integration-defaults/reset"), 200)
    return path


def test_system_defaults(api):
    """The system's defaults are the guide's table, all seven types in the order of priority."""
    answer = answered(api.get("/api/v1/integration-defaults"), 200)

    slack = {"thread_replies": False, "mention_user": False, "include_agent_info": True}
    table = [
        ("SLACK", False, 1, 3, 60, slack),
        ("EMAIL", False, 2, 3, 60, {"include_agent_info": True}),
        ("WEBHOOK", False, 3, 1, 30, {}),
        ("SMS", False, 4, 2, 45, {}),
        ("TEST", True, 5, 1, 10, {}),
        ("CLI", False, 6, 1, 5, {}),
        ("TOOL", False, 7, 1, 5, {}),
    ]
    names = ("enabled", "priority", "retry_count", "retry_delay_seconds", "config")
    expected = {name: dict(zip(names, values, strict=True)) for name, *values in table}
    assert answer == {"default_integrations": expected}
    assert list(answer["default_integrations"]) == list(expected)


def test_user_without_overrides(api, system, john):
    """A user who has nothing stored gets the defaults, and the reason for each one left out."""
    answer = answered(api.get(f"{john}/integration-defaults"), 200)

    assert answer == {
        "user_id": "john.doe",
        "user_overrides": {},
        "effective_configs": {"TEST": TEST_DEFAULT},
        "disabled_integrations": NOT_CONFIGURED | NOT_BY_DEFAULT,
        "using_integration_defaults": True,
    }
    assert system.override_row("john.doe") is None


def test_create_override(api, john):
    """The guide's EMAIL override is created, found at its `Location`, and effective first."""
    created = api.post(f"{john}/integrations", json={"integration_type": "EMAIL", **EMAIL})
    effective = answered(api.get(f"{john}/integration-defaults"), 200)

    override = answered(created, 201)
    times = {name: override[name] for name in ("created_at", "updated_at")}
    assert override == {"integration_type": "EMAIL", **EMAIL, **times}
    assert created.headers["Location"] == "integrations/EMAIL"
    shown = answered(api.get(f"{john}/{created.headers['Location']}"), 200)
    assert shown == override | {"health": None}
    reasons = {name: why for name, why in NOT_CONFIGURED.items() if name != "EMAIL"}
    assert effective == {
        "user_id": "john.doe",
        "user_overrides": {"EMAIL": EMAIL},
        "effective_configs": {
            "EMAIL": EMAIL | {"config": EMAIL["config"] | {"include_agent_info": True}},
            "TEST": TEST_DEFAULT,
        },
        "disabled_integrations": reasons | NOT_BY_DEFAULT,
        "using_integration_defaults": False,
    }
    assert list(effective["effective_configs"]) == ["EMAIL", "TEST"]


def test_update_override(api, system, john):
    """The guide's PUT changes the two settings that it names and leaves the others."""
    created = system.override("john.doe", "SLACK", **SLACK)

    changed = api.put(f"{john}/integrations/SLACK", json={"enabled": False, "retry_count": 10})

    override = answered(changed, 200)
    assert override == created | {
        "enabled": False,
        "retry_count": 10,
        "updated_at": override["updated_at"],
    }
    assert override["updated_at"] > created["updated_at"]
    assert system.effective("john.doe")["disabled_integrations"]["SLACK"] == "disabled_by_user"


def test_list_overrides(api, system, john):
    """The listing holds the user's overrides as they were returned, in the table's order."""
    email = system.override("john.doe", "EMAIL", **EMAIL)
    slack = system.override("john.doe", "SLACK", **SLACK)

    listing = answered(api.get(f"{john}/integrations"), 200)

    assert listing == {"user_id": "john.doe", "integrations": [slack, email]}


def test_delete_override(api, system, john):
    """A deleted override is gone, and deleting it again returns 404."""
    system.override("john.doe", "SLACK", **SLACK)

    first = api.delete(f"{john}/integrations/SLACK")
    second = api.delete(f"{john}/integrations/SLACK")

    assert (first.status_code, first.content, second.status_code) == (204, b"", 404)
    assert answered(api.get(f"{john}/integrations"), 200)["integrations"] == []


def test_reset(api, system, john):
    """A reset removes all overrides, and a second reset removes none."""
    system.override("john.doe", "SLACK", **SLACK)
    system.override("john.doe", "EMAIL", **EMAIL)

    first = answered(api.post(f"{john}/integration-defaults/reset"), 200)
    second = answered(api.post(f"{john}/integration-defaults/reset"), 200)

    done = {"user_id": "john.doe", "removed": [], "using_integration_defaults": True}
    assert first == done | {"removed": ["SLACK", "EMAIL"]}
    assert second == done
    assert system.override_row("john.doe") is None


def test_delivery_history(api, system, user):
    """The history shows a delivery as soon as it was accepted, with every field of the contract."""
    accepted = system.send(user, session_id="s-1", request_id="r-1")
    at_once = system.history(user)

    (delivery_id,) = (one["delivery_id"] for one in accepted["deliveries"])
    assert [one["delivery_id"] for one in at_once["deliveries"]] == [delivery_id]
    ended = system.ended(user, delivery_id)
    (log,) = ended.pop("attempt_log")
    page = answered(api.get(f"/api/v1/users/{user}/deliveries?limit=20&offset=0"), 200)
    assert page == {
        "user_id": user,
        "deliveries": [ended],
        "limit": 20,
        "offset": 0,
        "next_cursor": None,
    }
    assert ended == {
        "delivery_id": delivery_id,
        "request_id": "r-1",
        "session_id": "s-1",
        "subject": None,
        "user_id": user,
        "integration_type": "TEST",
        "status": "success",
        "priority": 5,
        "round": 1,
        "attempts": 1,
        "max_attempts": 2,
        "created_at": ended["created_at"],
        "first_attempt_at": log["started_at"],
        "last_attempt_at": log["started_at"],
        "delivered_at": ended["delivered_at"],
        "next_attempt_at": None,
        "category": None,
        "locked": False,
        "held": None,
        "receipt": None,
        "error_code": None,
        "error_message": None,
        "metadata": {},
    }
    assert ended["created_at"] <= log["started_at"] <= ended["delivered_at"]
    assert log == {
        "number": 1,
        "round": 1,
        "started_at": log["started_at"],
        "duration_ms": log["duration_ms"],
        "outcome": "delivered",
        "code": None,
        "detail": "recorded",
    }


def test_health(api):
    """The service's health is public, and shows the state of each integration."""
    answer = answered(api.get("/health"), 200)

    configured = {"WEBHOOK", "TEST", "CLI", "TOOL"}
    told = {
        name: (one["configured"], one["enabled_by_default"], one["healthy"])
        for name, one in answer.pop("integrations").items()
    }
    assert told == {
        name: (name in configured, name == "TEST", None)
        for name in ("SLACK", "EMAIL", "WEBHOOK", "SMS", "TEST", "CLI", "TOOL")
    }
    assert answer == {
        "status": "healthy",
        "service": "integration-dispatcher",
        "version": answer["version"],
        "timestamp": answer["timestamp"],
        "detail": None,
    }
