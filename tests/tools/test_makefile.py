"""The commands."""

from __future__ import annotations

import re
import subprocess

from tools.paths import ROOT


def make(*arguments, **variables):
    """Run make; return the finished process."""
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_is_the_default_and_lists_every_command():
    """The help of `make` has a line for every command."""
    commands = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    shown = make().stdout

    assert commands
    for command in commands:
        assert re.search(rf"^  make {command} +\w", shown, re.MULTILINE), command


def test_help_groups_the_commands_by_use():
    """Every line of a command follows the heading of its group."""
    groups = re.findall(r"^##@ (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    shown = make("help").stdout

    headings = re.findall(r"^(\S.*):$", shown, re.MULTILINE)
    assert headings == [*groups, "Settings"]
    assert shown.index(f"{headings[0]}:") < shown.index("  make ")


def test_without_a_python_make_says_what_to_install():
    """Not `: command not found`."""
    made = make("setup", "PYTHON=")

    assert made.returncode != 0
    assert "Python 3.11 to 3.14 is needed" in made.stderr
