"""Delivers TOOL: one event on the tool bus, as ``docs/tool-events.md`` describes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from channels.aws_errors import AwsError, Failure, failure, named
from dispatcher.delivery.outcomes import Delivered, Outcome, Permanent, Retry
from dispatcher.errors import BrokenSettingError
from dispatcher.integrations.tool import EVERY_TOOL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_events import EventBridgeClient

    from channels import ClientFactory
    from dispatcher.delivery.ports import Channel, Message

SOURCE = "integration-dispatcher"
DETAIL_TYPE = "integration.message"

LARGEST_ENTRY = 256 * 1024
"""Bytes that EventBridge accepts: the sum of source, type, detail and time."""

BUS = "TOOL_BUS_NAME"

# EventBridge, PutEvents: a name or an ARN.
_BUS = re.compile(r"[A-Za-z0-9._/:-]{1,1600}")

TIME_SIZE = 14
"""Bytes that EventBridge counts for an event's time."""


@dataclass(frozen=True, slots=True)
class ToolBus:
    """Implements ``ports.Channel``."""

    events: EventBridgeClient
    bus: str

    def deliver(self, message: Message) -> Outcome:
        """Put the event on the bus."""
        if not _BUS.fullmatch(self.bus):
            setting = BrokenSettingError(BUS, f"is {self.bus!r}: set it to an event bus's name")
            return Retry("broken_setting", str(setting))
        text = detail(message)
        size = TIME_SIZE + len(f"{SOURCE}{DETAIL_TYPE}{text}".encode())
        if size > LARGEST_ENTRY:
            reason = f"the event has {size} bytes; EventBridge accepts at most {LARGEST_ENTRY}"
            return Permanent("too_large", reason)
        try:
            response = self.events.put_events(
                Entries=[
                    {
                        "EventBusName": self.bus,
                        "Source": SOURCE,
                        "DetailType": DETAIL_TYPE,
                        "Detail": text,
                        "Time": datetime.fromtimestamp(message.accepted_at, UTC),
                    }
                ]
            )
        except AwsError as error:
            return _failed(error)
        [entry] = response.get("Entries") or [{}]
        if "EventId" not in entry:
            # The call has succeeded, but its only entry has failed.
            reason = f"EventBridge accepted no event: {entry.get('ErrorCode', 'unknown')}"
            return Retry("entry_failed", reason)
        return Delivered({"event_id": entry["EventId"]})


def detail(message: Message) -> str:
    """Write the event's body, which is the same for every attempt."""
    tool_id = message.address.value
    fields = {
        "delivery_id": message.delivery_id,
        "request_id": message.request_id,
        "session_id": message.session_id,
        "user_id": message.user_id,
        "tool_id": None if tool_id == EVERY_TOOL else tool_id,
        "subject": message.subject,
        "content": message.content,
    }
    if message.shows_agent:
        fields["agent_id"] = message.agent_id
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _failed(error: Exception) -> Outcome:
    if failure(error) is Failure.REFUSED:
        return Permanent("refused", f"EventBridge refused the event: {named(error)}")
    return Retry("unavailable", f"EventBridge did not accept the event: {named(error)}")


def channel(environ: Mapping[str, str], aws: ClientFactory) -> Channel:
    """Build the channel from the function's environment."""
    return ToolBus(aws("events"), environ[BUS])
