"""Everything that this program raises on purpose, and the exit code of each.

Failure
├── UsageFailure            2: the command or its settings must be changed
├── RefusedFailure          1: the service, or a person who was asked, said no
├── NotAuthorizedFailure    4: the service does not let this caller in
└── UnreachableFailure      3: no answer, or none that helps; trying again later may
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class Exit(IntEnum):
    """What the shell gets to know."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_AUTHORIZED = 4


class Failure(Exception):  # noqa: N818 - a person reads it as a sentence, not as a type
    """Say what went wrong, and what to do next.

    ``details`` are lines of their own; ``answer`` is the service's JSON, if there was one.
    """

    exit = Exit.REFUSED

    def __init__(
        self, text: str, advice: str = "", *, details: Sequence[str] = (), answer: object = None
    ) -> None:
        super().__init__(text)
        self.advice = advice
        self.details = details
        self.answer = answer


class UsageFailure(Failure):
    """The command or its settings must be changed."""

    exit = Exit.USAGE


class RefusedFailure(Failure):
    """It cannot be done as it was asked; ``status`` is the service's, 0 without one."""

    def __init__(self, *arguments: Any, status: int = 0, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.status = status


class NotAuthorizedFailure(Failure):
    """The service does not let this caller in."""

    exit = Exit.NOT_AUTHORIZED


class UnreachableFailure(Failure):
    """There is no answer, or none that helps; trying again later may help.

    ``retry_after`` is the time in seconds that the service asks for; ``may_have_arrived`` tells
    whether it may have done what it was asked all the same.
    """

    exit = Exit.UNREACHABLE

    def __init__(
        self,
        *arguments: Any,
        retry_after: float = 0.0,
        may_have_arrived: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.retry_after = retry_after
        self.may_have_arrived = may_have_arrived
