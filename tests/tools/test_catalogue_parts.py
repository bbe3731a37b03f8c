"""Lists of integrations in files that cannot import the catalogue."""

from __future__ import annotations

import re

import pytest

from dispatch_cli.commands import options
from dispatcher.integrations import catalogue
from tests.catalogues import made_up
from tests.declared import template
from tools import catalogue_parts
from tools.paths import ROOT


def test_the_committed_lists_are_those_of_the_catalogue():
    """Each list has the catalogue's integrations, in its order."""
    assert list(options.TYPES) == list(catalogue())
    body, _ = template()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert re.findall(r'"accepted_(\w+)"', body) == [name.lower() for name in catalogue()]


def test_a_new_integration_gets_a_row_from_its_module():
    """Its docstring says what it is, its config type which keys there are."""
    text = (ROOT / "README.md").read_text()
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
