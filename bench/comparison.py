"""The environment of what we are measured against, and of what draws the plot."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tools.bootstrap import EXTRAS

if TYPE_CHECKING:
    from pathlib import Path

[ENVIRONMENT] = [each for each in EXTRAS if each.name == "bench"]


def python() -> list[str]:
    """Return its interpreter as a command that leaves no bytecode behind."""
    return [str(ENVIRONMENT.python), "-B"]


def packages() -> Path:
    """Return the folder of its packages."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return ENVIRONMENT.folder / "lib" / version / "site-packages"
