"""The state diagram in docs/architecture.md, which the code writes."""

from __future__ import annotations

import re

import pytest

from dispatcher.delivery.transitions import TABLE
from tools.event_catalogue import state_diagram, with_parts
from tools.paths import ROOT

EDGE = re.compile(r"^  (\S+) --> (\w+): ([^:;\n]+)$", re.MULTILINE)


def test_the_diagram_has_every_change_of_the_table_once():
    """Changes between the same two states share an edge, whose label names each reason once."""
    drawn = {
        (None if before == "[*]" else before, after): label.split("<br/>")
        for before, after, label in EDGE.findall(state_diagram())
    }
    reasons: dict = {}
    for changes in TABLE.values():
        for change, label in changes.items():
            reasons.setdefault(change, set()).add(label)

    assert {change: sorted(labels) for change, labels in drawn.items()} == {
        change: sorted(labels) for change, labels in reasons.items()
    }


def test_the_diagram_is_mermaid():
    """Every line is the header or an edge, and no label has a character that ends it."""
    first, header, *edges, last = state_diagram().splitlines()

    assert (first, header, last) == ("```mermaid", "stateDiagram-v2", "```")
    assert all(EDGE.fullmatch(edge) for edge in edges)


@pytest.mark.parametrize("comment", ["<!-- begin state diagram: ", "<!-- end state diagram -->\n"])
def test_a_page_without_its_comments_is_an_error(comment):
    """A page without one of the two comments is an error."""
    page = (ROOT / "docs" / "architecture.md").read_text().replace(comment, "")

    with pytest.raises(ValueError, match="occurs 0 times"):
        with_parts("state diagram")(page)
