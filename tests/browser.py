"""The Chromium of this machine, one for all tests of a process."""

from __future__ import annotations

import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def program():
    """Return the path of an installed Chromium, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def chromium():
    """The installed browser. Without one the tests fail: they are never skipped."""
    from playwright.sync_api import (  # noqa: PLC0415 - most processes of a run open no page
        expect,
        sync_playwright,
    )

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
