"""EMAIL: one multipart email by SMTP or SES."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from typing_extensions import TypedDict

from dispatcher.integrations.integration import Address, Check, Config, Integration, Recipient
from dispatcher.integrations.rules import EMAIL, email_address, email_of

if TYPE_CHECKING:
    from collections.abc import Mapping


class EmailConfig(TypedDict, total=False):
    """Settings of an EMAIL override; the default of ``format`` is html."""

    email_address: Annotated[str, Check(email_address, EMAIL)]
    """Address of the receiver."""
    format: Literal["html", "text"]
    """Whether the email has an HTML part beside its plain text."""
    include_agent_info: bool
    """Whether the email names the agent that sent it."""


def address(
    config: Config, recipient: Recipient, user_id: str, environ: Mapping[str, str]
) -> Address | None:
    """Find the email address: the override's, the caller's, or one derived from the user ID."""
    value = config.get("email_address") or recipient.email or email_of(user_id, environ)
    return Address("email", value) if value else None


INTEGRATION = Integration(
    name="EMAIL",
    priority=2,
    retry_count=3,
    retry_delay_seconds=60,
    auto_enabled=True,
    configured=lambda environ: bool(environ.get("SMTP_HOST") or environ.get("EMAIL_SENDER")),
    address=address,
    address_key="email_address",
    config_type=EmailConfig,
    config={"include_agent_info": True},
)
