"""The request bodies about links and the sessions that they start."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from dispatcher.ranges import Range
from dispatcher.validation import Strict

LINK_SECONDS = Range(300, 30 * 86_400)


def _in_range(value: int) -> int:
    if value not in LINK_SECONDS:
        raise ValueError(f"must be {LINK_SECONDS}")
    return value


class StartSessionBody(Strict):
    """The link whose session is to be started."""

    token: str
    """The last part of the link's address."""


class PreferencesLinkBody(Strict):
    """The link to make."""

    expires_in: Annotated[
        int,
        AfterValidator(_in_range),
        Field(json_schema_extra={"minimum": LINK_SECONDS.low, "maximum": LINK_SECONDS.high}),
    ] = LINK_SECONDS.high
    """The seconds for which the link is valid. Default: 2592000, which is 30 days."""
