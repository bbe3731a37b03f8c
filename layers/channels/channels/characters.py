"""Characters as people see them: the extended grapheme clusters of UAX 29."""

from __future__ import annotations

from typing import TYPE_CHECKING

import regex

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHARACTER = regex.compile(r"\X")


def character_ends(text: str, start: int = 0) -> Iterator[int]:
    """Yield where each character ends: a flag, a family, a letter with its accents."""
    return (found.end() for found in _CHARACTER.finditer(text, start))
