"""What people see, whole, at 80 columns: each page stands in ``pages/``.

After a change that is meant, write them anew and read the difference: ``WRITE_PAGES=1 pytest``.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.cli.conftest import stable
from tools.paths import ROOT

PAGES = Path(__file__).parent / "pages"
PICTURE = ROOT / "docs" / "images" / "doctor.svg"


def compared(file, text):
    """Return what stands in a file, after writing it anew if that is wanted."""
    if os.environ.get("WRITE_PAGES"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return file.read_text()


@pytest.fixture
def narrator(dispatch, service, clock):
    """Ada has a webhook that is switched off, a message that failed, and one that is delivered."""
    dispatch("override", "set", "ada", "WEBHOOK", "--url", "https://hooks.example.com/x")
    dispatch("override", "set", "ada", "WEBHOOK", "--disable")
    dispatch("override", "set", "ada", "CLI", "--enable", "--priority", "2")
    dispatch("override", "set", "ada", "TEST", "--config", "failure=permanent")
    dispatch("override", "set", "ada", "TEST", "--config", "fail_attempts=9")
    clock(minutes=1)
    dispatch("send", "ada", "Your laptop is **ready**.", "--subject", "Laptop", "--agent-id", "it")
    clock(seconds=2)
    service.deliver()
    clock(hours=2, minutes=5)
    dispatch("send", "ada", "Are you there?\nPlease answer.", "--request-id", "second")
    return dispatch


def of_the_failed(dispatch):
    """Return the id of the delivery that failed."""
    shown = json.loads(dispatch("history", "ada", "--status", "failed", "-o", "json").stdout)
    return shown["deliveries"][0]["delivery_id"]


COMMANDS = {
    "defaults": "defaults",
    "config": "config ada",
    "config-nothing-set": "config grace",
    "override-list": "override list ada",
    "history": "history ada",
    "history-empty": "history grace",
    "inbox": "inbox ada",
    "health": "health",
    "doctor": "doctor ada",
    "doctor-nothing-sent": "doctor grace",
    "refused": "send ada Hello --type FAX --deliver-at soon",
    "send": "send ada Hello --type TEST --type SMS",
}


def test_pages_are_as_they_were_designed(narrator):
    """Nothing wider than 80 columns, nothing cut off, what to do next beside what is wrong."""
    shown = {page: stable(narrator(*words.split()).output) for page, words in COMMANDS.items()}

    assert shown == {page: compared(PAGES / f"{page}.txt", text) for page, text in shown.items()}
    assert max(len(line) for text in shown.values() for line in text.splitlines()) <= 80


def test_one_delivery_is_shown_with_its_attempts(narrator):
    """The whole of it, in words."""
    shown = stable(narrator("history", "ada", of_the_failed(narrator)).output)
    # The only time that is measured.
    shown = re.sub(r" +\d+ ms", "        7 ms", shown)

    assert shown == compared(PAGES / "delivery.txt", shown)


def test_the_picture_in_the_documents_is_this_page(narrator, tmp_path):
    """Drawn by the command itself."""
    file = tmp_path / "page.svg"

    narrator("doctor", "ada", "--svg", str(file))

    drawn = stable(file.read_text())
    assert drawn == compared(PICTURE, drawn)
    assert "http://www.w3.org" in drawn
    assert "@font-face" not in drawn
