"""The catalogue of integrations: each module of this package that exports ``INTEGRATION``.

A new integration is a new module; no list names them.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from dispatcher.integrations.integration import Integration


@cache
def catalogue() -> Mapping[str, Integration]:
    """Return all integrations by name, in the order of their default priority."""
    modules = [
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    ]
    integrations: list[Integration] = [
        module.INTEGRATION for module in modules if hasattr(module, "INTEGRATION")
    ]
    integrations.sort(key=lambda integration: (integration.priority, integration.name))
    return MappingProxyType({integration.name: integration for integration in integrations})


def read_type(text: str, known: Collection[str] | None = None) -> str:
    """Return the integration type that a text names in any case.

    Raise ``ValueError`` if ``known`` (by default the whole catalogue) does not hold it.
    """
    known = catalogue() if known is None else known
    name = text.upper()
    # isascii: upper() maps a few foreign letters onto ASCII ones.
    if not text.isascii() or name not in known:
        raise ValueError(f"must be one of {', '.join(known)}")
    return name
