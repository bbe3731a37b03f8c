"""Delivers TEST.

Records the message in the user's mailbox, and fails, stalls or crashes where the override says so.
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
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Implements ``ports.Channel``."""

    mailbox: Mailbox
    may_crash: bool = False
    sleep: Callable[[float], None] = time.sleep
    crash: Callable[[int], object] = os._exit

    def deliver(self, message: Message) -> Outcome:
        """Rehearse what the override asks of this try, else put the message into the mailbox."""
        latency = message.config.get("latency_ms", 0) / 1000
        # Nothing may happen after the worker's watchdog has given the attempt up.
        self.sleep(min(latency, LONGEST_SLEEP))
        if latency > LONGEST_SLEEP:
            return Retry("timeout", "rehearsed: slower than an attempt may be")
        if not _fails(message.config, message.attempt):
            return self.mailbox.put(message)
        failure = message.config.get("failure", "transient")
        if failure == CRASH:
            # An override may be older than the stage's rule, or come from a restored table.
            if not self.may_crash:
                return Permanent("invalid_config", "crashes are rehearsed in local and dev alone")
            # Ends the process as a crash of the runtime does: no clean-up, no record, no response.
            self.crash(1)
        if failure == "permanent":
            return Permanent(
                "rehearsed_failure", f"rehearsed permanent failure of try {message.attempt}"
            )
        return Retry("rehearsed_failure", f"rehearsed transient failure of try {message.attempt}")


def _fails(config: Config, attempt: int) -> bool:
    if "fail_attempts" in config:
        return attempt <= int(config["fail_attempts"])
    return "failure" in config


def channel(environ: Mapping[str, str], aws: ClientFactory) -> Channel:
    """Make the channel from the function's environment."""
    return Rehearsal(Mailbox.of(environ, aws), is_trial_stage(environ))
