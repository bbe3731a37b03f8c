"""The tables of log events and metrics in docs/operations.md, which the code writes."""

from __future__ import annotations

import pytest

from tools.event_catalogue import with_parts
from tools.paths import ROOT


@pytest.mark.parametrize("line", ["<!-- end metrics -->\n", "<!-- begin log events: "])
def test_a_page_without_its_comments_is_an_error(line):
    """Without the comments the tables would silently stay as they are."""
    page = (ROOT / "docs" / "operations.md").read_text().replace(line, "")

    with pytest.raises(ValueError, match="occurs 0 times"):
        with_parts("log events", "metrics")(page)
