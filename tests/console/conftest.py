"""One Chromium and one cloud for each file of tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from tests.console.cloud import deployed
from tests.console.people import categorize, furnish
from tests.console.visitor import Visitor
from tests.functions.conftest import session  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def cloud(session):  # noqa: F811 - a fixture is requested by its name
    """A service with categories."""
    with deployed(session) as cloud:
        categorize(cloud)
        yield cloud


@pytest.fixture(scope="module")
def furnished(cloud):
    """Ada has something on every page."""
    # A minute ago, with a clock that jumps over the delays between attempts.
    a_minute_ago = datetime.now(UTC) - timedelta(minutes=1)
    with time_machine.travel(a_minute_ago, tick=False) as clock:
        furnish(cloud, wait=lambda: clock.shift(timedelta(seconds=1)))


@pytest.fixture(scope="session")
def visitor(chromium):
    """The one person with a browser."""
    return Visitor(chromium)


@pytest.fixture
def visit(visitor, cloud):
    """Opens pages; afterwards nothing may have been wrong in any of them."""
    visitor.cloud = cloud
    yield visitor
    cloud.is_down = False
    visitor.leave()
