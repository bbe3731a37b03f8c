"""The reference in the documentation is the help of the program."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from shlex import split

from typer.main import get_command

from dispatch_cli.failures import Exit
from dispatch_cli.main import app
from tests.cli.test_pages import expected_page
from tests.documents import rows
from tools.paths import ROOT

DOCUMENT = ROOT / "docs" / "command-line.md"
MARK = "## Reference\n"


def test_the_reference_is_complete():
    """Every command, argument and option is documented with its help text."""
    command = ["-m", "typer", "dispatch_cli.main", "utils", "docs", "--name", "dispatch"]
    reference = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=True
    ).stdout
    reference = html.unescape(reference).replace("```console", "```text")
    reference = re.sub(r"^#", "###", reference, flags=re.MULTILINE)
    preamble = DOCUMENT.read_text().partition(MARK)[0]

    expected = f"{preamble}{MARK}\n{reference.strip()}\n"

    assert expected_page(DOCUMENT, expected) == expected


def leaves(command, path=()):
    """Yield each command with its path, groups aside."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from leaves(inner, (*path, name))
    else:
        yield path, command


def test_every_command_has_an_example():
    """The help of each command ends with an example, which has valid arguments and options."""
    for path, command in leaves(get_command(app)):
        example = command.help.splitlines()[-1]
        words = split(example.removeprefix("Example: "))

        assert tuple(words[: len(path) + 1]) == ("dispatch", *path), example
        command.make_context(path[-1], words[len(path) + 1 :])


def test_every_help_text_is_a_sentence():
    """The help of each command, argument and option ends with a period."""
    for path, command in leaves(get_command(app)):
        paragraphs = command.help.split("\n\n")[:-1]
        texts = [text for parameter in command.params if (text := parameter.help)]
        for text in (*paragraphs, *texts):
            assert text.rstrip().endswith("."), (path, text)


def test_every_exit_code_is_documented():
    """The table of exit codes is complete."""
    documented = {cells[0] for cells in rows("docs/command-line.md", "Exit codes")}

    assert documented == {f"`{int(code)}`" for code in Exit}
