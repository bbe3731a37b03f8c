"""One Chromium and one cloud for each file of tests."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.console.cloud import deployed
from tests.console.people import furnish
from tests.console.visitor import Visitor
from tests.functions.conftest import session  # noqa: F401 - a fixture

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def program():
    """Return the path of an installed Chromium, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def chromium():
    """The installed browser. Without one the tests fail: they are never skipped."""
    found = program()
    if found is None:
        pytest.fail("Chromium is missing; on Debian: apt-get install chromium")
    # A busy machine needs longer than the 5 s of Playwright.
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        # No sandbox: it needs rights that a container does not give.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


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
