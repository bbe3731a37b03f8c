"""The terminal output of this program.

Text from elsewhere (messages, errors, names) is data: it is never interpreted as markup, and its
control characters are escaped, so that no message can move the cursor, set the window's title, or
overwrite other output.

On a terminal, text is wrapped at its width and columns are aligned. Elsewhere nothing is wrapped
or padded: a row is one line whose fields are separated by tabs, for ``grep`` and ``cut``.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from dispatch_cli.failures import Failure
    from dispatch_cli.words import Words

STYLES = {"success": "green", "failed": "red", "pending": "yellow", "skipped": "bright_black"}
"""The color of each status."""

PROGRAM = "dispatch"

USUAL_WIDTH = 80
"""Columns of a terminal that does not tell its width, and of a picture."""

LEAST_WIDTH = 10
"""Columns below which a width is ignored."""

GAP = 2
"""Spaces between two columns, and before a field below its row."""

NAME_WIDTH = 16
"""Width of the names in a list of fields."""

LEAST_ROOM = 12
"""The least width of a column that has the room left by the others."""

ENOUGH_ROOM = 24
"""The width at which wrapped text is readable."""

SIGNS = ("=", ",", "/?&", "@", ".-_:")
"""Where a long word is broken: after the last sign of the first kind that it contains."""

JOINERS = "\u200c\u200d"
"""Invisible characters that some scripts and composed emoji need."""

_ASCII = {"•": "*", "✗": "x", "✓": "+", "…": "...", "·": "-"}
"""Replacements of this program's signs on a terminal whose encoding lacks them."""

_ENCODABLE = "dispatch_cli.encodable"


def _encodable(error: UnicodeError) -> tuple[str, int]:
    """Replace a sign by its ASCII form, and escape any other character, as a codec asks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_ASCII.get(character) or escaped(character) for character in text), error.end


codecs.register_error(_ENCODABLE, _encodable)


def make_encodable() -> None:
    """Let standard output and error replace characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ENCODABLE)


