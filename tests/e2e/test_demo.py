"""`make demo` as a whole, as a person calls it, on a separate cloud."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from itertools import pairwise

import pytest

from tools import demo
from tools.local_cloud import STACK, LocalCloud
from tools.paths import ROOT
from tools.processes import LOOPBACK, free_port

SECONDS = 45.0
"""That a demo may take if the service is deployed already."""


def three_ports() -> int:
    """Return a free port with two free neighbors."""
    while True:
        port = free_port()
        try:
            with (
                socket.create_server((LOOPBACK, port + 1)),
                socket.create_server((LOOPBACK, port + 2)),
            ):
                return port
        except (OSError, OverflowError):
            continue


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """Return a cloud that no other test uses."""
    home = tmp_path_factory.mktemp("demo")
    cloud = LocalCloud(home, api_port=three_ports(), cloud_port=free_port())
    yield cloud
    cloud.forget()


def make_demo(cloud: LocalCloud) -> str:
    """Run `make demo` as a person does; return what it prints."""
    settings = {
        "CLOUD_HOME": str(cloud.home),
        "PORT": str(cloud.api_port),
        "CLOUD_PORT": str(cloud.cloud_port),
        "COLUMNS": "160",
    }
    done = subprocess.run(
        ["make", "--no-print-directory", "demo"],
        cwd=ROOT,
        env=os.environ | settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    return done.stdout


def scene(shown: str, title: str) -> str:
    """Return what a scene prints."""
    return shown.partition(f"\n{title}")[2].partition("\n\n")[0]


def words(text: str) -> str:
    """Return a text that was wrapped into lines, on one line."""
    return " ".join(text.split())


def leftovers(cloud: LocalCloud) -> list[str]:
    """Return the queues and the rules that demos have made."""
    queues = cloud.session.client("sqs").list_queues(QueueNamePrefix="demo-").get("QueueUrls", [])
    rules = cloud.session.client("events").list_rules(EventBusName=f"{STACK}-tools")
    return [*queues, *(one["Name"] for one in rules["Rules"] if one["Name"].startswith("demo-"))]


def test_the_demo_shows_retries_and_all_seven_integrations_twice(cloud):
    """The second demo deploys nothing and takes seconds; each receiver shows what it got."""
    for again in (False, True):
        began = time.monotonic()

        shown = make_demo(cloud)

        assert ("deploy: nothing has changed" in shown) is again
        assert not again or time.monotonic() - began < SECONDS
        assert leftovers(cloud) == []
        overrides = scene(shown, "Overrides")
        assert '"url": "http://127.0.0.1' in overrides
        assert 'token=***"' in overrides
        retries = scene(shown, "Send a message to a receiver that refuses it 2 times")
        assert "skipped: SLACK (no_address)" in retries
        assert "the same request again: the same response" in retries
        arrivals = re.findall(r"([\d.]+) s +([0-9a-f-]{36}) +valid +(\d+)", retries)
        assert [status for _, _, status in arrivals] == ["503", "503", "204"]
        assert len({delivery_id for _, delivery_id, _ in arrivals}) == 1
        times = [float(seconds) for seconds, _, _ in arrivals]
        assert all(later - earlier >= 1.99 for earlier, later in pairwise(times))
        seven = scene(shown, "Send one message over all seven integrations")
        assert re.findall(r"^ +([A-Z]+) +success +1 ", seven, re.MULTILINE) == [*demo.SEVEN]
        _, *parts = re.split(
            r"^ {3}([A-Z]+) ", seven.partition("what arrived")[2], flags=re.MULTILINE
        )
        arrived = dict(zip(parts[::2], parts[1::2], strict=True))
        assert [*arrived] == [*demo.SEVEN]
        assert [
            name for name, text in arrived.items() if "42 tickets closed" not in words(text)
        ] == []
        assert "R&amp;D" in arrived["EMAIL"]
    deployed = cloud.deployed_parameters()
    assert deployed.items() >= demo.parameters(cloud.api_port + 1, cloud.api_port + 2, {}).items()
