"""SLACK: a direct message or a channel post by the workspace's bot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typing_extensions import TypedDict

from dispatcher.integrations.integration import Address, Check, Config, Integration, Recipient
from dispatcher.integrations.rules import EMAIL, email_address, email_of, matching, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

CHANNEL_ID = r"[CGD][A-Z0-9]{6,20}"
SLACK_USER_ID = r"[UW][A-Z0-9]{6,20}"

channel_id = matching(CHANNEL_ID, "a Slack channel ID such as C024BE91L")
slack_user_id = matching(SLACK_USER_ID, "a Slack user ID such as U024BE7LH")


TOKEN_SECRET = "SLACK_BOT_TOKEN_SECRET"  # pragma: allowlist secret  # noqa: S105 - a variable's name
"""Names the variable that names the secret with the bot's token."""


class SlackConfig(TypedDict, total=False):
    """Settings of a SLACK override."""

    user_email: Annotated[str, Check(email_address, EMAIL)]
    """The address under which the workspace knows the user."""
    channel_id: Annotated[str, Check(channel_id, whole(CHANNEL_ID))]
    """The channel to post in; without it, the user gets a direct message."""
    slack_user_id: Annotated[str, Check(slack_user_id, whole(SLACK_USER_ID))]
    """The user's ID in the workspace; without it, the user is looked up by email address."""
    thread_replies: bool
    """Whether messages of one `session_id` are replies to the first of them."""
    mention_user: bool
    """Whether the message begins with a mention of the user."""
    include_agent_info: bool
    """Whether the message names the agent that sent it."""


def address(
    config: Config, recipient: Recipient, user_id: str, environ: Mapping[str, str]
) -> Address | None:
    """Find the channel, the user or the email address to look the user up by."""
    for kind, value in (
        ("channel", config.get("channel_id")),
        ("slack_user", config.get("slack_user_id")),
        ("email", config.get("user_email")),
        ("channel", recipient.slack_channel),
        ("slack_user", recipient.slack_user_id),
        ("email", recipient.email),
        ("email", email_of(user_id, environ)),
    ):
        if value:
            return Address(kind, value)
    return None


INTEGRATION = Integration(
    name="SLACK",
    priority=1,
    retry_count=3,
    retry_delay_seconds=60,
    auto_enabled=True,
    configured=lambda environ: bool(environ.get(TOKEN_SECRET)),
    address=address,
    address_key="user_email",
    config_type=SlackConfig,
    config={"thread_replies": False, "mention_user": False, "include_agent_info": True},
)
