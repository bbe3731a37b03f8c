"""Complete pages at 80 columns, compared with the files in ``pages/``.

After an intended change, write them with ``WRITE_PAGES=1 pytest`` and read the difference.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.catalogues import GUIDE, only
from tests.cli.conftest import stable
from tools.paths import ROOT

PAGES = Path(__file__).parent / "pages"
PICTURE = ROOT / "docs" / "images" / "doctor.svg"


def expected_page(file, text):
    """Return the text of a file, after writing it if ``WRITE_PAGES`` is set."""
    if os.environ.get("WRITE_PAGES"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return file.read_text()


@pytest.fixture
def guide():
    """A service with the guide's seven integrations: a page shows every type that there is."""
    with only(*GUIDE):
        yield


@pytest.fixture
def narrator(guide, dispatch, service, clock):
    """Ada has a disabled webhook and four deliveries; a request to Grace was skipped."""
    dispatch("override", "set", "ada", "WEBHOOK", "--url", "https://hooks.example.com/x")
    dispatch("override", "set", "ada", "WEBHOOK", "--disable")
    dispatch("override", "set", "ada", "CLI", "--enable", "--priority", "2")
    dispatch("override", "set", "ada", "TEST", "--config", "failure=permanent")
    dispatch("override", "set", "ada", "TEST", "--config", "fail_attempts=9")
    clock(minutes=1)
    words = ("--subject", "Your laptop is ready", "--agent-id", "it")
    dispatch("send", "ada", "Your laptop is **ready**.", *words)
    clock(seconds=2)
    service.deliver()
    clock(hours=2, minutes=5)
    dispatch("send", "ada", "Are you there?\nPlease answer.", "--request-id", "second")
    dispatch("send", "grace", "Hello", "--type", "SMS", "--request-id", "skipped")
    return dispatch


def failed_delivery(dispatch):
    """Return the ID of the failed delivery."""
    page = json.loads(dispatch("history", "ada", "--status", "failed", "-o", "json").stdout)
    return page["deliveries"][0]["delivery_id"]


COMMANDS = {
    "defaults": "defaults",
    "config": "config ada",
    "config-nothing-set": "config grace",
    "override-list": "override list ada",
    "history": "history ada",
    "history-empty": "history grace",
    "request": "request ada cli-1",
    "request-skipped": "request grace skipped",
    "inbox": "inbox ada",
    "health": "health",
    "doctor": "doctor ada",
    "doctor-nothing-sent": "doctor heidi",
    "doctor-skipped": "doctor grace",
    "refused": "send ada Hello --type FAX --deliver-at soon",
    "send": "send ada Hello --type TEST --type SMS",
}


def test_pages_are_as_designed(narrator):
    """Pages are at most 80 columns wide, complete, and name the next step."""
    pages = {page: stable(narrator(*words.split()).output) for page, words in COMMANDS.items()}

    assert pages == {
        page: expected_page(PAGES / f"{page}.txt", text) for page, text in pages.items()
    }
    assert max(len(line) for text in pages.values() for line in text.splitlines()) <= 80


def test_a_delivery_is_shown_with_its_attempts(narrator):
    """The page of a delivery has all its fields, its error in words, and its attempts."""
    page = stable(narrator("history", "ada", failed_delivery(narrator)).output)
    # The only value that differs between runs.
    page = re.sub(r"\d+ ms +", f"{'7 ms':<10}", page)

    assert page == expected_page(PAGES / "delivery.txt", page)


def test_the_picture_in_the_documentation_is_up_to_date(narrator, tmp_path):
    """The picture is the output of ``doctor --svg``, and loads nothing from another server."""
    file = tmp_path / "page.svg"

    narrator("doctor", "ada", "--svg", str(file))

    drawn = stable(file.read_text())
    assert drawn == expected_page(PICTURE, drawn)
    assert "http://www.w3.org" in drawn
    assert "@font-face" not in drawn
