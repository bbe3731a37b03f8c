"""The outcome of an attempt: a value, never an exception.

A channel returns one of three: ``Delivered``, ``Retry`` or ``Permanent``. ``code`` is a stable word
for programs, ``detail`` a short sentence for people; neither ever holds a secret, a URL's query or
a receiver's body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ATTEMPT = 10.0
"""Seconds after which the watchdog ends an attempt."""

RENDERING = 10.0
"""Seconds after which a rendering is given up; it comes before the attempt and sends nothing."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver took the message; ``metadata`` holds the provider's own IDs."""

    metadata: Mapping[str, str | int] = field(default_factory=dict)
    detail: str = ""
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed in a way that may pass.

    ``after`` is the receiver's own wish in seconds.
    """

    code: str
    detail: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Permanent:
    """The attempt failed in a way that trying again cannot change.

    ``gone`` asks to disable the override (HTTP 410).
    """

    code: str
    detail: str
    gone: bool = False


UNKNOWN_OUTCOME = "unknown_outcome"
"""The code of an attempt that may have reached its receiver, where it is not repeated."""

Outcome = Delivered | Retry | Permanent
