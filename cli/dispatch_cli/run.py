"""What one run of a command stands on: its settings, the service, the screen, and the time."""

from __future__ import annotations

import os
import sys
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dispatch_cli.failures import RefusedFailure, UnreachableFailure, UsageFailure
from dispatch_cli.screen import Screen
from dispatch_cli.service import Service
from dispatch_cli.settings import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dispatch_cli.settings import Settings

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds between two looks: twice as long after each that brought nothing, up to the longest."""

LONGEST_WAIT = 60.0
"""Seconds: the most that a follower waits, whatever ``Retry-After`` asks for."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Run:
    """One run; tests give it other surroundings."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    now: Callable[[], datetime] = _now
    sleep: Callable[[float], None] = time.sleep
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())

    # What the options say.
    profile: str | None = None
    zone: tzinfo | None = None
    may_ask: bool = True
    as_json: bool = False

    @cached_property
    def settings(self) -> Settings:
        """Find the service and the credential."""
        return settle(self.environ, self.profile)

    @cached_property
    def service(self) -> Service:
        """Return the service that the settings name."""
        return Service(self.settings)

    @cached_property
    def screen(self) -> Screen:
        """Return the terminal."""
        return Screen(self.environ)

    def show(self, answer: Any, table: Callable[[Any], None]) -> None:
        """Show an answer as JSON or, by ``table``, for people."""
        if self.as_json:
            self.screen.json(answer)
        else:
            table(answer)

    def confirm(self, question: str, *, sure: bool) -> None:
        """Ask before something that cannot be undone; raise unless the answer is yes."""
        if sure:
            return
        if not (self.may_ask and sys.stdin.isatty()):
            raise UsageFailure(f"{question} Nobody can be asked.", "If you are sure, add --yes.")
        self.screen.notes.print(f"{question} [y/N] ", end="")
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise RefusedFailure("Nothing was done.")

    def follow(self, look: Callable[[], bool]) -> None:
        """Look again and again, until Ctrl-C; ``look`` tells whether there was news.

        A service that does not answer is asked again later, more and more rarely, or when it says;
        but never later than after ``LONGEST_WAIT``.
        """
        pause, answered = FIRST_PAUSE, False
        try:
            while True:
                asked_for = 0.0
                try:
                    news = look()
                    answered = True
                except UnreachableFailure as failure:
                    if not answered:
                        raise
                    news, asked_for = False, failure.retry_after
                    self.screen.note(f"{failure} Trying again.")
                pause = FIRST_PAUSE if news else min(2 * pause, LONGEST_PAUSE)
                self.sleep(max(pause, min(asked_for, LONGEST_WAIT)))
        except KeyboardInterrupt:
            return
