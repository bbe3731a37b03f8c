"""Tell a person at a terminal what happens, and hold each step to what was expected.

On a terminal in color and with a progress display; elsewhere, with ``NO_COLOR`` and on a dumb
terminal, in plain lines.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PLAIN_WIDTH = 120
"""Columns, if the terminal's width is unknown."""


class CheckFailedError(Exception):
    """A step came out differently: the text says what was expected, what came and where to look."""

    def __init__(self, rule: str, *, expected: object, came: object, log: str) -> None:
        super().__init__(f"{rule}\n  expected: {expected}\n  came:     {came}\n  log:      {log}")


def terminal(environ: Mapping[str, str] = os.environ) -> Console:
    """Return the console of this process."""
    # NO_COLOR disables color; its user wants to read or keep plain text.
    forced = False if environ.get("NO_COLOR") else None
    console = Console(highlight=False, force_terminal=forced, _environ=environ)
    if not console.is_terminal and "COLUMNS" not in environ:
        console.width = PLAIN_WIDTH
    return console


class Narrator:
    """Prints scenes and their checks, and counts both."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._plain = not console.is_terminal or console.is_dumb_terminal
        self.scenes = 0
        self.checks = 0

    def scene(self, title: str) -> None:
        """Begin a scene."""
        self.scenes += 1
        self._console.print()
        self._console.print(f"[bold cyan]{self.scenes}  {escape(title)}[/]")

    def says(self, text: str) -> None:
        """Tell something."""
        self._console.print(f"   {escape(text)}", soft_wrap=True)

    def shows(self, request: str) -> None:
        """Name the request that is made, as a person would type it."""
        self._console.print(f"   [dim]{escape(request)}[/]", soft_wrap=True)

    def rows(
        self, header: Sequence[str], rows: Sequence[Sequence[object]], *, long: bool = False
    ) -> None:
        """Show a small table; in a ``long`` one the last column has as many lines as it needs."""
        table = Table(
            box=box.HORIZONTALS if long else None,
            show_edge=False,
            show_lines=long,
            border_style="dim",
            pad_edge=False,
            padding=(0, 3, 0, 0),
            header_style="dim",
        )
        for name in header:
            wraps = long and name == header[-1]
            table.add_column(name, no_wrap=not wraps, overflow="fold" if wraps else "ellipsis")
        for row in rows:
            table.add_row(*(escape(str(cell)) for cell in row))
        self._console.print(Padding(table, (0, 0, 0, 3), expand=False))

    def check(
        self, rule: str, *, came: object, expected: object, log: str, holds: bool | None = None
    ) -> None:
        """Say that a rule held, or raise ``CheckFailedError``.

        It holds where ``came`` equals ``expected``, or where ``holds`` says so and ``expected`` is
        only told.
        """
        if not (came == expected if holds is None else holds):
            raise CheckFailedError(rule, expected=expected, came=came, log=log)
        self.checks += 1
        self._console.print(f"   [green]✓[/] {escape(rule)}", soft_wrap=True)

    def verdict(self, rule: str, broken: Sequence[str], *, at_most: int) -> None:
        """Say that a rule held, or in how many cases it did not, with some of them."""
        if not broken:
            self._console.print(f"   [green]✓[/] {escape(rule)}", soft_wrap=True)
            return
        self._console.print(f"   [bold red]✗[/] [bold]{escape(rule)}[/]: {len(broken)} times not")
        for case in broken[:at_most]:
            self._console.print(f"     {escape(case)}", soft_wrap=True)

    @contextmanager
    def waiting(self, text: str, total: int) -> Iterator[Callable[[int, str], None]]:
        """Show a bar while the block lasts; it moves by calling what is yielded.

        In plain output one line says what is waited for.
        """
        if self._plain:
            self.says(f"{text} …")
        columns = (
            TextColumn("  "),
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TextColumn("[dim]{task.completed:.0f} of {task.total:.0f}[/]"),
            TimeElapsedColumn(),
        )
        with Progress(
            *columns, console=self._console, transient=True, disable=self._plain
        ) as progress:
            task = progress.add_task(escape(text), total=total)
            yield lambda done, now: progress.update(task, completed=done, description=escape(now))

    def failed(self, error: Exception) -> None:
        """Print the error."""
        first, *rest = str(error).splitlines()
        self._console.print(f"   [bold red]✗[/] [bold]{escape(first)}[/]", soft_wrap=True)
        for line in rest:
            self._console.print(f"   {escape(line)}", soft_wrap=True)

    def ends(self, text: str) -> None:
        """End the demo."""
        self._console.print()
        self._console.print(f"[bold]{escape(text)}[/]", soft_wrap=True)
