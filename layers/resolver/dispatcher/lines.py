"""Text of people inside a line that others read."""

from __future__ import annotations

import re
import unicodedata

_JOINERS = frozenset("\u200c\u200d")
"""They reorder nothing, and emoji and the words of some languages need them."""

_DROPPED = frozenset({"Cf", "Cs"})
"""Unicode categories of format characters, such as U+202E, and of lone surrogates."""

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def one_line(text: str) -> str:
    """Return the text without characters that end a line, or that reorder or hide the rest of it.

    A format character such as U+202E reorders all that follows it in its line, also our own words.
    """
    if not text.isprintable():
        text = "".join(
            character
            for character in text
            if character in _JOINERS or unicodedata.category(character) not in _DROPPED
        )
    return _BREAKS.sub(" ", text).strip()
