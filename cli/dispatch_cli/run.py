"""The context of one command: settings, service, screen and time."""

from __future__ import annotations

import os
import sys
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from shlex import quote
from typing import TYPE_CHECKING, Any

from dispatch_cli.failures import RejectedFailure, UnreachableFailure, UsageFailure
from dispatch_cli.screen import PROGRAM, Screen
from dispatch_cli.service import Service
from dispatch_cli.settings import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dispatch_cli.settings import Settings

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds between two polls: doubled after each poll without news, up to the longest."""

LONGEST_WAIT = 60.0
"""Seconds: the limit for a ``Retry-After`` that a follower respects."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Run:
    """One run of a command; tests replace environment, clock and IDs."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    now: Callable[[], datetime] = _now
    sleep: Callable[[float], None] = time.sleep
    elapsed: Callable[[], float] = time.monotonic
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())

    # Set by the global options.
    profile: str | None = None
    url: str | None = None
    zone: tzinfo | None = None
    may_ask: bool = True
    as_json: bool = False
    command: Any = None
    """The context of the command that runs, which names its options."""

    @cached_property
    def settings(self) -> Settings:
        """Return the service's address and the credential."""
        return resolve(self.environ, self.profile, self.url)

    @cached_property
    def service(self) -> Service:
        """Return the client of the service."""
        return Service(self.settings)

    @property
    def program(self) -> str:
        """Return the beginning of each printed command, which reaches the same service."""
        for option, value in (("--profile", self.profile), ("--url", self.url)):
            if value:
                return f"{PROGRAM} {option} {quote(value)}"
        return PROGRAM

    @cached_property
    def screen(self) -> Screen:
        """Return the terminal."""
        return Screen(self.environ, self.program)

    def show(self, response: Any, table: Callable[[Any], None]) -> None:
        """Show a response as JSON or with ``table``, as ``--output`` says."""
        if self.as_json:
            self.screen.json(response)
        else:
            table(response)

    def confirm(self, question: str, command: str, *, sure: bool) -> None:
        """Ask before an action that cannot be undone; raise unless it is confirmed.

        ``command`` is the confirmed command, for a user who cannot be asked.
        """
        if sure:
            return
        if not (self.may_ask and sys.stdin.isatty()):
            text = f"{question} There is no terminal to ask."
            raise UsageFailure(text, f"To confirm it: {command}")
        self.screen.notes.print(f"{question} [y/N] ", end="")
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise RejectedFailure("Not confirmed; nothing was changed.")

    def follow(self, poll: Callable[[], bool]) -> None:
        """Call ``poll`` until Ctrl-C; it returns whether there was news.

        After the first response, an unreachable service is polled again with growing pauses, or
        when its ``Retry-After`` says, but within ``LONGEST_WAIT``.
        """
        pause, was_reached = FIRST_PAUSE, False
        try:
            while True:
                retry_after = 0.0
                try:
                    has_news = poll()
                    was_reached = True
                except UnreachableFailure as failure:
                    if not was_reached:
                        raise
                    has_news, retry_after = False, failure.retry_after
                    self.screen.note(f"{failure} Trying again.")
                pause = FIRST_PAUSE if has_news else min(2 * pause, LONGEST_PAUSE)
                self.sleep(max(pause, min(retry_after, LONGEST_WAIT)))
        except KeyboardInterrupt:
            return
