"""Lists of integrations in files that cannot import the catalogue."""

from __future__ import annotations

import re

import pytest

from dispatch_cli.commands import options
from dispatcher.integrations import catalogue
from tests.catalogues import made_up, only
from tests.declared import template
from tools import catalogue_parts
from tools.paths import ROOT


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Copies of the files, to be written instead of them."""
    for name in catalogue_parts.PARTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.setattr(catalogue_parts, "ROOT", tmp_path)
    return tmp_path


def test_the_committed_lists_are_those_of_the_catalogue():
    """`make generate` writes them; this test and `make check` compare them."""
    assert catalogue_parts.main(["--check"]) == 0
    assert list(options.TYPES) == list(catalogue())
    body, _ = template()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert re.findall(r'"accepted_(\w+)"', body) == [name.lower() for name in catalogue()]


def test_outdated_lists_are_rejected_until_they_are_written(copies, capsys):
    """The check names the files and the command; what a person wrote in a row stays."""
    before = {name: (copies / name).read_text() for name in catalogue_parts.PARTS}

    with only("SLACK", "TOOL"):
        checked = catalogue_parts.main(["--check"])
        said = capsys.readouterr().err
        unchanged = {name: (copies / name).read_text() for name in catalogue_parts.PARTS}
        written = catalogue_parts.main([])
        again = catalogue_parts.main(["--check"])

    names = ", ".join(catalogue_parts.PARTS)
    assert said == f"{names} differs from the catalogue: make generate\n"
    assert (checked, written, again) == (1, 0, 0)
    assert unchanged == before
    assert (
        'TYPES = ("SLACK", "TOOL")\n'
        in (copies / "cli/dispatch_cli/commands/options.py").read_text()
    )
    readme = (copies / "README.md").read_text()
    assert "| SLACK | `SlackBotTokenSecret` is set | a channel or a direct message |" in readme
    assert "| EMAIL |" not in readme


def test_a_new_integration_gets_a_row_from_its_module(copies):
    """Its docstring says what it is, its config type which keys there are."""
    text = (copies / "README.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| CLI |"))

    written = catalogue_parts.readme(text.replace(f"{row}\n", ""))

    purpose = "an item in the user's mailbox, read by a terminal"
    expected = f"| CLI | always | {purpose} | `include_agent_info` |"
    assert written == text.replace(row, expected)


def test_many_types_are_listed_as_the_formatter_writes_them(monkeypatch):
    """A line of more than 100 characters becomes one line for each type."""
    names = [f"INTEGRATION{number}" for number in range(8)]
    many = {name: made_up(name, 1) for name in names}
    monkeypatch.setattr(catalogue_parts, "catalogue", lambda: many)

    text = catalogue_parts.options('A = 1\nTYPES = ("SLACK",)\nB = 2\n')

    lines = "".join(f'    "{name}",\n' for name in names)
    assert text == f"A = 1\nTYPES = (\n{lines})\nB = 2\n"
    assert catalogue_parts.options(text) == text


@pytest.mark.parametrize("name", catalogue_parts.PARTS)
def test_a_file_without_its_list_is_an_error(name):
    """Otherwise the list would silently stay outdated."""
    with pytest.raises(ValueError, match="occurs 0 times"):
        catalogue_parts.PARTS[name]("nothing\n")
