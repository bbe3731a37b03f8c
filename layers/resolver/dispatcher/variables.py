"""Typed reading of environment variables from a mapping, which keeps the rules pure.

``settings`` reads the process's own environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.errors import BrokenSettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatcher.ranges import Range


def required(environ: Mapping[str, str], variable: str) -> str:
    """Return the text of a variable; ``BrokenSettingError`` if it is empty or missing."""
    value = environ.get(variable, "")
    if not value:
        raise BrokenSettingError(variable, "is not set: the template sets it for every function")
    return value


def switch(environ: Mapping[str, str], variable: str) -> bool | None:
    """Return whether a variable is ``true`` or ``false``; ``None`` if it is empty or missing."""
    value = environ.get(variable, "")
    if value not in {"", "true", "false"}:
        raise BrokenSettingError(
            variable, f"is {value!r}: set it to true or false, or leave it empty"
        )
    return None if value == "" else value == "true"


def number(environ: Mapping[str, str], variable: str, allowed: Range) -> int | None:
    """Return the whole number of a variable; ``None`` if it is empty or missing."""
    value = environ.get(variable, "")
    if value == "":
        return None
    if (found := allowed.read(value)) is None:
        raise BrokenSettingError(variable, f"is {value!r}: set it to {allowed}, or leave it empty")
    return found


def is_trial_stage(environ: Mapping[str, str]) -> bool:
    """Return whether the stage is one for trials: no authentication needed, crashes rehearsed."""
    return environ.get("STAGE") in {"local", "dev"}
