"""SMS: one text message; disabled by default, because it costs money and attention."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from typing_extensions import TypedDict

from dispatcher.errors import BrokenSettingError
from dispatcher.integrations.integration import Address, Check, Config, Integration, Recipient
from dispatcher.integrations.rules import PHONE_NUMBER, matching, phone_number, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

# AWS: up to 11 letters or digits, at least one letter, no space (SNS, "AWS.SNS.SMS.SenderID").
SENDER_ID = r"(?=.*[A-Za-z])[A-Za-z0-9]{1,11}"

sender_id = matching(SENDER_ID, "1-11 letters or digits with at least one letter")

ALLOWED_COUNTRIES = "SMS_ALLOWED_COUNTRIES"
DEFAULT_COUNTRIES = "US"
"""One country by default: each further country increases the costs that an attacker can cause."""

_COUNTRIES = re.compile(r"[A-Z]{2}(,[A-Z]{2})*")


def allowed_countries(environ: Mapping[str, str]) -> frozenset[str]:
    """Read the ISO codes of the countries that messages may go to."""
    value = environ.get(ALLOWED_COUNTRIES) or DEFAULT_COUNTRIES
    if not _COUNTRIES.fullmatch(value):
        detail = f"is {value!r}: set it to ISO country codes such as US,CA,GB, or leave it empty"
        raise BrokenSettingError(ALLOWED_COUNTRIES, detail)
    return frozenset(value.split(","))


def configured(environ: Mapping[str, str]) -> bool:
    """Return whether an operator enabled SMS."""
    allowed_countries(environ)
    return environ.get("SMS_ENABLED") == "true"


def reachable_number(value: str, environ: Mapping[str, str]) -> str:
    """Accept a valid number of an allowed country that is not charged at a premium."""
    phone_number(value, environ)
    import phonenumbers

    number = phonenumbers.parse(value)
    if phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.PREMIUM_RATE:
        raise ValueError("must not be a premium-rate number")
    allowed = allowed_countries(environ)
    if phonenumbers.region_code_for_number(number) not in allowed:
        raise ValueError(
            f"must be a number of one of these countries: {', '.join(sorted(allowed))}"
        )
    return value


class SmsConfig(TypedDict, total=False):
    """Settings of an SMS override."""

    phone_number: Annotated[str, Check(reachable_number, PHONE_NUMBER)]
    """A valid number in E.164 form, of an allowed country and not charged at a premium."""
    sender_id: Annotated[str, Check(sender_id, whole(SENDER_ID))]
    """The sender that phones show, in countries that allow it."""


def address(
    config: Config, recipient: Recipient, _user_id: str, _environ: Mapping[str, str]
) -> Address | None:
    """Find the phone number: the override's, else the caller's."""
    value = config.get("phone_number") or recipient.phone_number
    return Address("phone_number", value) if value else None


INTEGRATION = Integration(
    name="SMS",
    priority=4,
    retry_count=2,
    retry_delay_seconds=45,
    auto_enabled=False,
    configured=configured,
    address=address,
    address_key="phone_number",
    config_type=SmsConfig,
    resend_unknown=False,
)
