"""A caller's text and its ``$variables``.

Text is data from end to end and is never compiled as a template.
"""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Scalar = str | int | float | bool


def render(text: str, variables: Mapping[str, Scalar]) -> str:
    """Fill in ``$name`` and ``${name}``; a name without a value is not replaced."""
    return Template(text).safe_substitute({name: _text(value) for name, value in variables.items()})


def rendered_size(text: str, variables: Mapping[str, Scalar]) -> int:
    """Return the size of the result of ``render`` in bytes, without rendering.

    A short text can name a long variable many times: 128 KiB of ``$a`` and a value of 100 KiB are 6
    GiB.
    """
    sizes = {name: len(_text(value).encode()) for name, value in variables.items()}
    size = len(text.encode())
    for match in Template.pattern.finditer(text):
        name = match["named"] or match["braced"]
        if name in sizes:
            size += sizes[name] - len(match[0])
        elif match["escaped"]:
            size -= 1
    return size


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
