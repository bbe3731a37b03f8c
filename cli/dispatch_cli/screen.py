"""The terminal output of this program.

Text from elsewhere (messages, errors, names) is data: it is never interpreted as markup, and its
control characters are escaped, so that no message can move the cursor, set the window's title, or
overwrite other output.
"""

from __future__ import annotations

import io
import json
import re
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import ConsoleOptions

    from dispatch_cli.failures import Failure
    from dispatch_cli.words import Words

STYLES = {"success": "green", "failed": "red", "pending": "yellow", "skipped": "bright_black"}
"""The color of each status."""

GAP = 2
"""Spaces between the columns of a listing."""

LEAST_ROOM = 12
"""The least width of a column that has the room left by the others."""

SIGNS = ("=", ",", "/?&", "@", ".-_:")
"""Where a long word is broken: after the last sign of the first kind that it contains."""

_WORD = re.compile(r"\S+")

JOINERS = "\u200c\u200d"
"""Invisible characters that some scripts and composed emoji need."""


class Screen:
    """Standard output and standard error: terminals, files or pipes."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A character that the terminal's encoding lacks is escaped; it would raise.
                stream.reconfigure(errors="backslashreplace")
        # No markup, no emoji codes, no coloring of what looks like a number.
        plain_text: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
        self.out = Console(file=sys.stdout, _environ=environ, **plain_text)
        self.notes = Console(file=sys.stderr, _environ=environ, **plain_text)

    def say(self, text: object = "", style: str = "", indent: int = 0) -> None:
        """Print text, which may have several lines."""
        lines = plain(text, lines=True).split("\n")
        self.out.print(*(Text(" " * indent + line, style) for line in lines), sep="\n")

    def bullet(self, mark: str, style: str, text: str, advice: str) -> None:
        """Print an item of a list and, below it, the next step."""
        table = Table.grid(padding=(0, 1))
        table.add_row(Text(mark, style), Cell(plain(text), "bold"))
        self.out.print(table)
        _advise(self.out, advice, indent=2)

    def points(self, words_by_name: Iterable[tuple[str, Words]]) -> None:
        """Print a list of names, each with its meaning and the next step."""
        for name, words in words_by_name:
            self.bullet("•", "yellow", f"{name}: {words.meaning}", words.advice)

    def advise(self, advice: str) -> None:
        """Print the next step as part of the output."""
        _advise(self.out, advice)

    def note(self, text: str) -> None:
        """Print a hint to standard error."""
        _advise(self.notes, text, style="bright_black")

    def json(self, response: object, *, line: bool = False) -> None:
        """Print a response as JSON, with ``line`` on a single line."""
        text = json.dumps(response, ensure_ascii=False, indent=None if line else 2)
        # To the file and not to the console, which would wrap lines.
        self.out.file.write(harmless_json(text) + "\n")
        self.out.file.flush()

    def table(self, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows below their column names; numbers are right-aligned."""
        rows = list(rows)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        for index, name in enumerate(names):
            is_number = bool(rows) and all(isinstance(row[index], int) for row in rows)
            table.add_column(name, justify="right" if is_number else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(cell, row))
        self.out.print(table)

    def progress(self) -> Progress:
        """Return a progress bar, which is only visible on a terminal."""
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=self.notes,
            transient=True,
            disable=not self.notes.is_terminal,
        )

    def failure(self, failure: Failure) -> None:
        """Print an error, its details and the next step to standard error."""
        self.notes.print(Text.assemble(("error: ", "bold red"), plain(failure, lines=True)))
        table = Table.grid(padding=(0, 1))
        for detail in failure.details:
            table.add_row("", Cell(plain(detail)))
        if failure.details:
            self.notes.print(table)
        _advise(self.notes, failure.advice)


def _advise(console: Console, advice: str, *, indent: int = 0, style: str = "") -> None:
    """Print the next step; a line with a command is not wrapped, so that it can be copied."""
    for line in filter(None, advice.split("\n")):
        text = Text(plain(line), style)
        if "dispatch " in line:
            console.print(Text(" " * indent) + text, soft_wrap=True)
        else:
            console.print(Padding(text, (0, 0, 0, indent), expand=False))


class Listing:
    """Rows in columns, printed as they come.

    A column with a width is never broken, even if the terminal is too narrow. A column without a
    width has the room that is left, and its text is cut with an ellipsis.
    """

    def __init__(self, screen: Screen, columns: Mapping[str, int | None]) -> None:
        self._screen = screen
        self._columns = columns
        fixed = sum(GAP + width for width in columns.values() if width is not None)
        self._room = max(LEAST_ROOM, screen.out.width - fixed)

    def head(self) -> None:
        """Print the column names."""
        self._line([Text(name, "bold") for name in self._columns])

    def row(self, cells: Sequence[object], detail: str = "") -> None:
        """Print a row and, below it, a detail that fits no column."""
        self._line([self._cell(*cell) for cell in zip(cells, self._columns.values(), strict=True)])
        if detail:
            table = Table.grid(padding=(0, GAP))
            table.add_row(" " * (next(iter(self._columns.values())) or 0), Cell(plain(detail)))
            self._screen.out.print(table)

    def _cell(self, value: object, width: int | None) -> Text:
        text = Text(plain(value))
        if width is None:
            text.truncate(self._room, overflow="ellipsis")
        else:
            text.stylize(STYLES.get(text.plain, ""))
        return text

    def _line(self, cells: Sequence[Text]) -> None:
        line = Text()
        for cell, width in zip(cells, self._columns.values(), strict=True):
            line += cell
            line.pad_right(GAP + max(0, (width or self._room) - cell.cell_len))
        line.rstrip()
        self._screen.out.print(line, soft_wrap=True)


class Cell:
    """Text of a table, whose long words are broken at the signs in ``SIGNS``."""

    def __init__(self, text: str, style: str = "") -> None:
        self._text = Text(text, style, overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return the width of the text."""
        return Measurement.get(console, options, self._text)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Break the text for the available width."""
        broken = self._text.copy()
        broken.plain = _WORD.sub(
            lambda match: "\n".join(pieces(match[0], options.max_width)), self._text.plain
        )
        yield broken


def pieces(word: str, width: int) -> Iterator[str]:
    """Cut a word into pieces that fit, after a sign between two parts if there is one."""
    while cell_len(word) > width:
        head = chop_cells(word, width)[0] or word[0]
        ends = (max(map(head.rfind, signs)) + 1 for signs in SIGNS)
        cut = next(filter(None, ends), len(head))
        yield word[:cut]
        word = word[cut:]
    yield word


def cell(value: object) -> Cell:
    """Return the cell of a value; a status has its color."""
    text = plain(value)
    return Cell(text, STYLES.get(text, ""))


def plain(value: object, *, lines: bool = False) -> str:
    """Escape each character that a terminal could interpret, as Python would write it.

    With ``lines``, line breaks are preserved.
    """
    text = str(value).replace("\t", "    ").replace("\r\n", "\n")
    return "".join(
        character
        if not is_risky(character) or (lines and character == "\n")
        else escaped(character)
        for character in text
    )


def harmless_json(text: str) -> str:
    """Return the same JSON with each risky character as a JSON escape."""
    return "".join(
        json.dumps(character)[1:-1] if is_risky(character) and character != "\n" else character
        for character in text
    )


def is_risky(character: str) -> bool:
    """Return whether a terminal could interpret it, or reorder the rest of the line."""
    if character in JOINERS:
        return False
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def escaped(character: str) -> str:
    """Return a character as Python would write it."""
    return character.encode("unicode_escape").decode()
