"""The outcome of an attempt: a value, never an exception.

A channel returns ``Delivered``, ``Retry`` or ``Permanent``. ``code`` is a stable, machine-readable
reason, ``detail`` a short sentence for people. Neither contains a secret, a URL's query or a
receiver's body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

ATTEMPT = 10.0
"""Seconds after which the watchdog ends an attempt."""

RENDERING = 10.0
"""Seconds after which a rendering is stopped; it precedes the attempt and sends nothing."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has accepted the message; ``metadata`` holds the provider's IDs."""

    metadata: Mapping[str, str | int] = field(default_factory=dict)
    detail: str = ""
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt has failed, but a retry may succeed.

    ``after`` is the delay in seconds that the receiver asked for.
    """

    code: str
    detail: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Permanent:
    """The attempt has failed, and a retry cannot succeed.

    ``gone`` asks to disable the override (HTTP 410).
    """

    code: str
    detail: str
    gone: bool = False
    suppress: Literal["bounced", "opted_out"] | None = None
    """The reason to suppress the address: the receiving side says that it is dead."""


UNKNOWN_OUTCOME = "unknown_outcome"
"""The code of an attempt that may have reached its receiver and is not retried."""

Outcome = Delivered | Retry | Permanent
