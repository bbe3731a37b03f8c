"""The health report: whether the service can work now, and the state of each integration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dispatcher import VERSION
from dispatcher.errors import BrokenSettingError
from dispatcher.integrations import catalogue
from dispatcher.responses import rfc3339
from dispatcher.ttl_cache import TtlValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dispatcher.configuration.ports import Clock, Probes
    from dispatcher.configuration.resolution import SystemDefaults
    from dispatcher.responses import HealthResponse, IntegrationHealth

TTL = 60.0
"""Seconds for which one report is served."""

PROBE_LIMIT = 2.0
"""Seconds after which a probe counts as failed."""


@dataclass(slots=True, kw_only=True)
class Health:
    """Probes the service's dependencies.

    The route is open to every caller, so the report contains no secret.
    """

    system_defaults: Callable[[], SystemDefaults]
    service: str
    probes: Callable[[], Probes]
    clock: Clock
    _report: TtlValue[HealthResponse] = field(init=False)

    def __post_init__(self) -> None:
        """Create the cache of the report."""
        self._report = TtlValue(self._probed, self.clock.monotonic, ttl=TTL)

    def report(self) -> HealthResponse:
        """Return the state of the service."""
        return {**self._report.get(), "timestamp": rfc3339(self.clock.now())}

    def _probed(self) -> HealthResponse:
        try:
            defaults = self.system_defaults()
            configured = [name for name, default in defaults.items() if default.configured]
            troubles = self.probes().all_within(PROBE_LIMIT, configured)
        except BrokenSettingError as error:
            return self._response("unhealthy", {}, str(error))
        integrations: dict[str, IntegrationHealth] = {
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
        detail = f"cannot reach {', '.join(vital or failed)}" if failed else None
        return self._response(status, integrations, detail)

    def _response(
        self, status: str, integrations: dict[str, IntegrationHealth], detail: str | None
    ) -> HealthResponse:
        return {
            "status": status,
            "service": self.service,
            "version": VERSION,
            "integrations": integrations,
            "detail": detail,
            "timestamp": rfc3339(self.clock.now()),
        }


def _detail(name: str, troubles: Mapping[str, str | None], *, configured: bool) -> str:
    if not configured:
        return f"{name} is not configured"
    if name not in troubles:
        return "configured; there is no shared provider to probe"
    return troubles[name] or "configured; its provider responds"
