"""A page of the terminal as a picture that stands by itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.terminal_theme import SVG_EXPORT_THEME

if TYPE_CHECKING:
    from rich.console import Console

# Fonts of another server: a picture in a document does not load them, and must not.
STANDALONE = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def svg(console: Console, title: str) -> str:
    """Return what a recording console has shown."""
    return console.export_svg(
        title=title,
        theme=SVG_EXPORT_THEME,
        code_format=STANDALONE,
        unique_id="page",  # the same page is the same file
    )
