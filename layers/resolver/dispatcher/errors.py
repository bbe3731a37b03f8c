"""All errors of this package.

DispatcherError
├── RejectedError               the caller must change something
│   ├── UnauthenticatedError    401
│   ├── ForbiddenError          403
│   ├── InvalidInputError       422, with a pointer to each wrong value
│   ├── NotFoundError           404
│   ├── ConflictError           409
│   └── PreconditionError       412
├── BrokenSettingError          503: an operator must correct an environment variable
├── TooEarlyError               a queue message came before what it is about: it comes back
├── UnavailableError            503: an AWS service did not respond, or not in time
│   └── SealedError             the key refuses to open secrets, and will refuse again
└── ConditionFailed             a conditional write was refused; never returned to a caller

A failed delivery is not here: it is a result (see ``outcomes``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class DispatcherError(Exception):
    """The base class of this package's errors."""


class RejectedError(DispatcherError):
    """The request is rejected because of its content or the stored state; nothing was written."""


class UnauthenticatedError(RejectedError):
    """The credential is missing or invalid; the text is only for the log."""


class ForbiddenError(RejectedError):
    """The caller is authenticated but not permitted to do this."""


class FieldError(NamedTuple):
    """One invalid value of an input: its JSON pointer (RFC 6901) and the fix."""

    pointer: str
    detail: str


class InvalidInputError(RejectedError):
    """The input is readable but violates a rule."""

    def __init__(self, *field_errors: FieldError) -> None:
        super().__init__(
            "; ".join(": ".join(filter(None, field_error)) for field_error in field_errors)
        )
        self.field_errors = field_errors


class NotFoundError(RejectedError):
    """The override, delivery or route does not exist for this user."""


class ConflictError(RejectedError):
    """The stored state does not allow the request now."""


class PreconditionError(RejectedError):
    """The resource changed since the caller read it (``If-Match``)."""


class BrokenSettingError(DispatcherError):
    """An environment variable holds a value that cannot be used."""

    def __init__(self, variable: str, detail: str) -> None:
        super().__init__(f"{variable} {detail}")
        self.variable = variable


class TooEarlyError(DispatcherError):
    """A queue message came before what it is about was stored; its queue delivers it again."""


class UnavailableError(DispatcherError):
    """A table, queue or key could not be reached; the same call may succeed later."""


class SealedError(UnavailableError):
    """The secrets of an override cannot be opened: an operator must check the key."""


class ConditionFailed(DispatcherError):  # noqa: N818 - DynamoDB's own word, never shown to a caller
    """A conditional write was refused; nothing was written.

    ``item`` is the stored item that refused it, as the adapter reads it; ``None`` without one.
    ``Any``: an item as the table holds it, before a reader makes a typed value of it.
    """

    def __init__(self, item: Mapping[str, Any] | None = None) -> None:
        super().__init__("a conditional write was refused")
        self.item = item


def json_pointer(*steps: str | int) -> str:
    """Return the JSON pointer (RFC 6901) of a value: the names and indexes that lead to it."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def at(pointer: str, field_errors: Sequence[FieldError]) -> tuple[FieldError, ...]:
    """Return errors of a part with ``pointer`` as the prefix of their pointers."""
    return tuple(
        FieldError(pointer + field_error.pointer, field_error.detail)
        for field_error in field_errors
    )
