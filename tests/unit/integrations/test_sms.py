"""SMS: what an override may hold, and where a message goes."""

from __future__ import annotations

import pytest

from dispatcher.errors import InvalidInputError
from dispatcher.inputs import override_config
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Address, Recipient

SMS = catalogue()["SMS"]
ENVIRON = {"DEFAULT_EMAIL_DOMAIN": "corp.example"}


@pytest.mark.parametrize("sender", ["A", "AcmeCorp123", "1A"])
def test_a_config_holds_number_and_sender(sender):
    """A sender id has 1-11 letters or digits, one letter at least."""
    config = {"phone_number": "+14155552671", "sender_id": sender}

    assert override_config(SMS, config, {}) == config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("phone_number", "4155552671"),
        ("phone_number", "+1234567890123456"),
        ("phone_number", 14155552671),
        ("sender_id", ""),
        ("sender_id", "123"),
        ("sender_id", "Acme Corp"),
        ("sender_id", "AcmeCorp1234"),
        ("sender_id", "\u00c4cme"),
        ("carrier", "x"),
    ],
)
def test_each_key_has_its_rule(key, value):
    """A flaw is told at the key."""
    with pytest.raises(InvalidInputError) as caught:
        override_config(SMS, {key: value}, {})

    assert [flaw.pointer for flaw in caught.value.flaws] == [f"/config/{key}"]


@pytest.mark.parametrize(
    ("config", "recipient", "address"),
    [
        ({"phone_number": "+14155552671"}, "+442071838750", "+14155552671"),
        ({}, "+442071838750", "+442071838750"),
        ({}, None, None),
    ],
)
def test_the_number_is_the_overrides_or_the_recipients(config, recipient, address):
    """A user id is never taken for a phone number."""
    found = SMS.address(config, Recipient(phone_number=recipient), "4155552671", ENVIRON)

    assert found == (Address("phone_number", address) if address else None)
