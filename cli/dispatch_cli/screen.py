"""Everything that this program shows.

What comes from elsewhere (messages, errors, names) is data: it is never read as markup, and its
control characters are shown and not obeyed, so that no message can move the cursor, set the
window's title, or write over what stands above it.
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
"""The colour of each status."""

SIGNS = ("=", ",", "/?&", "@", ".-_:")
"""Where a word that is too long is broken: after the last of the first kind that it has."""

_WORD = re.compile(r"\S+")

JOINERS = "\u200c\u200d"
"""Invisible, and needed to write some languages and to compose emoji."""


class Screen:
    """A terminal, or the file or pipe that stands in for it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal that cannot show a character gets its escape, and not a stack trace.
                stream.reconfigure(errors="backslashreplace")
        # No markup, no emoji codes, no colouring of what looks like a number.
        plainly: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
        self.out = Console(file=sys.stdout, _environ=environ, **plainly)
        self.notes = Console(file=sys.stderr, _environ=environ, **plainly)

    def say(self, text: object = "", style: str = "", indent: int = 0) -> None:
        """Show text of several lines at most."""
        lines = plain(text, lines=True).split("\n")
        self.out.print(*(Text(" " * indent + line, style) for line in lines), sep="\n")

    def bullet(self, mark: str, style: str, text: str, advice: str) -> None:
        """Show a point of a list, and under it what to do about it."""
        table = Table.grid(padding=(0, 1))
        table.add_row(Text(mark, style), Cell(plain(text), "bold"))
        self.out.print(table)
        _advise(self.out, advice, indent=2)

    def points(self, told: Iterable[tuple[str, Words]]) -> None:
        """Show what each of a few things means, and under it what to do about it."""
        for name, words in told:
            self.bullet("•", "yellow", f"{name}: {words.meaning}", words.advice)

    def advise(self, advice: str) -> None:
        """Show what to do next, as part of the answer."""
        _advise(self.out, advice)

    def note(self, text: str) -> None:
        """Tell the person something that is no part of the answer."""
        _advise(self.notes, text, style="bright_black")

    def json(self, answer: object, *, line: bool = False) -> None:
        """Write an answer as JSON, on one line if asked."""
        text = json.dumps(answer, ensure_ascii=False, indent=None if line else 2)
        # A file and not the console: nothing may be wrapped.
        self.out.file.write(harmless_json(text) + "\n")
        self.out.file.flush()

    def table(self, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show rows under their names; a number stands at the right."""
        rows = list(rows)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        for index, name in enumerate(names):
            right = bool(rows) and all(isinstance(row[index], int) for row in rows)
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(cell, row))
        self.out.print(table)

    def progress(self) -> Progress:
        """Return a progress bar, which only a terminal shows."""
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=self.notes,
            transient=True,
            disable=not self.notes.is_terminal,
        )

    def failure(self, failure: Failure) -> None:
        """Tell what went wrong, and what to do next."""
        self.notes.print(Text.assemble(("error: ", "bold red"), plain(failure, lines=True)))
        table = Table.grid(padding=(0, 1))
        for detail in failure.details:
            table.add_row("", Cell(plain(detail)))
        if failure.details:
            self.notes.print(table)
        _advise(self.notes, failure.advice)


def _advise(console: Console, advice: str, *, indent: int = 0, style: str = "") -> None:
    """Show what to do next; a line with a command stays in one piece, so that it can be copied."""
    for line in filter(None, advice.split("\n")):
        text = Text(plain(line), style)
        if "dispatch " in line:
            console.print(Text(" " * indent) + text, soft_wrap=True)
        else:
            console.print(Padding(text, (0, 0, 0, indent), expand=False))


class Listing:
    """Lines in columns, shown one by one, so that more can follow at any time."""

    def __init__(self, screen: Screen, columns: Mapping[str, int]) -> None:
        self._screen = screen
        self._columns = columns

    def head(self) -> None:
        """Show the names of the columns."""
        self._line([Text(name, "bold") for name in self._columns])

    def row(self, cells: Sequence[object], detail: str = "") -> None:
        """Show one line, and under it what no column has room for."""
        self._line([cell(one) for one in cells])
        if detail:
            table = Table.grid(padding=(0, 2))
            table.add_row(" " * next(iter(self._columns.values())), Cell(plain(detail)))
            self._screen.out.print(table)

    def _line(self, cells: Sequence[Text | Cell]) -> None:
        table = Table.grid(padding=(0, 2))
        for width in self._columns.values():
            table.add_column(width=width, overflow="fold")
        table.add_row(*cells)
        self._screen.out.print(table)


class Cell:
    """Text of a table, whose long words are broken where readers expect it."""

    def __init__(self, text: str, style: str = "") -> None:
        self._text = Text(text, style, overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Ask for as much room as the text does."""
        return Measurement.get(console, options, self._text)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Break the text for the room that there is."""
        broken = self._text.copy()
        broken.plain = _WORD.sub(
            lambda found: "\n".join(pieces(found[0], options.max_width)), self._text.plain
        )
        yield broken


def pieces(word: str, width: int) -> Iterator[str]:
    """Cut a word until each piece fits: after a sign between two parts, if there is one."""
    while cell_len(word) > width:
        head = chop_cells(word, width)[0] or word[0]
        ends = (max(map(head.rfind, signs)) + 1 for signs in SIGNS)
        cut = next(filter(None, ends), len(head))
        yield word[:cut]
        word = word[cut:]
    yield word


def cell(value: object) -> Cell:
    """Return what a table shows; a status has its colour."""
    text = plain(value)
    return Cell(text, STYLES.get(text, ""))


def plain(value: object, *, lines: bool = False) -> str:
    """Make text harmless: what a terminal could obey is shown as Python would write it.

    With ``lines``, line breaks stay.
    """
    text = str(value).replace("\t", "    ").replace("\r\n", "\n")
    return "".join(
        character
        if not is_risky(character) or (lines and character == "\n")
        else escaped(character)
        for character in text
    )


def harmless_json(text: str) -> str:
    """Write the same JSON with every risky character as an escape of JSON's own."""
    return "".join(
        json.dumps(character)[1:-1] if is_risky(character) and character != "\n" else character
        for character in text
    )


def is_risky(character: str) -> bool:
    """Tell whether a terminal could obey this, or show the rest of the line in another order."""
    if character in JOINERS:
        return False
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def escaped(character: str) -> str:
    """Write a character as Python does."""
    return character.encode("unicode_escape").decode()
