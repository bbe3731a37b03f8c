"""docs/authentication.md names every route with its scope, and every scope there is."""

from __future__ import annotations

import re

from dispatcher.access.policy import PREFERENCES, SCOPES
from dispatcher.edges.routes import ROUTES
from tests.documents import rows

DOCUMENT = "docs/authentication.md"


def test_every_route_is_told_with_its_scope():
    """In the order of the list that the service goes by."""
    listed = [
        (cells[0].strip("`"), cells[1].replace("`", ""))
        for cells in rows(DOCUMENT, "Routes and scopes")
    ]

    assert listed == [
        (f"{one.method} {one.path}", " or ".join(one.scopes or ("open",))) for one in ROUTES
    ]


def test_every_scope_is_explained():
    """None is missing, none invented."""
    cells = (row[0] for row in rows(DOCUMENT, "Scopes"))

    assert set(re.findall(r"`([\w:]+)`", " ".join(cells))) == {*SCOPES, PREFERENCES}
