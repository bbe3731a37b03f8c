"""CLI: an item in the user's mailbox, read by a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import TypedDict

from dispatcher.integrations.integration import Address, Config, Integration, Recipient

if TYPE_CHECKING:
    from collections.abc import Mapping


class CliConfig(TypedDict, total=False):
    """Settings of a CLI override."""

    include_agent_info: bool
    """Whether the message names the agent that sent it."""


def address(
    _config: Config, _recipient: Recipient, user_id: str, _environ: Mapping[str, str]
) -> Address | None:
    """Find the user's own mailbox."""
    return Address("mailbox", user_id)


INTEGRATION = Integration(
    name="CLI",
    priority=6,
    retry_count=1,
    retry_delay_seconds=5,
    auto_enabled=True,
    configured=lambda _environ: True,
    address=address,
    address_key="",
    config_type=CliConfig,
)
