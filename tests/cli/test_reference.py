"""The reference of the command line is what the program says of itself."""

from __future__ import annotations

import html
import re
import subprocess
import sys

from dispatch_cli.failures import Exit
from tests.cli.test_pages import compared
from tests.documents import rows
from tools.paths import ROOT

DOCUMENT = ROOT / "docs" / "command-line.md"
MARK = "## Reference\n"


def test_the_reference_is_complete():
    """Every command, argument and option, in the program's own words."""
    command = ["-m", "typer", "dispatch_cli.main", "utils", "docs", "--name", "dispatch"]
    said = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=True
    ).stdout
    said = html.unescape(said).replace("```console", "```text")
    said = re.sub(r"^#", "###", said, flags=re.MULTILINE)
    written = DOCUMENT.read_text().partition(MARK)[0]

    expected = f"{written}{MARK}\n{said.strip()}\n"

    assert compared(DOCUMENT, expected) == expected


def test_every_exit_code_is_told():
    """With what it means."""
    told = {cells[0] for cells in rows("docs/command-line.md", "Exit codes")}

    assert told == {f"`{int(code)}`" for code in Exit} | {"`130`"}
