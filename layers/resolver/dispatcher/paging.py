"""Query parameters of listings: their ranges, and the cursors for the next page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dispatcher.errors import FieldError, InvalidInputError, json_pointer
from dispatcher.identifiers import DELIVERY_ID
from dispatcher.ranges import Range

if TYPE_CHECKING:
    from collections.abc import Mapping


class Parameter(NamedTuple):
    """A parameter that holds a whole number."""

    name: str
    range: Range
    default: int


LIMIT = Parameter("limit", Range(1, 200), 50)
"""Items of a page."""


def unknown(params: Mapping[str, str], known: tuple[str, ...]) -> list[FieldError]:
    """Return an error for each parameter that the listing does not have."""
    rule = f"is not a known parameter; the known ones are {', '.join(known)}"
    return [FieldError(json_pointer(name), rule) for name in params if name not in known]


def number(params: Mapping[str, str], parameter: Parameter, hint: str = "") -> int:
    """Read a whole number within its range; ``hint`` continues the text of the error."""
    text = params.get(parameter.name)
    if text is None:
        return parameter.default
    value = parameter.range.read(text)
    if value is None:
        rule = f"must be {parameter.range}{hint}"
        raise InvalidInputError(FieldError(json_pointer(parameter.name), rule))
    return value


def cursor(params: Mapping[str, str], name: str) -> str | None:
    """Read a cursor: the ID of the last item of the previous page.

    IDs are ordered by time, so a cursor works even if the user has no such item.
    """
    text = params.get(name)
    if text is not None and not DELIVERY_ID.fullmatch(text):
        rule = "must be the next_cursor of the page before"
        raise InvalidInputError(FieldError(json_pointer(name), rule))
    return text
