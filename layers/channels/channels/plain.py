"""Text for where nothing but text can be shown."""

from __future__ import annotations

import unicodedata

_LAYOUT = frozenset("\n\t")
_DROPPED = frozenset({"Cc", "Cs"})
"""Control characters, and halves of characters that have no form in UTF-8."""


def plain(text: str) -> str:
    """Return the text without control characters, its lines ended by LF.

    Escape sequences steer a terminal, those of C1 (U+009B) without an ESC in them.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        character
        for character in lines
        if character in _LAYOUT or unicodedata.category(character) not in _DROPPED
    )
