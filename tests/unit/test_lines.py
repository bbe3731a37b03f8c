"""Text of people inside a line that others read."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from dispatcher.lines import one_line

JOINERS = "\u200c\u200d"
FORMAT = [
    chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Cf"
]


def test_no_format_character_passes_except_joiners():
    """Overrides, embeddings, isolates and marks reorder a line; others hide in it."""
    for character in FORMAT:
        kept = character if character in JOINERS else ""
        assert one_line(f"a{character}b") == f"a{kept}b"


def test_every_bidirectional_control_is_a_format_character():
    """Unicode's property Bidi_Control, complete."""
    controls = ["\u061c", "\u200e", "\u200f", *map(chr, range(0x202A, 0x202F))]
    controls += map(chr, range(0x2066, 0x206A))

    assert set(controls) <= set(FORMAT)
    assert one_line("".join(controls)) == ""


@pytest.mark.parametrize("text", ["👩\u200d💻 News", "می\u200cرود", "נִקּוּד 12", "❤\ufe0f"])
def test_texts_of_all_languages_stay(text):
    """Joiners, marks and letters of other directions belong to them."""
    assert one_line(text) == text


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\u2028b", "a\u0085\x1b\x00b", " a\tb\n"])
def test_breaks_and_controls_become_one_space(text):
    """Line breaks of every kind, and what could control a terminal."""
    assert one_line(text) == "a b"


def test_a_lone_surrogate_is_dropped():
    """No encoding has one."""
    assert one_line("a\ud800b") == "ab"
