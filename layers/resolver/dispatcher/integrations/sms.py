"""SMS: one text message; off unless somebody turns it on, because it costs money and attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typing_extensions import TypedDict

from dispatcher.integrations.integration import Address, Check, Config, Integration, Recipient
from dispatcher.integrations.rules import matching, phone_number

if TYPE_CHECKING:
    from collections.abc import Mapping

# AWS: up to 11 letters or digits, at least one letter, no space (SNS, "AWS.SNS.SMS.SenderID").
sender_id = matching(
    r"(?=.*[A-Za-z])[A-Za-z0-9]{1,11}", "1-11 letters or digits with at least one letter"
)


class SmsConfig(TypedDict, total=False):
    """What an SMS override may set."""

    phone_number: Annotated[str, Check(phone_number)]
    sender_id: Annotated[str, Check(sender_id)]


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
    configured=lambda _environ: False,
    address=address,
    address_key="phone_number",
    config_type=SmsConfig,
    resend_unknown=False,
)
