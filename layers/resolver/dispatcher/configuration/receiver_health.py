"""The health of receivers: when an integration with an override is paused, probed and disabled.

Pure. A paused integration stays effective; its deliveries are held until one of them, the probe,
shows whether the receiver works again.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dispatcher.configuration.rows import ReceiverHealth
from dispatcher.errors import BrokenSettingError
from dispatcher.responses import rfc3339

if TYPE_CHECKING:
    from dispatcher.configuration.rows import UserOverrides
    from dispatcher.responses import ReceiverHealthResponse

PROBE = 60.0
"""Seconds for which the other deliveries wait for a probe: as long as the lease of a claim."""

SPREAD = 120
"""Seconds over which the held deliveries are spread after a pause."""

EXPLAINED = frozenset(
    {
        # Network, name resolution and TLS.
        *("connection_failed", "connection_lost", "dns_failed", "tls_failed", "timeout"),
        *("invalid_answer", "http_408", "http_429"),
        # Slack names its own 429, 408 and 5xx.
        *("ratelimited", "rate_limited", "request_timeout", "service_unavailable", "fatal_error"),
    }
)
"""Codes that the receiver's health explains, beside ``http_5NN``."""

_SERVER_ERROR = re.compile(r"http_5[0-9]{2}")
_RULES = re.compile(r"([0-9]{1,3})" + "/([0-9]{1,7})" * 4)


@dataclass(frozen=True, slots=True)
class PauseRules:
    """When a receiver is paused and disabled; times are seconds."""

    failures: int
    """Failed rounds in a row before the first pause; 0 never pauses."""
    since_first: float
    """Time since the first failure before the first pause."""
    first_pause: float
    longest_pause: float
    disable_after: float
    """Time since the first failure after which a failed probe disables the integration."""

    @classmethod
    def parse(cls, text: str) -> PauseRules:
        """Read ``failures/since the first/first pause/longest pause/disable``.

        Raises ``BrokenSettingError``.
        """
        found = _RULES.fullmatch(text)
        if found is None:
            raise BrokenSettingError(
                "PAUSE_RULES",
                f"is {text!r}: set it to failures/seconds since the first/first pause/longest "
                "pause/seconds until disabled, such as 10/43200/3600/86400/604800",
            )
        return cls(*map(int, found.groups()))


def is_explained(code: str | None) -> bool:
    """Return whether the receiver's health explains a failure with this code."""
    return code is not None and (code in EXPLAINED or _SERVER_ERROR.fullmatch(code) is not None)


def is_answered(code: str | None) -> bool:
    """Return whether a retried failure shows that the receiver works: it gave another response."""
    return code is not None and code.startswith(("http_", "smtp_")) and not is_explained(code)


def after_failure(
    health: ReceiverHealth | None, rules: PauseRules, now: float, *, probed: bool
) -> ReceiverHealth | None:
    """Return the health after the last failure of a round, or after any failure of a probe."""
    if rules.failures == 0:
        return None
    if health is None:
        health = ReceiverHealth(failures=0, first_failed_at=now, last_failed_at=now)
    health = replace(health, failures=health.failures + 1, last_failed_at=now)
    age = now - health.first_failed_at
    begins = (
        probed
        if health.paused_until is not None
        else health.failures >= rules.failures and age >= rules.since_first
    )
    if not begins:
        return health
    length = min(rules.first_pause * 2.0 ** min(health.pauses, 60), rules.longest_pause)
    return replace(
        health,
        paused_until=round(now + length, 3),
        probe_until=None,
        pauses=health.pauses + 1,
        disabled=probed and age >= rules.disable_after,
    )


def probing(health: ReceiverHealth | None, now: float) -> ReceiverHealth | None:
    """Return the health while a delivery probes the receiver; ``None`` if none may now."""
    if health is None or not needs_probe(health) or resumes(health, now) > now:
        return None
    return replace(health, probe_until=round(now + PROBE, 3))


def needs_probe(health: ReceiverHealth | None) -> bool:
    """Return whether a delivery waits for the end of a pause, and is a probe then."""
    return _pause(health) is not None


def resumes(health: ReceiverHealth | None, t: float) -> float:
    """Return the first time from ``t`` on at which a delivery may be sent, even if as a probe."""
    pause = _pause(health)
    if health is None or pause is None:
        return t
    return max(t, pause, health.probe_until or 0.0)


def spread(health: ReceiverHealth | None, message_id: str, t: float) -> int:
    """Return the message's own seconds after a pause, so that not all are due together."""
    pause = _pause(health)
    return zlib.crc32(message_id.encode()) % SPREAD if pause is not None and t < pause else 0


def _pause(health: ReceiverHealth | None) -> float | None:
    """Return the end of a pause; a disabled integration is not held, its deliveries end."""
    return None if health is None or health.disabled else health.paused_until


def health_of(stored: UserOverrides, integration_type: str) -> ReceiverHealth | None:
    """Return what is known about the receiver of a user's integration."""
    override = stored.by_type.get(integration_type)
    return None if override is None else override.health


def state_of(health: ReceiverHealth) -> str:
    """Return the state: ``failing``, ``paused`` or ``disabled``."""
    if health.disabled:
        return "disabled"
    return "failing" if health.paused_until is None else "paused"


def health_response(health: ReceiverHealth | None) -> ReceiverHealthResponse | None:
    """Return what the API shows; ``None`` if nothing failed since the last success."""
    if health is None:
        return None
    return {
        "state": state_of(health),
        "failures": health.failures,
        "first_failed_at": rfc3339(health.first_failed_at),
        "last_failed_at": rfc3339(health.last_failed_at),
        "paused_until": rfc3339(None if health.disabled else health.paused_until),
    }