def ignore_tiny_width() -> None:
    """Remove a ``COLUMNS`` below 10 from the environment: Rich would print no text at all."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) < LEAST_WIDTH:
        del os.environ["COLUMNS"]


class _Console(Console):
    """A console that leaves a closed pipe to the program."""

    def on_broken_pipe(self) -> None:
        """Raise the error again; Rich would end the program with exit code 1."""
        raise  # noqa: PLE0704 - Rich calls it while it handles the error


class Screen:
    """Standard output and standard error: terminals, files or pipes.

    ``program`` begins the printed commands: ``dispatch`` with the options that name the service.
    """

    def __init__(self, environ: Mapping[str, str], program: str = PROGRAM) -> None:
        # No markup, no emoji codes, no coloring of what looks like a number.
        plain_text: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
        self.out: Console = _Console(file=sys.stdout, _environ=environ, **plain_text)
        self.notes: Console = _Console(file=sys.stderr, _environ=environ, **plain_text)
        self._environ = environ
        self._program = program

    def picture(self) -> Screen:
        """Return a screen of the usual width that records what is printed on it."""
        drawing = Screen({"TTY_COMPATIBLE": "1", "COLUMNS": f"{USUAL_WIDTH}"}, self._program)
        drawing.out = Console(
            file=io.StringIO(),
            record=True,
            width=USUAL_WIDTH,
            force_terminal=True,
            color_system="truecolor",
            markup=False,
            emoji=False,
            highlight=False,
        )
        return drawing

    @property
    def width(self) -> int | None:
        """The width of standard output; ``None`` if it is not a terminal."""
        return self._width(self.out)

    def _width(self, console: Console) -> int | None:
        """Return a terminal's width: ``COLUMNS``, else what the system says."""
        # FORCE_COLOR is a wish for colors; it does not make a terminal of a pipe.
        if not (console.file.isatty() or self._environ.get("TTY_COMPATIBLE") == "1"):
            return None
        columns = self._environ.get("COLUMNS", "")
        if columns.isdecimal() and int(columns):
            return int(columns)
        try:
            return os.get_terminal_size(console.file.fileno()).columns or USUAL_WIDTH
        except (OSError, ValueError):
            return USUAL_WIDTH

    def say(self, text: object = "", style: str = "", indent: int = 0) -> None:
        """Print text, which may have several lines."""
        self._print(self.out, text, style, indent)

    def field(self, name: str, value: object) -> None:
        """Print a named value."""
        if self.width is None:
            self.tabbed((plain(name), plain(value)))
            return
        left = GAP + NAME_WIDTH + 1
        # An ID stays in one piece, so that it can be copied.
        first, *rest = wrapped(plain(value), self._room(self.out, left))
        self._line(self.out, Text(f"{' ' * GAP}{name:<{NAME_WIDTH}} {first}"))
        for line in rest:
            self._line(self.out, Text(f"{' ' * left}{line}"))

    def tabbed(self, texts: Sequence[str]) -> None:
        """Print fields for a program that reads them."""
        # To the file and not to the console, which would replace the tabs.
        self.out.file.write("\t".join(text or "-" for text in texts) + "\n")
        self.out.file.flush()

    def bullet(self, mark: str, style: str, text: str, advice: str) -> None:
        """Print an item of a list and, below it, the next step."""
        first, *rest = wrapped(plain(text), self._room(self.out, GAP), break_words=True)
        self._line(self.out, Text.assemble((mark, style), " ", (first, "bold")))
        for line in rest:
            self._line(self.out, Text(f"{' ' * GAP}{line}", "bold"))
        self._advise(self.out, advice, indent=GAP)

    def points(self, words_by_name: Iterable[tuple[str, Words]]) -> None:
        """Print a list of names, each with its meaning and the next step."""
        for name, words in words_by_name:
            self.bullet("•", "yellow", f"{name}: {words.meaning}", words.advice)

    def advise(self, advice: str) -> None:
        """Print the next step as part of the output."""
        self._advise(self.out, advice)

    def note(self, text: str) -> None:
        """Print a hint to standard error."""
        self._advise(self.notes, text, style="bright_black")

    def json(self, response: object, *, line: bool = False) -> None:
        """Print a response as JSON, with ``line`` on a single line."""
        text = json.dumps(response, ensure_ascii=False, indent=None if line else 2)
        # To the file and not to the console, which would wrap lines.
        self.out.file.write(harmless_json(text) + "\n")
        self.out.file.flush()

    def table(self, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows below their column names; numbers are right-aligned."""
        rows = list(rows)
        columns = list(zip(names, zip(*rows, strict=True), strict=True)) if rows else []
        widths: dict[str, int | None] = {
            name: max(cell_len(plain(text)) for text in (name, *column)) for name, column in columns
        }
        *_, last = names
        least = min(widths[last] or 0, ENOUGH_ROOM) if rows else 0
        numbers = {
            name for name, column in columns if all(isinstance(value, int) for value in column)
        }
        table = Table(self, widths | {last: None}, numbers=numbers, least=least, is_cut=False)
        table.head()
        for row in rows:
            table.row(row)

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
        first, *rest = self._wrapped(self.notes, f"error: {plain(failure, lines=True)}")
        label, _, text = first.partition(" ")
        self._line(self.notes, Text.assemble((label, "bold red"), " ", text))
        for line in rest:
            self._line(self.notes, Text(line))
        for detail in failure.details:
            self._print(self.notes, plain(detail), indent=GAP)
        self._advise(self.notes, failure.advice)

    def _advise(self, console: Console, advice: str, *, indent: int = 0, style: str = "") -> None:
        """Print the next step; a line with a command is not wrapped, so that it can be copied."""
        for line in filter(None, advice.split("\n")):
            purpose, is_command, arguments = plain(line).partition(f": {PROGRAM} ")
            if is_command:
                # A login names its service itself.
                program = PROGRAM if arguments.startswith("login ") else self._program
                text = f"{' ' * indent}{purpose}: {program} {arguments}"
                self._line(console, Text(text, style))
            else:
                self._print(console, line, style, indent)

    def _print(self, console: Console, text: object, style: str = "", indent: int = 0) -> None:
        for line in self._wrapped(console, plain(text, lines=True), indent):
            self._line(console, Text(f"{' ' * indent}{line}" if line else "", style))

    def _wrapped(self, console: Console, text: str, indent: int = 0) -> list[str]:
        room = self._room(console, indent)
        return [part for line in text.split("\n") for part in wrapped(line, room)]

    def _room(self, console: Console, indent: int) -> int | None:
        width = self._width(console)
        return None if width is None else max(1, width - indent)

    def _line(self, console: Console, text: Text) -> None:
        console.print(text, soft_wrap=True)


class Table:
    """Rows in columns, printed as they come.

    A column with a width is never broken. A column without one, which must be the last, has the
    room that is left: its text is wrapped, or cut with an ellipsis. If the terminal is too narrow,
    the last columns are printed on separate lines below the first ones.

    ``detail`` names a text that is printed below its row; where there is no terminal, it is one
    more column.
    """

    def __init__(
        self,
        screen: Screen,
        columns: Mapping[str, int | None],
        *,
        numbers: Collection[str] = (),
        least: int = LEAST_ROOM,
        is_cut: bool = True,
        detail: str = "",
    ) -> None:
        self._screen = screen
        self._columns = columns
        self._numbers = numbers
        self._is_cut = is_cut
        self._detail = detail
        self._width = screen.width
        widths = [least if width is None else width for width in columns.values()]
        self._beside = len(widths)
        while self._beside > 1 and sum(widths[: self._beside]) + GAP * (self._beside - 1) > (
            self._width or sys.maxsize
        ):
            self._beside -= 1

    def head(self) -> None:
        """Print the column names."""
        if self._width is None:
            self._screen.tabbed([*self._columns, *filter(None, [self._detail])])
        else:
            self._row([(name, "bold") for name in self._columns])

    def row(self, cells: Sequence[object], detail: str = "") -> None:
        """Print a row and its detail."""
        texts = list(map(plain, cells))
        if self._width is None:
            self._screen.tabbed([*texts, *([plain(detail)] if self._detail else [])])
            return
        self._row([(text, STYLES.get(text, "")) for text in texts])
        first = next(iter(self._columns.values())) or 0
        indent = first + GAP if self._beside == len(self._columns) else GAP
        for line in wrapped(plain(detail), self._width - indent, break_words=True):
            if line:
                self._print(Text(f"{' ' * indent}{line}"))

    def _row(self, cells: Sequence[tuple[str, str]]) -> None:
        """Print cells, each a text and its style, side by side as far as they fit."""
        line, left, below = Text(), 0, list[Text]()
        columns = zip(cells, self._columns.items(), strict=True)
        for place, ((text, style), (name, width)) in enumerate(columns):
            if place >= self._beside:
                below += self._filled(text, style, GAP)
                continue
            if width is None:
                first, *rest = self._filled(text, style, left)
                line += first[left:]
                below += rest
                continue
            gap = " " * max(0, width - cell_len(text))
            parts = (gap, (text, style)) if name in self._numbers else ((text, style), gap)
            line = Text.assemble(line, *parts, " " * GAP)
            left += width + GAP
        for part in (line, *below):
            part.rstrip()
            if part or part is line:
                self._print(part)

    def _filled(self, text: str, style: str, left: int) -> list[Text]:
        """Return a text in the room between ``left`` and the terminal's edge, one item a line."""
        room = max(1, (self._width or 0) - left)
        if self._is_cut and cell_len(text) > room:
            lines = [set_cell_size(text, room - 1).rstrip() + "…"]
        else:
            lines = wrapped(text, room, break_words=True)
        return [Text(" " * left) + Text(line, style) for line in lines]

    def _print(self, text: Text) -> None:
        self._screen.out.print(text, soft_wrap=True)


def wrapped(text: str, width: int | None, *, break_words: bool = False) -> list[str]:
    """Break a line between words; without a width it stays whole.

    A word that is longer than a line stays whole, too, unless ``break_words``.
    """
    if width is None or cell_len(text) <= width:
        return [text]
    lines = [""]
    for match in re.finditer(r"(\s*)(\S+)", text):
        gap, word = match.groups()
        if lines[-1] and cell_len(lines[-1] + gap + word) > width:
            parts = list(pieces(word, width)) if break_words else [word]
            if cell_len(lines[-1] + gap + parts[0]) <= width and len(parts) > 1:
                lines[-1] += gap + parts.pop(0)
            lines += parts
        else:
            parts = list(pieces(gap + word, width)) if break_words else [gap + word]
            lines[-1] += parts[0]
            lines += parts[1:]
    return lines


def pieces(word: str, width: int) -> Iterator[str]:
    """Cut a word into pieces that fit, after a sign between two parts if there is one."""
    while cell_len(word) > width:
        head = chop_cells(word, width)[0] or word[0]
        ends = (max(map(head.rfind, signs)) + 1 for signs in SIGNS)
        cut = next(filter(None, ends), len(head))
        yield word[:cut]
        word = word[cut:]
    yield word


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
