"""Overrides: what they change, what they leave, and that nothing is stored without them."""

from __future__ import annotations

from tests.e2e.system import answered, until

TEST_DEFAULT = {
    "enabled": True,
    "priority": 5,
    "retry_count": 1,
    "retry_delay_seconds": 10,
    "config": {},
}


def test_each_field_overrides_alone(system, user):
    """An override of one field changes that field, and the others stay the default's."""
    changes = (
        {"priority": 9},
        {"retry_count": 0},
        {"retry_delay_seconds": 7},
        {"config": {"latency_ms": 5}},
    )

    told = []
    for number, change in enumerate(changes):
        one = f"{user}-{number}"
        system.override(one, "TEST", **change)
        effective = system.effective(one)
        told.append((effective["user_overrides"], effective["effective_configs"]))

    assert told == [
        ({"TEST": {"enabled": True, **change}}, {"TEST": TEST_DEFAULT | change})
        for change in changes
    ]


def test_config_is_merged_key_by_key(system, user):
    """A key of the override's config replaces the default's; the other keys stay."""
    system.override(user, "SLACK", config={"mention_user": True, "slack_user_id": "U012ABCDEF"})

    effective = system.effective(user)

    assert effective["effective_configs"]["SLACK"]["config"] == {
        "thread_replies": False,
        "mention_user": True,
        "include_agent_info": True,
        "slack_user_id": "U012ABCDEF",
    }


def test_put_changes_only_what_it_names(api, system, user):
    """A PUT replaces the fields it names, config whole; null gives a field back to the default."""
    system.override(
        user, "TEST", priority=2, retry_count=4, config={"latency_ms": 5, "fail_attempts": 1}
    )
    path = f"/api/v1/users/{user}/integrations/test"

    answered(api.put(path, json={"config": {"fail_attempts": 2}}), 200)
    answered(api.put(path, json={"priority": None}), 200)

    effective = system.effective(user)
    changed = {"enabled": True, "retry_count": 4, "config": {"fail_attempts": 2}}
    assert effective["user_overrides"] == {"TEST": changed}
    assert effective["effective_configs"] == {"TEST": TEST_DEFAULT | changed}


def test_override_with_all_fields_given_back_still_exists(api, system, user):
    """An override whose fields are all given back holds nothing, and exists until DELETE."""
    system.override(user, "TEST", priority=2)
    path = f"/api/v1/users/{user}/integrations/TEST"

    answered(api.put(path, json={"priority": None, "enabled": None}), 200)

    effective = system.effective(user)
    assert effective["user_overrides"] == {"TEST": {}}
    assert effective["effective_configs"] == {"TEST": TEST_DEFAULT}
    assert effective["using_integration_defaults"] is False


def test_priority_orders_the_effective_configuration(system, receiver, user):
    """The lowest number goes first; where two are equal, the guide's table decides."""
    system.override(user, "WEBHOOK", priority=5, config={"url": receiver.url})
    tied = list(system.effective(user)["effective_configs"])

    system.override(user, "SMS", priority=1, config={"phone_number": "+14155552671"})

    assert tied == ["WEBHOOK", "TEST"]
    assert list(system.effective(user)["effective_configs"]) == ["SMS", "WEBHOOK", "TEST"]


def test_opt_out_wins(system, user):
    """A disabled integration is not delivered, and the response says so."""
    system.override(user, "TEST", enabled=False)

    answer = system.send(user, request_id="r-1", integration_types=["TEST"])

    assert answer == {
        "request_id": "r-1",
        "user_id": user,
        "category": None,
        "deliveries": [],
        "skipped": [{"integration_type": "TEST", "reason": "disabled_by_user"}],
    }
    assert system.effective(user)["disabled_integrations"]["TEST"] == "disabled_by_user"


def test_opt_out_after_the_accept(api, system, user):
    """A pending message is not sent to a user who opts out meanwhile."""
    system.override(user, "TEST", retry_delay_seconds=600, config={"fail_attempts": 1})
    delivery_id = system.sent(user)
    until(lambda: system.delivery(user, delivery_id)["attempts"])

    answered(api.put(f"/api/v1/users/{user}/integrations/TEST", json={"enabled": False}), 200)
    system.hasten(user, delivery_id)
    system.sweep()

    ended = system.ended(user, delivery_id)
    assert (ended["status"], ended["error_code"]) == ("skipped", "disabled_by_user")
    assert system.mailbox(user) == ()


def test_reading_and_sending_store_no_override(api, system, user):
    """Reading, resolving, sending and resetting leave no override behind (the lazy approach)."""
    before = system.overrides.scan(Select="COUNT")["Count"]

    system.effective(user)
    answered(api.get(f"/api/v1/users/{user}/integrations"), 200)
    answered(api.get(f"/api/v1/users/{user}/integrations/TEST"), 404)
    system.ended(user, system.sent(user))
    answered(api.post(f"/api/v1/users/{user}/integration-defaults/reset"), 200)

    assert system.overrides.scan(Select="COUNT")["Count"] == before
    assert system.override_row(user) is None


def test_last_override_takes_its_row_along(api, system, user):
    """The row goes with the last override and not before; the history of deliveries stays."""
    system.override(user, "TEST", priority=1)
    system.override(user, "SMS", config={"phone_number": "+14155552671"})
    delivery_id = system.sent(user, integration_types=["TEST"])

    kept = []
    for name in ("SMS", "TEST"):
        answered(api.delete(f"/api/v1/users/{user}/integrations/{name}"), 204)
        kept.append(system.override_row(user) is not None)

    assert kept == [True, False]
    assert system.effective(user)["using_integration_defaults"] is True
    assert system.ended(user, delivery_id)["status"] == "success"


def test_override_exists_once(api, system, user):
    """A second override of one type is a conflict, and the first one stays as it was."""
    first = system.override(user, "TEST", priority=1)

    body = {"integration_type": "test", "priority": 2}
    answered(api.post(f"/api/v1/users/{user}/integrations", json=body), 409)

    assert answered(api.get(f"/api/v1/users/{user}/integrations/Test"), 200) == first | {
        "health": None
    }


def test_secrets_of_a_webhook_are_never_shown_again(api, system, receiver, user):
    """The signing secret is shown once; header values and queries are read back as stars."""
    config = {"url": f"{receiver.url}?token=t0p", "headers": {"Authorization": "Bearer t0p"}}
    created = system.override(user, "WEBHOOK", config=config)
    shown = answered(api.get(f"/api/v1/users/{user}/integrations/WEBHOOK"), 200)

    hidden = {"url": f"{receiver.url}?token=***", "headers": {"Authorization": "***"}}
    secret = created.pop("signing_secret")
    assert secret.startswith("whsec_")
    assert created | {"health": None} == shown
    assert shown["config"] == hidden
    stored = repr(system.override_row(user))
    assert "t0p" not in stored
    assert secret not in stored


def test_users_with_unusual_names(api, system, user):
    """An email address is a user ID, percent-encoded in the path or not."""
    name = f"{user}+it@example.com"
    system.override(name.replace("@", "%40").replace("+", "%2B"), "TEST", priority=3)

    plain = answered(api.get(f"/api/v1/users/{name}/integration-defaults"), 200)

    assert (plain["user_id"], list(plain["user_overrides"])) == (name, ["TEST"])
