"""TEST: what an override may hold, where it is configured, and where a message goes."""

from __future__ import annotations

import pytest

from dispatcher.configuration.bodies import override_config
from dispatcher.errors import InvalidInputError
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Address, Recipient

TEST = catalogue()["TEST"]


@pytest.mark.parametrize(
    "config",
    [
        {"fail_attempts": 0, "failure": "transient", "latency_ms": 0},
        {"fail_attempts": 25, "failure": "permanent", "latency_ms": 60_000},
        {"failure": "permanent"},
        {},
    ],
)
def test_a_config_says_how_to_fail(config):
    """Both ends of each range."""
    assert override_config(TEST, config, {}) == config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fail_attempts", -1),
        ("fail_attempts", 26),
        ("fail_attempts", "2"),
        ("fail_attempts", True),
        ("fail_attempts", 1.0),
        ("failure", "TRANSIENT"),
        ("failure", ""),
        ("latency_ms", -1),
        ("latency_ms", 60_001),
        ("latency_ms", 1e999),
        ("latency", 5),
    ],
)
def test_each_key_has_its_rule(key, value):
    """A field_error is reported at the key."""
    with pytest.raises(InvalidInputError) as caught:
        override_config(TEST, {key: value}, {})

    assert [field_error.pointer for field_error in caught.value.field_errors] == [f"/config/{key}"]


def test_a_message_goes_to_the_user():
    """No address is needed to rehearse."""
    assert TEST.address({}, Recipient(email="x@example.com"), "ada", {}) == Address(
        "mailbox", "ada"
    )


@pytest.mark.parametrize(
    ("environ", "allowed"),
    [
        ({"STAGE": "local"}, True),
        ({"STAGE": "dev"}, True),
        ({"STAGE": "prod"}, False),
        ({"STAGE": "prod", "TEST_ENABLED": "true"}, False),
        ({}, False),
    ],
)
def test_a_crash_is_for_stages_where_people_try_things_out(environ, allowed):
    """It ends the worker, and with it the deliveries of others in the same batch."""
    config = {"failure": "crash"}

    try:
        override_config(TEST, config, environ)
        field_errors = ()
    except InvalidInputError as error:
        field_errors = error.field_errors

    assert [field_error.pointer for field_error in field_errors] == (
        [] if allowed else ["/config/failure"]
    )
