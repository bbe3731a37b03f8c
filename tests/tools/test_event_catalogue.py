"""The tables of log events and metrics in docs/operations.md, which the code writes."""

from __future__ import annotations

import pytest

from tools import event_catalogue


def test_the_committed_tables_are_what_the_code_says():
    """`make event-catalogue` writes the tables; this test and `make check` compare them."""
    assert event_catalogue.main(["--check"]) == 0


def test_an_outdated_table_is_rejected_until_it_is_written(monkeypatch, tmp_path, capsys):
    """The check names the command that writes the tables, which changes nothing else."""
    current = event_catalogue.DOCUMENT.read_text()
    copy = tmp_path / "operations.md"
    copy.write_text(current.replace("| `round.opened` | INFO |", "| `round.begun` | INFO |"))
    monkeypatch.setattr(event_catalogue, "DOCUMENT", copy)

    before = event_catalogue.main(["--check"])
    error = capsys.readouterr().err
    event_catalogue.main([])
    after = event_catalogue.main(["--check"])

    assert (before, after) == (1, 0)
    assert error == "docs/operations.md differs from events.py: make event-catalogue\n"
    assert copy.read_text() == current


@pytest.mark.parametrize("line", ["<!-- end metrics -->\n", "<!-- begin log events: "])
def test_a_page_without_its_comments_is_an_error(line):
    """Without the comments the tables would silently stay as they are."""
    page = event_catalogue.DOCUMENT.read_text().replace(line, "")

    with pytest.raises(ValueError, match="no comments that begin and end"):
        event_catalogue.text(page)
