"""Complete pages at 80 columns, compared with the files in ``pages/``.

After an intended change, write them with ``WRITE_PAGES=1 pytest`` and read the difference.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from dispatch_cli.picture import svg
from dispatch_cli.screen import USUAL_WIDTH
from tests.catalogues import GUIDE, only
from tests.cli.conftest import stable
from tools.paths import ROOT

PAGES = Path(__file__).parent / "pages"
PICTURE = ROOT / "docs" / "images" / "doctor.svg"
PREFERENCES = ROOT / "docs" / "images" / "preferences.svg"
RECORDING = ROOT / "docs" / "images" / "send.svg"

# From the command that hides the cursor to those that erase the line.
ANIMATION = re.compile(r"\x1b\[\?25l.*?\x1b\[\?25h\r\x1b\[1A\x1b\[2K", re.DOTALL)


def same_duration(page):
    """Replace the duration of each attempt, which differs between runs, by a fixed one."""
    return re.sub(r"\d+ ms +", f"{'7 ms':<10}", page)


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

    assert same_duration(page) == expected_page(PAGES / "delivery.txt", same_duration(page))


def test_the_picture_in_the_documentation_is_up_to_date(narrator, tmp_path):
    """The picture is the output of ``doctor --svg``, and loads nothing from another server."""
    file = tmp_path / "page.svg"

    narrator("doctor", "ada", "--svg", str(file))

    drawn = stable(file.read_text())
    assert drawn == expected_page(PICTURE, drawn)
    assert "http://www.w3.org" in drawn
    assert "@font-face" not in drawn


class Recording:
    """A terminal whose commands and output become a picture."""

    def __init__(self, dispatch):
        self._dispatch = dispatch
        self._console = Console(
            file=io.StringIO(), record=True, width=USUAL_WIDTH, force_terminal=True
        )

    def __call__(self, command):
        """Run a command as it is typed, and keep its output."""
        words = shlex.split(command.replace("\\\n", ""))
        page = self._dispatch(*words, TERM="xterm-256color", COLORTERM="truecolor").output
        self._console.print(Text(stable(f"$ dispatch {command}").rstrip(), style="bold"))
        # The number of frames differs between runs.
        page = same_duration(stable(ANIMATION.sub("", page)))
        self._console.print(Text.from_ansi(page))
        self._console.print()

    def svg(self):
        """Return the picture."""
        return svg(self._console, "dispatch")


def test_the_recording_in_the_readme_is_up_to_date(guide, dispatch, service, clock):
    """The first attempt fails, the retry succeeds, and the delivery's page has both attempts."""
    # TEST's retry delay is 10 s, and a doorbell's delay is rounded up.
    spans = iter((1, 12))

    def time_passes():
        clock(seconds=next(spans))
        for queue in ("DeliveryQueue", "RetryQueue"):
            if bodies := service.messages(queue):
                service.deliver(*bodies, queue=queue)

    dispatch.meanwhile = time_passes
    record = Recording(dispatch)

    record("override set ada TEST --config failure=transient \\\n    --config fail_attempts=1")
    record("send ada 'Your laptop is **ready**.' --type TEST --wait")
    record("history ada")
    (delivery,) = json.loads(dispatch("history", "ada", "-o", "json").stdout)["deliveries"]
    record(f"history ada {delivery['delivery_id']}")

    drawn = record.svg()
    assert (delivery["status"], delivery["attempts"]) == ("success", 2)
    assert drawn == expected_page(RECORDING, drawn)
    assert "http://www.w3.org" in drawn
    assert "@font-face" not in drawn


def test_the_pictures_of_preferences_are_up_to_date(guide, dispatch, clock):
    """Ada mutes builds until the afternoon, the preview says so, and a build is held."""
    dispatch("categories", "set", "builds", "--title", "Builds")
    record = Recording(dispatch)

    zone = "preferences set ada --time-zone Europe/Berlin"
    record(f"{zone} \\\n    --category builds.CLI=off --hold TEST")
    record("preferences mute ada --for 2h")
    record("preview ada --category builds --type TEST --type CLI")
    record("send ada 'Build 7 failed.' --category builds --type TEST")
    record("history ada")
    record("preferences unmute ada")

    drawn = record.svg()
    assert drawn == expected_page(PREFERENCES, drawn)
    (delivery,) = json.loads(dispatch("history", "ada", "-o", "json").stdout)["deliveries"]
    assert (delivery["status"], delivery["held"]) == ("pending", None)
    assert "@font-face" not in drawn
