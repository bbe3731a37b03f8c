"""Plain text for channels without markup."""

from __future__ import annotations

import unicodedata

_LAYOUT = frozenset("\n\t")
_DROPPED = frozenset({"Cc", "Cs"})
"""Unicode categories of control characters and of lone surrogates, which UTF-8 cannot encode."""


def plain(text: str) -> str:
    """Return the text without control characters, its lines ended by LF.

    Control characters can begin escape sequences of a terminal; U+009B does so without an ESC.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        character
        for character in lines
        if character in _LAYOUT or unicodedata.category(character) not in _DROPPED
    )
