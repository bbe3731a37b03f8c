"""Catalogues for tests: the guide's seven, and what an integration that no test names adds."""

from __future__ import annotations

import pkgutil
from contextlib import contextmanager
from types import SimpleNamespace
from typing import NamedTuple
from unittest import mock

from dispatcher import integrations
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Integration


class Row(NamedTuple):
    """A row of the guide's table."""

    priority: int
    retry_count: int
    retry_delay_seconds: int
    config: dict


GUIDE = {
    "SLACK": Row(
        1, 3, 60, {"thread_replies": False, "mention_user": False, "include_agent_info": True}
    ),
    "EMAIL": Row(2, 3, 60, {"include_agent_info": True}),
    "WEBHOOK": Row(3, 1, 30, {}),
    "SMS": Row(4, 2, 45, {}),
    "TEST": Row(5, 1, 10, {}),
    "CLI": Row(6, 1, 5, {}),
    "TOOL": Row(7, 1, 5, {}),
}
"""The guide's table: priority, retries, delay, and its examples of config."""

KNOWN_TYPES = ", ".join(catalogue())


def switched_off(environ, *, but):
    """Return the variables that disable what would be enabled by default, except one type."""
    return {
        f"INTEGRATION_DEFAULTS_{name}_ENABLED": "false"
        for name, one in catalogue().items()
        if name != but and one.auto_enabled and one.configured(environ)
    }


def unused(environ, *used):
    """Return why a user without overrides does not use each type, as ``switched_off`` leaves it."""
    return {
        name: "disabled_by_default"
        if not one.auto_enabled or one.configured(environ)
        else "not_configured"
        for name, one in catalogue().items()
        if name not in used
    }


def skipped(reasons):
    """Return reasons by type as the response to a send lists them."""
    return [
        {"integration_type": name, "reason": reasons[name]}
        for name in catalogue()
        if name in reasons
    ]


def made_up(name, priority):
    """Return an integration that exists in one test only."""
    return Integration(
        name=name,
        priority=priority,
        retry_count=1,
        retry_delay_seconds=5,
        auto_enabled=True,
        configured=lambda _environ: True,
        address=lambda _config, _recipient, _user_id, _environ: None,
        address_key="",
        config_type=dict,
    )


@contextmanager
def only(*names):
    """Let the catalogue hold these integrations only: whole pages show every type."""
    modules = [
        module
        for module in pkgutil.iter_modules(integrations.__path__)
        if module.name.upper() in names
    ]
    finder = SimpleNamespace(iter_modules=lambda _: modules)
    with mock.patch.object(integrations, "pkgutil", finder):
        catalogue.cache_clear()
        try:
            yield
        finally:
            catalogue.cache_clear()
