"""The edges: what Lambda hands over becomes a call, and what comes of it becomes a response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

LambdaEvent = Mapping[str, Any]
"""The event of an invocation. ``Any``: it is JSON in the shape of its trigger, and each reader
checks the values that it takes."""


class LambdaContext(Protocol):
    """The context of an invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends the invocation."""


def header_values(event: LambdaEvent, name: str) -> list[str]:
    """Return all values of a header of API Gateway's event, its name in any case."""
    headers = event.get("multiValueHeaders") or {}
    return [
        value
        for header, values in headers.items()
        if header.lower() == name.lower()
        for value in values
    ]
