"""The resolution of a delivery's settings: defaults, environment, overrides, and the reasons."""

from __future__ import annotations

import pytest

from dispatcher.configuration import resolution
from dispatcher.configuration.resolution import (
    Configuration,
    Default,
    Effective,
    effective,
    merged,
    system_defaults,
)
from dispatcher.configuration.rows import Override, Secrets, UserOverrides
from dispatcher.errors import BrokenSettingError
from dispatcher.integrations import catalogue
from tests.catalogues import made_up, unused

TYPES = list(catalogue())
SLACK_CONFIG = catalogue()["SLACK"].config
EMAIL_CONFIG = catalogue()["EMAIL"].config

ALL_ON = {f"INTEGRATION_DEFAULTS_{name}_ENABLED": "true" for name in TYPES}


def variable(name: str, setting: str) -> str:
    """Return the name of the variable that replaces one default."""
    return f"INTEGRATION_DEFAULTS_{name}_{setting}"


def overridden(**by_type: dict) -> UserOverrides:
    """Return overrides with these settings."""
    return UserOverrides(
        {
            name: Override(settings, created_at=1.0, updated_at=2.0)
            for name, settings in by_type.items()
        },
        version=3,
    )


def resolved(environ: dict[str, str], **by_type: dict) -> Effective:
    """Resolve a user with these overrides."""
    return effective(system_defaults(environ), overridden(**by_type))


# System defaults ----------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch):
    """A catalogue of three: ONE and TWO are equal in priority, THREE comes after them."""
    ranks = {"ONE": 3, "TWO": 3, "THREE": 7}
    integrations = {name: made_up(name, priority) for name, priority in ranks.items()}
    monkeypatch.setattr(resolution, "catalogue", lambda: integrations)


def test_the_defaults_are_those_of_the_catalogue():
    """Without a variable, each integration has its own values, in the catalogue's order."""
    defaults = system_defaults({})

    assert list(defaults) == TYPES
    assert {name: one.configuration for name, one in defaults.items()} == {
        name: Configuration(
            one.auto_enabled and one.configured({}),
            one.priority,
            one.retry_count,
            one.retry_delay_seconds,
            one.config,
        )
        for name, one in catalogue().items()
    }


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, ["CLI"]),
        ({"STAGE": "prod"}, ["CLI"]),
        ({"STAGE": "local"}, ["TEST", "CLI"]),
        ({"STAGE": "dev"}, ["TEST", "CLI"]),
        ({"STAGE": "prod", "TEST_ENABLED": "true"}, ["TEST", "CLI"]),
        ({"STAGE": "prod", "TEST_ENABLED": "false"}, ["CLI"]),
        ({"SLACK_BOT_TOKEN_SECRET": "slack"}, ["SLACK", "CLI"]),
        ({"SMTP_HOST": "smtp.example.com"}, ["EMAIL", "CLI"]),
        ({"EMAIL_SENDER": "news@example.com"}, ["EMAIL", "CLI"]),
        ({"TOOL_BUS_NAME": "tools"}, ["CLI", "TOOL"]),
        ({"SMS_ENABLED": "true"}, ["CLI"]),
    ],
)
def test_an_integration_is_on_by_default_where_it_is_auto_enabled_and_configured(environ, on):
    """CLI needs nothing; TEST is configured on stages to try things out, or by parameter."""
    defaults = system_defaults(environ)

    known = ["SLACK", "EMAIL", "WEBHOOK", "SMS", "TEST", "CLI", "TOOL"]
    assert [name for name in known if defaults[name].configuration.enabled] == on


def test_webhook_is_configured_always_and_never_on_by_itself():
    """WEBHOOK is always configured, but never enabled by default."""
    webhook = system_defaults({"STAGE": "local"})["WEBHOOK"]

    assert webhook == Default(
        Configuration(False, 3, 1, 30, {}),
        configured=True,
        reason="disabled_by_default",
    )


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize(
    ("setting", "text", "field", "value"),
    [
        ("ENABLED", "true", "enabled", True),
        ("ENABLED", "false", "enabled", False),
        ("PRIORITY", "1", "priority", 1),
        ("PRIORITY", "100", "priority", 100),
        ("RETRY_COUNT", "0", "retry_count", 0),
        ("RETRY_COUNT", "20", "retry_count", 20),
        ("RETRY_DELAY_SECONDS", "1", "retry_delay_seconds", 1),
        ("RETRY_DELAY_SECONDS", "86400", "retry_delay_seconds", 86_400),
    ],
)
def test_a_variable_replaces_one_setting_of_one_integration(name, setting, text, field, value):
    """All integrations have all four variables, and each moves nothing but its setting."""
    environ = {"STAGE": "local"}
    before = system_defaults(environ)

    after = system_defaults({**environ, variable(name, setting): text})

    expected = {one: before[one].configuration.as_json() for one in TYPES}
    expected[name][field] = value
    assert {one: after[one].configuration.as_json() for one in TYPES} == expected


