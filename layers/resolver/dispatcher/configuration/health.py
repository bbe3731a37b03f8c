"""Tells whether the service can work now, and how each integration stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dispatcher import VERSION
from dispatcher.errors import BrokenSettingError
from dispatcher.integrations import catalogue
from dispatcher.responses import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dispatcher.configuration.ports import Clock, Probes
    from dispatcher.configuration.resolution import SystemDefaults

CACHED = 60.0
"""Seconds that one look serves."""

PROBE_LIMIT = 2.0
"""Seconds after which a probe counts as failed."""


@dataclass(slots=True, kw_only=True)
class Health:
    """Probes what the service stands on.

    Nobody needs a permission to ask, so nothing here is a secret.
    """

    system_defaults: Callable[[], SystemDefaults]
    service: str
    probes: Probes
    clock: Clock
    _last: tuple[float, dict[str, Any]] | None = field(default=None, init=False)

    def report(self) -> dict[str, Any]:
        """Return the state of the service.

        ``status`` is ``healthy``, ``degraded`` or ``unhealthy``.
        """
        now = self.clock.monotonic()
        if self._last is None or now - self._last[0] > CACHED:
            self._last = (now, self._look())
        return {**self._last[1], "timestamp": rfc3339(self.clock.now())}

    def _look(self) -> dict[str, Any]:
        about = {"service": self.service, "version": VERSION}
        try:
            defaults = self.system_defaults()
        except BrokenSettingError as error:
            return {"status": "unhealthy", **about, "integrations": {}, "detail": str(error)}
        configured = [name for name, one in defaults.items() if one.configured]
        troubles = self.probes.all_within(PROBE_LIMIT, configured)
        integrations = {
            name: {
                "configured": defaults[name].configured,
                "enabled_by_default": defaults[name].configuration.enabled,
                "healthy": troubles[name] is None if name in troubles else None,
                "detail": _detail(name, troubles, configured=defaults[name].configured),
            }
            for name in catalogue()
        }
        failed = sorted(name for name, trouble in troubles.items() if trouble is not None)
        vital = [name for name in failed if name not in integrations]
        status = "unhealthy" if vital else "degraded" if failed else "healthy"
        return {
            "status": status,
            **about,
            "integrations": integrations,
            "detail": f"cannot reach {', '.join(vital or failed)}" if failed else None,
        }


def _detail(name: str, troubles: Mapping[str, str | None], *, configured: bool) -> str:
    if not configured:
        return f"{name} is not configured"
    if name not in troubles:
        return "configured; there is no shared peer to probe"
    return troubles[name] or "configured; its peer answers"
