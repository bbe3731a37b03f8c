"""One Chromium and one cloud for each file of tests."""

from __future__ import annotations

import pytest

from tests.console.cloud import deployed
from tests.console.people import furnish
from tests.console.visitor import Visitor
from tests.functions.conftest import session  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def cloud(session):  # noqa: F811 - a fixture is requested by its name
    """A service in which Ada has something on every page."""
    with deployed(session) as cloud:
        furnish(cloud)
        yield cloud


@pytest.fixture
def visit(chromium, cloud):
    """Opens pages; afterwards nothing may have been wrong in any of them."""
    visitor = Visitor(chromium, cloud)
    yield visitor
    cloud.is_down = False
    visitor.leave()
