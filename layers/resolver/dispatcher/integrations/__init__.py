"""The integrations that exist: each module of this package that exports ``INTEGRATION`` is one.

Adding one is adding its module; nothing here names them.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatcher.integrations.integration import Integration


@cache
def catalogue() -> Mapping[str, Integration]:
    """Return all integrations by name, in the order of their default priority."""
    modules = [
        importlib.import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
    ]
    found = [module.INTEGRATION for module in modules if hasattr(module, "INTEGRATION")]
    return MappingProxyType(
        {one.name: one for one in sorted(found, key=lambda one: (one.priority, one.name))}
    )
