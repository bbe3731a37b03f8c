"""Delivers CLI: puts an item into the user's mailbox that is safe to print in a terminal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from channels.mailbox import Mailbox
from channels.plain import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from channels import ClientFactory
    from dispatcher.delivery.outcomes import Outcome
    from dispatcher.delivery.ports import Channel, Message


@dataclass(frozen=True, slots=True)
class Terminal:
    """Implements ``ports.Channel``."""

    mailbox: Mailbox

    def deliver(self, message: Message) -> Outcome:
        """Put the message into the mailbox without characters that control a terminal."""
        printable = replace(
            message,
            subject=message.subject and plain(message.subject),
            content=plain(message.content),
            agent_id=message.agent_id and plain(message.agent_id),
        )
        return self.mailbox.put(printable)


def channel(environ: Mapping[str, str], aws: ClientFactory) -> Channel:
    """Build the channel from the function's environment."""
    return Terminal(Mailbox.of(environ, aws))
