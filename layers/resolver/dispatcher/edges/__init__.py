"""The edges: turn Lambda events into calls of use cases, and results into responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from dispatcher import wiring

if TYPE_CHECKING:
    from dispatcher.delivery.ports import EventLog

LambdaEvent = Mapping[str, Any]
"""The event of an invocation. ``Any``: its JSON depends on the trigger, and each reader checks the
values that it uses."""


class LambdaContext(Protocol):
    """The context of an invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends the invocation."""


@contextmanager
def invocation(context: object, **fields: object) -> Iterator[EventLog]:
    """Enclose an invocation of any trigger; each of its log lines has these fields."""
    with wiring.connections().invocation():
        event_log = wiring.event_log()
        event_log.begin(context, **fields)
        yield event_log


def header_values(event: LambdaEvent, name: str) -> list[str]:
    """Return all values of a header of API Gateway's event, its name in any case."""
    headers = event.get("multiValueHeaders") or {}
    return [
        value
        for header, values in headers.items()
        if header.lower() == name.lower()
        for value in values
    ]
