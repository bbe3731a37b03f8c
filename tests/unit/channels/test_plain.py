"""Text for where nothing but text can be shown."""

from __future__ import annotations

import pytest

from channels.plain import plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two\r\nlines\rand\nmore\t!", "two\nlines\nand\nmore\t!"),
        ("\x1b[2J\x1b[31mred", "[2J[31mred"),
        ("\x9b31mred\x85\x00\x7f\ud83d", "31mred"),
        ("👩\u200d👩\u200d👧 naïve €", "👩\u200d👩\u200d👧 naïve €"),
        ('=HYPERLINK("http://evil.example")', '=HYPERLINK("http://evil.example")'),
    ],
)
def test_nothing_steers_what_shows_the_text(text, expected):
    """Control characters of both tables go, everything that can be read stays."""
    assert plain(text) == expected
