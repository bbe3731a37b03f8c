"""A user at a terminal of 80 columns, and the real functions behind a real HTTP server."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from click.testing import CliRunner
from typer.main import get_command

from dispatch_cli.main import app
from dispatch_cli.run import Run
from dispatcher import wiring
from dispatcher.configuration import health
from tests.cli.server import Gateway, behind
from tests.functions.conftest import service, session  # noqa: F401 - fixtures

START = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
PROGRAM = get_command(app)
"""The program, made once for all tests: that takes as long as many a command."""
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Terminal:
    """Runs commands as a user types them."""

    def __init__(self, url, home):
        # A terminal of 80 columns without colors; with TTY_COMPATIBLE="" it is a pipe.
        self.environ = {"DISPATCH_URL": url, "HOME": str(home), "COLUMNS": "80"}
        self.environ |= {"TTY_COMPATIBLE": "1", "TERM": "dumb"}
        self.pauses = []
        self.meanwhile = lambda: None
        self._ids = 0

    def __call__(self, *arguments, typed=None, **environ):
        """Run a command with ``typed`` on standard input."""
        run = Run(
            environ=self.environ | environ,
            now=lambda: datetime.now(UTC),
            sleep=self.sleep,
            elapsed=lambda: sum(self.pauses),
            new_id=self.new_id,
        )
        return CliRunner().invoke(PROGRAM, ["--utc", *arguments], input=typed, obj=run)

    def sleep(self, seconds):
        """Call ``meanwhile`` instead of waiting."""
        self.pauses.append(seconds)
        self.meanwhile()

    def new_id(self):
        """Return a predictable ID."""
        self._ids += 1
        return f"{self._ids}"


@pytest.fixture
def clock():
    """A clock that only moves when a test moves it."""
    with time_machine.travel(START, tick=False) as traveller:
        yield lambda **span: traveller.shift(timedelta(**span))


@pytest.fixture
def gateway(service, monkeypatch):  # noqa: F811 - a fixture is asked for by its name
    """The service behind an HTTP server."""
    # On a busy machine the emulated queues can take longer than the 2 s of a real probe.
    monkeypatch.setattr(health, "PROBE_LIMIT", 60.0)
    wiring.event_log()  # bound to the standard output of now, not to a command's
    with Gateway(behind(service)) as running:
        yield running


@pytest.fixture
def dispatch(gateway, tmp_path):
    """The program, configured for the service."""
    return Terminal(gateway.url, tmp_path)


@pytest.fixture
def alone(tmp_path):
    """The program without a service, unless a test names one."""
    return Terminal("http://127.0.0.1:1", tmp_path)


def stable(text):
    """Replace IDs by their number in the text and the port by a fixed one.

    Trailing spaces are removed.
    """
    numbers = {}
    text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", text)
    return UUID.sub(
        lambda match: (
            f"{'0' * 8}-0000-7000-8000-{numbers.setdefault(match[0], len(numbers) + 1):012}"
        ),
        text,
    )
