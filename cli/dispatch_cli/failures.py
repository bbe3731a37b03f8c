"""All errors that this program raises on purpose, and the exit code of each.

Failure
├── UsageFailure            2: the command or its settings must be changed
├── RejectedFailure         1: the service rejected the request, or the user did not confirm it
├── NotAuthorizedFailure    4: the caller is not authorized
├── UnreachableFailure      3: no usable response; a later attempt may succeed
└── TimeoutFailure          5: --timeout has passed; deliveries are still pending
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Exit(IntEnum):
    """The exit codes of this program."""

    OK = 0
    REJECTED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_AUTHORIZED = 4
    TIMEOUT = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class FieldError(NamedTuple):
    """A rejected value of a request: its JSON pointer, and the rule that it breaks."""

    pointer: str
    detail: str


class Failure(Exception):  # noqa: N818 - its text is a sentence for the user
    """An error with the next step.

    ``details`` are printed on separate lines; ``response`` is the service's JSON, if any.
    """

    exit = Exit.REJECTED

    def __init__(
        self, text: str, advice: str = "", *, details: Sequence[str] = (), response: object = None
    ) -> None:
        super().__init__(text)
        self.advice = advice
        self.details = details
        self.response = response


class UsageFailure(Failure):
    """The command or its settings must be changed."""

    exit = Exit.USAGE


class RejectedFailure(Failure):
    """The request was rejected; ``status`` is the HTTP status, 0 without one.

    ``field_errors`` are shown with the names of the command's options.
    """

    def __init__(
        self,
        *arguments: Any,
        status: int = 0,
        field_errors: Sequence[FieldError] = (),
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.status = status
        self.field_errors = field_errors


class NotAuthorizedFailure(Failure):
    """The caller is not authorized; with ``lacks_scope`` the credential itself is valid."""

    exit = Exit.NOT_AUTHORIZED

    def __init__(self, *arguments: Any, lacks_scope: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.lacks_scope = lacks_scope


class UnreachableFailure(Failure):
    """There is no usable response; a later attempt may succeed.

    ``retry_after`` is the time in seconds that the service asks for; ``may_have_arrived`` is true
    if the service may have received the request.
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


class TimeoutFailure(Failure):
    """The time that the user wanted to wait has passed; deliveries are still pending."""

    exit = Exit.TIMEOUT


def cause(error: Exception) -> str:
    """Return why a file cannot be read or written, in words: ``no such file``."""
    match error:
        case FileNotFoundError():
            return "no such file or folder"
        case IsADirectoryError():
            return "it is a folder"
        case NotADirectoryError():
            return "a part of its path is not a folder"
        case UnicodeError():
            return "it is not UTF-8 text"
        case OSError(strerror=str(text)):
            return text[:1].lower() + text[1:]
    return str(error)
