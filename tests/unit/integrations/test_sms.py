"""SMS: what an override may hold, and where a message goes."""

from __future__ import annotations

import pytest

from dispatcher.configuration.bodies import override_config
from dispatcher.errors import BrokenSettingError, InvalidInputError
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Address, Recipient

SMS = catalogue()["SMS"]
ENVIRON = {"DEFAULT_EMAIL_DOMAIN": "corp.example"}


@pytest.mark.parametrize("sender", ["A", "AcmeCorp123", "1A"])
def test_a_config_holds_number_and_sender(sender):
    """A sender ID has 1-11 letters or digits, one letter at least."""
    config = {"phone_number": "+14155552671", "sender_id": sender}

    assert override_config(SMS, config, {}) == config


@pytest.mark.parametrize(
    ("number", "countries"),
    [
        ("+14155552671", ""),
        ("+14165550123", "CA"),
        ("+18005551234", "US"),
        ("+442071838750", "US,GB"),
        ("+4915112345678", "DE"),
    ],
)
def test_a_number_may_be_of_any_allowed_country(number, countries):
    """Those of the variable, where it is empty those of the United States."""
    environ = {"SMS_ALLOWED_COUNTRIES": countries}

    assert override_config(SMS, {"phone_number": number}, environ) == {"phone_number": number}


@pytest.mark.parametrize(
    ("number", "countries", "reason"),
    [
        ("+442071838750", "", "must be a number of one of these countries: US"),
        ("+14165550123", "US,GB", "must be a number of one of these countries: GB, US"),
        ("+12423591234", "US", "must be a number of one of these countries: US"),
        ("+881612345678", "US", "must be a phone number in international form such as "),
        ("+19005551234", "US", "must not be a premium-rate number"),
        ("+449012345678", "GB", "must not be a premium-rate number"),
        ("+14155550", "US", "must be a phone number in international form such as +14155552671"),
        ("+1\u0664155552671", "US", "must be a phone number in international form such as "),
    ],
)
def test_a_number_that_could_cost_more_is_refused(number, countries, reason):
    """Neighbors that share +1, satellites and premium rates included."""
    with pytest.raises(InvalidInputError) as caught:
        override_config(SMS, {"phone_number": number}, {"SMS_ALLOWED_COUNTRIES": countries})

    [field_error] = caught.value.field_errors
    assert (field_error.pointer, field_error.detail[: len(reason)]) == (
        "/config/phone_number",
        reason,
    )


@pytest.mark.parametrize("value", ["us", "USA", "US, CA", "US,", "*"])
def test_countries_that_nobody_can_read_stop_the_service(value):
    """Where a message may go is never guessed; the variable is named."""
    with pytest.raises(BrokenSettingError, match=r"^SMS_ALLOWED_COUNTRIES is "):
        SMS.configured({"SMS_ENABLED": "true", "SMS_ALLOWED_COUNTRIES": value})


@pytest.mark.parametrize(
    ("value", "configured"), [("true", True), ("false", False), ("", False), ("TRUE", False)]
)
def test_sms_is_there_where_an_operator_turned_it_on(value, configured):
    """It costs money, so nothing but a plain yes counts."""
    assert SMS.configured({"SMS_ENABLED": value}) is configured


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
    """A field_error is reported at the key."""
    with pytest.raises(InvalidInputError) as caught:
        override_config(SMS, {key: value}, {})

    assert [field_error.pointer for field_error in caught.value.field_errors] == [f"/config/{key}"]


@pytest.mark.parametrize(
    ("config", "recipient", "address"),
    [
        ({"phone_number": "+14155552671"}, "+442071838750", "+14155552671"),
        ({}, "+442071838750", "+442071838750"),
        ({}, None, None),
    ],
)
def test_the_number_is_the_overrides_or_the_recipients(config, recipient, address):
    """A user ID is never used as a phone number."""
    found = SMS.address(config, Recipient(phone_number=recipient), "4155552671", ENVIRON)

    assert found == (Address("phone_number", address) if address else None)
