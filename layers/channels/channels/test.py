"""Delivers TEST.

Puts the message into the user's mailbox, or fails, stalls or crashes as the override says.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from channels.mailbox import Mailbox
from dispatcher.delivery.outcomes import ATTEMPT, Outcome, Permanent, Retry
from dispatcher.integrations.test import CRASH
from dispatcher.variables import is_trial_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from channels import ClientFactory
    from dispatcher.delivery.ports import Channel, Message
    from dispatcher.integrations.integration import Config


LONGEST_SLEEP = ATTEMPT - 0.5
"""Seconds that a rehearsed latency can take."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Implements ``ports.Channel``."""

    mailbox: Mailbox
    may_crash: bool = False
    sleep: Callable[[float], None] = time.sleep
    crash: Callable[[int], object] = os._exit

    def deliver(self, message: Message) -> Outcome:
        """Rehearse the failure that the override sets for this attempt, else deliver."""
        latency = message.config.get("latency_ms", 0) / 1000
        # The watchdog ends the attempt before this; a message must not appear later.
        self.sleep(min(latency, LONGEST_SLEEP))
        if latency > LONGEST_SLEEP:
            return Retry("timeout", "rehearsed: slower than the time limit of an attempt")
        if not _fails(message.config, message.attempt):
            return self.mailbox.put(message)
        failure = message.config.get("failure", "transient")
        if failure == CRASH:
            # The override may be older than this rule, or come from a restored table.
            if not self.may_crash:
                return Permanent("invalid_config", "crashes are rehearsed only in local and dev")
            # Ends the process like a crash of the runtime: no cleanup, no record, no response.
            self.crash(1)
        if failure == "permanent":
            return Permanent(
                "rehearsed_failure", f"rehearsed permanent failure of attempt {message.attempt}"
            )
        return Retry(
            "rehearsed_failure", f"rehearsed transient failure of attempt {message.attempt}"
        )


def _fails(config: Config, attempt: int) -> bool:
    if "fail_attempts" in config:
        return attempt <= int(config["fail_attempts"])
    return "failure" in config


def channel(environ: Mapping[str, str], aws: ClientFactory) -> Channel:
    """Build the channel from the function's environment."""
    return Rehearsal(Mailbox.of(environ, aws), is_trial_stage(environ))
