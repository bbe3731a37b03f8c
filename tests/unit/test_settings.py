"""The settings of a function, read from its environment."""

from __future__ import annotations

import pytest

from dispatcher import wiring
from dispatcher.errors import BrokenSettingError
from dispatcher.settings import AuthSettings, Oidc, Settings, settings

AUTH = {"AUTH_MODE": "required", "USER_CLAIM": "sub", "STAGE": "prod"}
KEYS = {**AUTH, "API_KEYS_SECRET": "dispatcher/keys"}
OIDC = {
    **AUTH,
    "OIDC_ISSUER": "https://id.example.com/",
    "OIDC_AUDIENCE": "dispatcher",
    "OIDC_JWKS_URI": "https://id.example.com/keys",
}
ISSUER = Oidc("https://id.example.com/", "dispatcher", "https://id.example.com/keys")
LOCAL = "http://127.0.0.1:9000/keys"
UNSET = "is not set: the template sets it for every function"


@pytest.fixture
def environ(monkeypatch):
    """The environment of the process, with one setting; forgotten afterwards."""
    wiring.reset()
    monkeypatch.setenv("STACK_NAME", "first")
    yield monkeypatch
    wiring.reset()


def test_the_environment_is_read_on_the_first_call_only(environ):
    """Later changes have no effect until the wiring is reset."""
    before = settings().stack
    environ.setenv("STACK_NAME", "second")
    cached = settings().stack
    wiring.reset()

    assert (before, cached, settings().stack) == ("first", "first", "second")


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("overrides_table", "OVERRIDES_TABLE"),
        ("deliveries_table", "DELIVERIES_TABLE"),
        ("delivery_queue_url", "DELIVERY_QUEUE_URL"),
        ("retry_queue_url", "RETRY_QUEUE_URL"),
        ("dead_letter_queue_url", "DEAD_LETTER_QUEUE_URL"),
        ("parked_queue_url", "PARKED_QUEUE_URL"),
        ("intake_queue_url", "INTAKE_QUEUE_URL"),
        ("key_arn", "KEY_ARN"),
    ],
)
def test_a_needed_name_is_read_or_named_as_missing(name, variable):
    """A missing and an empty variable are the same."""
    assert getattr(Settings({variable: "x"}), name) == "x"
    for environ in ({}, {variable: ""}):
        with pytest.raises(BrokenSettingError) as broken:
            getattr(Settings(environ), name)
        assert (broken.value.variable, str(broken.value)) == (variable, f"{variable} {UNSET}")


def test_settings_with_a_default_need_no_variable():
    """Without variables, the names of the service and the stack and the log level have defaults."""
    nothing = Settings({})

    assert (nothing.service, nothing.stack, nothing.log_level, nothing.outcome_bus) == (
        "integration-dispatcher",
        "unknown",
        "INFO",
        None,
    )


def test_settings_with_a_default_are_read():
    """A variable that is set replaces the default."""
    environ = {
        "POWERTOOLS_SERVICE_NAME": "dispatcher",
        "STACK_NAME": "prod",
        "POWERTOOLS_LOG_LEVEL": "WARNING",
        "OUTCOME_BUS_NAME": "bus",
    }
    full = Settings(environ)

    assert (full.service, full.stack, full.log_level, full.outcome_bus) == (
        "dispatcher",
        "prod",
        "WARNING",
        "bus",
    )


@pytest.mark.parametrize(("days", "seconds"), [("1", 86_400.0), ("3650", 315_360_000.0)])
def test_retention_is_a_number_of_days(days, seconds):
    """Both ends of the range are accepted."""
    assert Settings({"RETENTION_DAYS": days}).retention_seconds == seconds


@pytest.mark.parametrize(
    ("days", "problem"),
    [
        ("", UNSET),
        ("0", "is '0': set it to a whole number of days from 1 to 3650"),
        ("3651", "is '3651': set it to a whole number of days from 1 to 3650"),
        ("9.5", "is '9.5': set it to a whole number of days from 1 to 3650"),
        ("²", "is '²': set it to a whole number of days from 1 to 3650"),
    ],
)
def test_a_retention_that_cannot_be_used_says_what_to_set(days, problem):
    """The error names the variable, its value and the fix."""
    with pytest.raises(BrokenSettingError) as broken:
        _ = Settings({"RETENTION_DAYS": days}).retention_seconds

    assert str(broken.value) == f"RETENTION_DAYS {problem}"


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("false", False)])
def test_the_docs_are_public_or_not(value, expected):
    """The variable is a switch."""
    assert Settings({"PUBLIC_DOCS": value}).docs_are_public is expected


@pytest.mark.parametrize("value", ["", "True", "yes"])
def test_docs_with_an_unreadable_switch_fail_closed(value):
    """Nothing is published because of a typing error."""
    with pytest.raises(BrokenSettingError, match=r"^PUBLIC_DOCS is "):
        _ = Settings({"PUBLIC_DOCS": value}).docs_are_public


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"AUTH_MODE": "none", "STAGE": "local"}, None),
        ({"AUTH_MODE": "none", "STAGE": "dev"}, None),
        (KEYS, AuthSettings("sub", None, "dispatcher/keys")),
        (OIDC, AuthSettings("sub", ISSUER, None)),
        ({**OIDC, **KEYS}, AuthSettings("sub", ISSUER, "dispatcher/keys")),
        (
            {**OIDC, "OIDC_JWKS_URI": LOCAL, "STAGE": "local"},
            AuthSettings("sub", Oidc(ISSUER.issuer, ISSUER.audience, LOCAL), None),
        ),
    ],
)
def test_the_credentials_that_callers_may_present(environ, expected):
    """Either kind is enough; only a trial stage works without both."""
    assert Settings(environ).auth == expected


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({}, f"AUTH_MODE {UNSET}"),
        ({**KEYS, "AUTH_MODE": "None"}, "AUTH_MODE is 'None': set it to required or none"),
        (
            {**KEYS, "AUTH_MODE": "none"},
            (
                "AUTH_MODE is 'none', which is allowed in the stages local and dev only: "
                "set it to required"
            ),
        ),
        (AUTH, "AUTH_MODE is 'required': set OIDC_ISSUER or API_KEYS_SECRET too"),
        ({**KEYS, "USER_CLAIM": ""}, f"USER_CLAIM {UNSET}"),
        ({**OIDC, "OIDC_AUDIENCE": ""}, f"OIDC_AUDIENCE {UNSET}"),
        ({**OIDC, "OIDC_JWKS_URI": ""}, f"OIDC_JWKS_URI {UNSET}"),
        (
            {**OIDC, "OIDC_JWKS_URI": LOCAL},
            f"OIDC_JWKS_URI is '{LOCAL}': set it to an ASCII URL that begins with https://",
        ),
    ],
)
def test_broken_authentication_settings_fail_closed(environ, problem):
    """The error names the variable, its value and the fix."""
    with pytest.raises(BrokenSettingError) as broken:
        _ = Settings(environ).auth

    assert str(broken.value) == problem