@pytest.mark.parametrize("setting", ["ENABLED", "PRIORITY", "RETRY_COUNT", "RETRY_DELAY_SECONDS"])
def test_an_empty_variable_is_unset(setting):
    """A template hands on an empty parameter as an empty variable."""
    environ = {variable(name, setting): "" for name in TYPES}

    assert system_defaults(environ) == system_defaults({})


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("ENABLED", "yes"),
        ("ENABLED", "True"),
        ("ENABLED", "1"),
        ("ENABLED", " true"),
        ("PRIORITY", "0"),
        ("PRIORITY", "101"),
        ("PRIORITY", "-1"),
        ("PRIORITY", "1.0"),
        ("PRIORITY", "+5"),
        ("PRIORITY", "\u0665"),
        ("PRIORITY", "\u00b2"),
        ("PRIORITY", "1_0"),
        ("RETRY_COUNT", "21"),
        ("RETRY_COUNT", "three"),
        ("RETRY_COUNT", "0000003"),
        ("RETRY_DELAY_SECONDS", "0"),
        ("RETRY_DELAY_SECONDS", "86401"),
        ("RETRY_DELAY_SECONDS", " "),
    ],
)
def test_a_bad_variable_is_refused_by_name(name, setting, text):
    """An invalid value is rejected with the name of its variable."""
    with pytest.raises(BrokenSettingError) as caught:
        system_defaults({variable(name, setting): text})

    assert caught.value.variable == variable(name, setting)
    assert str(caught.value).startswith(f"{variable(name, setting)} is {text!r}: set it to ")


@pytest.mark.parametrize(
    ("environ", "order"),
    [
        ({}, ["ONE", "TWO", "THREE"]),
        ({variable("THREE", "PRIORITY"): "1"}, ["THREE", "ONE", "TWO"]),
        ({variable("ONE", "PRIORITY"): "7"}, ["TWO", "ONE", "THREE"]),
        ({variable("ONE", "PRIORITY"): "99"}, ["TWO", "THREE", "ONE"]),
    ],
)
def test_the_defaults_stand_in_priority_order_and_ties_in_the_catalogues(few, environ, order):
    """1 goes first; equal priorities keep the order of the catalogue."""
    assert list(system_defaults(environ)) == order


def test_a_default_is_a_copy():
    """A change of a returned config changes no other user's config."""
    system_defaults({})["SLACK"].configuration.config["thread_replies"] = True

    assert system_defaults({})["SLACK"].configuration.config == SLACK_CONFIG


# A user -------------------------------------------------------------------------------------------


def test_a_user_without_overrides_has_the_defaults():
    """Nothing stored: what is on by default, and the reasons for the rest."""
    environ = {"STAGE": "local", variable("SLACK", "ENABLED"): "true"}
    defaults = system_defaults(environ)
    used = [name for name in TYPES if defaults[name].configuration.enabled]

    assert {"SLACK", "TEST", "CLI"} <= set(used)
    assert resolved(environ) == Effective(
        configs={name: defaults[name].configuration for name in used},
        disabled=unused(environ, *used),
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("enabled", True),
        ("priority", 9),
        ("retry_count", 0),
        ("retry_delay_seconds", 7),
        ("config", {"email_address": "ada@example.com"}),
    ],
)
def test_an_override_changes_only_the_fields_that_it_sets(field, value):
    """Field by field: the user's, else the operator's, else the built-in one."""
    environ = {
        variable("EMAIL", "ENABLED"): "true",
        variable("EMAIL", "PRIORITY"): "11",
        variable("EMAIL", "RETRY_COUNT"): "12",
        variable("EMAIL", "RETRY_DELAY_SECONDS"): "13",
    }
    expected = {
        "enabled": True,
        "priority": 11,
        "retry_count": 12,
        "retry_delay_seconds": 13,
        "config": EMAIL_CONFIG,
    }
    expected[field] = {**EMAIL_CONFIG, **value} if field == "config" else value

    configuration = resolved(environ, EMAIL={field: value}).configs["EMAIL"]

    assert configuration.as_json() == expected


def test_config_is_merged_key_by_key():
    """A user's key wins over the default's, and the default's other keys stay."""
    config = {"user_email": "ada@example.com", "mention_user": True}

    merged_config = resolved(ALL_ON, SLACK={"config": config}).configs["SLACK"].config

    assert merged_config == {
        "user_email": "ada@example.com",
        "mention_user": True,
        "thread_replies": False,
        "include_agent_info": True,
    }


