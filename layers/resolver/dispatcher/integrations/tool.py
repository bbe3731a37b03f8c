"""TOOL: an event on the tool bus, for tools that subscribe to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typing_extensions import TypedDict

from dispatcher.integrations.integration import Address, Check, Config, Integration, Recipient
from dispatcher.integrations.rules import matching, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERY_TOOL = "*"
"""The address of an event that names no tool."""

TOOL_ID = r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}"

tool_id = matching(
    TOOL_ID,
    "1-128 letters, digits or ._:/- that begin with a letter or digit",
)


class ToolConfig(TypedDict, total=False):
    """Settings of a TOOL override; without ``tool_id`` the event is for all tools."""

    tool_id: Annotated[str, Check(tool_id, whole(TOOL_ID))]
    """The tool that the event is for; without it, the event is for all tools."""
    include_agent_info: bool
    """Whether the event names the agent that sent the message."""


def address(
    config: Config, _recipient: Recipient, _user_id: str, _environ: Mapping[str, str]
) -> Address | None:
    """Find the tool, or all of them."""
    return Address("tool", config.get("tool_id", EVERY_TOOL))


INTEGRATION = Integration(
    name="TOOL",
    priority=7,
    retry_count=1,
    retry_delay_seconds=5,
    auto_enabled=True,
    configured=lambda environ: bool(environ.get("TOOL_BUS_NAME")),
    address=address,
    address_key="",
    config_type=ToolConfig,
)
