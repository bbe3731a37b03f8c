"""Parts of files that are made from the code."""

from __future__ import annotations

import pytest

from tests.catalogues import only
from tools import generate
from tools.paths import ROOT

README, OPTIONS = "README.md", "cli/dispatch_cli/commands/options.py"

OUTDATED = {
    "docs/openapi.json": ('"openapi": "3.1.0"', '"openapi": "3.0.0"'),
    "docs/operations.md": ("| `round.opened` | INFO |", "| `round.begun` | INFO |"),
    "docs/architecture.md": ("  failed --> pending:", "  failed --> success:"),
    "README.md": ("| CLI |", "| OLD | always | nowhere | none |\n| CLI |"),
    "template.yaml": ('"label": "CLI"', '"label": "OLD"'),
    OPTIONS: ("TYPES = (", 'TYPES = ("OLD", '),
}


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Copies of the files, to be written instead of them."""
    for name in generate.PARTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    return tmp_path


def test_the_committed_files_are_what_the_code_says():
    """`make generate` writes the files; this test and `make check` compare them."""
    assert generate.main(["--check"]) == 0


@pytest.mark.parametrize("name", generate.PARTS)
def test_an_outdated_part_is_rejected_until_it_is_written(copies, capsys, name):
    """The check names the file and the command, which changes nothing but the part."""
    current = (copies / name).read_text()
    outdated = current.replace(*OUTDATED[name], 1)
    (copies / name).write_text(outdated)

    checked = generate.main(["--check"])
    error, unchanged = capsys.readouterr().err, (copies / name).read_text()
    written = generate.main([name])

    assert error == f"{name} differs from the code: make generate\n"
    assert unchanged == outdated != current
    assert (checked, written, generate.main(["--check"])) == (1, 0, 0)
    assert (copies / name).read_text() == current


def test_a_missing_document_is_written(copies):
    """The document is made of the code alone, so it needs no file to begin with."""
    (copies / "docs" / "openapi.json").unlink()

    assert generate.main(["docs/openapi.json"]) == 0
    assert generate.main(["--check"]) == 0


def test_lists_follow_the_catalogue(copies):
    """An integration that is gone leaves every list; the words that a person wrote stay."""
    lists = [README, "template.yaml", OPTIONS]

    with only("SLACK", "TOOL"):
        generate.main(lists)

    assert 'TYPES = ("SLACK", "TOOL")\n' in (copies / OPTIONS).read_text()
    readme = (copies / README).read_text()
    assert "| SLACK | `SlackBotTokenSecret` is set | a channel or a direct message |" in readme
    assert "| EMAIL |" not in readme