@pytest.mark.parametrize(
    ("priorities", "order"),
    [
        ({}, ["ONE", "TWO", "THREE"]),
        ({"THREE": 1}, ["THREE", "ONE", "TWO"]),
        ({"ONE": 100}, ["TWO", "THREE", "ONE"]),
        ({"THREE": 3, "ONE": 4}, ["TWO", "THREE", "ONE"]),
    ],
)
def test_delivery_order_is_the_users_and_ties_stand_in_the_catalogues_order(few, priorities, order):
    """Ascending by the effective priority; 1 is the highest."""
    overrides = {name: {"priority": priority} for name, priority in priorities.items()}

    assert list(resolved({}, **overrides).configs) == order


@pytest.mark.parametrize(
    ("environ", "settings", "reason"),
    [
        ({}, None, "not_configured"),
        ({}, {}, "not_configured"),
        ({}, {"enabled": True}, None),
        ({}, {"enabled": False}, "disabled_by_user"),
        ({}, {"priority": 3}, "not_configured"),
        ({variable("SLACK", "ENABLED"): "true"}, None, None),
        ({variable("SLACK", "ENABLED"): "true"}, {"enabled": False}, "disabled_by_user"),
        ({variable("SLACK", "ENABLED"): "false"}, None, "disabled_by_default"),
        ({variable("SLACK", "ENABLED"): "false"}, {"priority": 3}, "disabled_by_default"),
        ({variable("SLACK", "ENABLED"): "false"}, {"enabled": True}, None),
        ({variable("SLACK", "ENABLED"): "false"}, {"enabled": False}, "disabled_by_user"),
    ],
)
def test_the_reason_says_who_left_an_integration_off(environ, settings, reason):
    """``not_configured`` is the reason only if ``enabled`` is not set; true stays effective."""
    overrides = {} if settings is None else {"SLACK": settings}

    result = resolved(environ, **overrides)

    assert (result.disabled.get("SLACK"), "SLACK" in result.configs) == (reason, reason is None)


@pytest.mark.parametrize("name", ["WEBHOOK", "SMS"])
def test_what_is_never_on_by_itself_is_disabled_by_default(name):
    """WEBHOOK and SMS are disabled until they are explicitly enabled, configured or not."""
    assert resolved({"STAGE": "local"}).disabled[name] == "disabled_by_default"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"enabled": True}, "disabled_by_receiver"),
        ({}, "disabled_by_receiver"),
        ({"enabled": False}, "disabled_by_user"),
    ],
)
def test_a_receiver_that_is_gone_turns_an_override_off(settings, reason):
    """After a 410 the override is off whatever it says; the user's own no goes before."""
    override = Override(settings, created_at=1.0, updated_at=1.0, disabled_by_receiver=True)

    result = effective(system_defaults(ALL_ON), UserOverrides({"WEBHOOK": override}, 1))

    assert result.disabled == {"WEBHOOK": reason}


def test_every_integration_is_effective_or_has_a_reason():
    """The two maps together name all types, each once."""
    result = resolved({"STAGE": "dev"}, SMS={"enabled": True}, TEST={"enabled": False})

    assert sorted([*result.configs, *result.disabled]) == sorted(TYPES)
    assert list(result.disabled) == [name for name in TYPES if name in result.disabled]
    assert {"SLACK", "EMAIL", "WEBHOOK", "TEST", "TOOL"} <= set(result.disabled)


def test_a_changed_default_reaches_whoever_did_not_override_that_field():
    """Nothing of a default is copied into an override."""
    before, after = {**ALL_ON}, {**ALL_ON, variable("SMS", "RETRY_COUNT"): "9"}
    own_count, own_priority = {"SMS": {"retry_count": 1}}, {"SMS": {"priority": 1}}

    counts = [
        resolved(environ, **overrides).configs["SMS"].retry_count
        for environ in (before, after)
        for overrides in ({}, own_count, own_priority)
    ]

    assert counts == [2, 1, 2, 9, 1, 9]


def test_merged_settings_are_told_of_an_integration_that_is_off_too():
    """A rehearsal uses the effective settings of what is not enabled."""
    default = system_defaults({})["SMS"]
    override = Override({"enabled": False, "retry_count": 7}, created_at=1.0, updated_at=1.0)

    assert merged(default, override) == Configuration(False, 4, 7, 45, {})
    assert merged(default, None) == Configuration(False, 4, 2, 45, {})


# Secrets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secrets", "document"),
    [
        (Secrets(), {}),
        (Secrets({"headers": {"A": "1"}}), {"config": {"headers": {"A": "1"}}}),
        (Secrets({}, {"signing_secret": "s"}), {"issued": {"signing_secret": "s"}}),
        (Secrets({"url": "u"}, {"k": "v"}), {"config": {"url": "u"}, "issued": {"k": "v"}}),
    ],
)
def test_secrets_make_one_document(secrets, document):
    """The sealed document contains only existing secrets, and is read back completely."""
    assert secrets.document() == document
    assert Secrets.of(document) == secrets
