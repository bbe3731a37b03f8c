"""A terminal page as a self-contained SVG picture."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.terminal_theme import SVG_EXPORT_THEME

if TYPE_CHECKING:
    from rich.console import Console

# Without the web fonts, which an SVG in a document must not load from another server.
STANDALONE = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def svg(console: Console, title: str) -> str:
    """Return the output of a recording console as SVG."""
    return console.export_svg(
        title=title,
        theme=SVG_EXPORT_THEME,
        code_format=STANDALONE,
        unique_id="page",  # the same page yields the same file
    )
