"""The request body of a recovery, strictly validated.

Only the function that reads it imports this module, because it imports pydantic.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from dispatcher.configuration.bodies import IntegrationTypes  # noqa: TC001 - pydantic reads it
from dispatcher.errors import FieldError, InvalidInputError
from dispatcher.identifiers import DELIVERY_ID
from dispatcher.integrations.rules import whole
from dispatcher.validation import Strict, Time, distinct, read

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_AGO = 30 * 86_400
"""Seconds that ``since`` may lie in the past: so long the content is stored in any case."""

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def _code(value: str) -> str:
    if _CODE.fullmatch(value):
        return value
    message = "must be an error code, such as http_503"
    raise ValueError(message)


def _cursor(value: str) -> str:
    if DELIVERY_ID.fullmatch(value):
        return value
    message = "must be the next_cursor of the previous response"
    raise ValueError(message)


class RecoverBody(Strict):
    """The failed deliveries to attempt again.

    Times are seconds since 1970 once read.
    """

    since: Time
    """The time from which on messages were accepted, at most 30 days ago."""
    until: Time | None = None
    """The time until which they were accepted; null means now."""
    integration_types: Annotated[IntegrationTypes, distinct("value")] | None = None
    """The integrations whose deliveries are opened, in any case; null means all."""
    error_codes: (
        Annotated[
            list[
                Annotated[str, AfterValidator(_code), Field(json_schema_extra=whole(_CODE.pattern))]
            ],
            Field(min_length=1, max_length=20, json_schema_extra={"uniqueItems": True}),
            distinct("value"),
        ]
        | None
    ) = None
    """The error codes of the deliveries that are opened; null means all."""
    dry_run: bool = False
    """Whether nothing is written, and the response shows what would be opened."""
    cursor: (
        Annotated[str, AfterValidator(_cursor), Field(json_schema_extra=whole(DELIVERY_ID.pattern))]
        | None
    ) = None
    """The `next_cursor` of the previous response."""


def recover_body(body: object, environ: Mapping[str, str], now: float) -> RecoverBody:
    """Read the body; raise ``InvalidInputError`` for a range that is too old or empty."""
    asked = read(RecoverBody, body, environ, nulls=True)
    if asked.since < now - LONGEST_AGO:
        rule = f"must be at most {LONGEST_AGO // 86_400} days ago"
        raise InvalidInputError(FieldError("/since", rule))
    if asked.until is not None and asked.until < asked.since:
        raise InvalidInputError(FieldError("/until", "must not be before since"))
    return asked
