"""EMAIL: what an override may hold, and where a message goes."""

from __future__ import annotations

import pytest

from dispatcher.configuration.bodies import override_config
from dispatcher.errors import InvalidInputError
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Address, Recipient

EMAIL = catalogue()["EMAIL"]


@pytest.mark.parametrize("form", ["html", "text"])
def test_a_config_holds_three_keys(form):
    """The address is stored as mail servers compare it."""
    config = {"email_address": "Ada@EXAMPLE.com", "format": form, "include_agent_info": False}

    assert override_config(EMAIL, config, {}) == {**config, "email_address": "Ada@example.com"}


def test_the_default_config_is_the_guides():
    """``format`` is html if it is not set, and is in no default."""
    assert EMAIL.config == {"include_agent_info": True}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("email_address", "not-an-email"),
        ("email_address", ["a@example.com"]),
        ("format", "HTML"),
        ("format", "markdown"),
        ("format", None),
        ("include_agent_info", "yes"),
        ("smtp_host", "mail.example.com"),
    ],
)
def test_each_key_has_its_rule(key, value):
    """A field_error is reported at the key."""
    with pytest.raises(InvalidInputError) as caught:
        override_config(EMAIL, {key: value}, {})

    assert [field_error.pointer for field_error in caught.value.field_errors] == [f"/config/{key}"]


@pytest.mark.parametrize(
    ("config", "recipient", "user_id", "address"),
    [
        ({"email_address": "a@x.example"}, "b@x.example", "c@x.example", "a@x.example"),
        ({}, "b@x.example", "c@x.example", "b@x.example"),
        ({}, None, "c@x.example", "c@x.example"),
        ({}, None, "c", "c@corp.example"),
        ({}, None, "c|d", None),
    ],
)
def test_the_first_address_that_is_known_counts(config, recipient, user_id, address):
    """The override's, then the recipient's, then what the user ID stands for."""
    environ = {"DEFAULT_EMAIL_DOMAIN": "corp.example"}

    found = EMAIL.address(config, Recipient(email=recipient), user_id, environ)

    assert found == (Address("email", address) if address else None)


@pytest.mark.parametrize(
    ("environ", "configured"),
    [
        ({}, False),
        ({"SMTP_HOST": "", "EMAIL_SENDER": ""}, False),
        ({"SMTP_HOST": "mail.example.org"}, True),
        ({"EMAIL_SENDER": "news@example.org"}, True),
    ],
)
def test_email_is_configured_by_a_server_or_a_sender(environ, configured):
    """Without a server SES sends; whether either works is the probe's matter."""
    assert EMAIL.configured(environ) is configured
