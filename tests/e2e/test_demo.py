"""`make demo` as a whole, as a person calls it, on a separate cloud."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time

import pytest

from tools.demo import SCENES
from tools.demo_servers import Ports
from tools.local_cloud import STACK, LocalCloud, settle
from tools.paths import ROOT
from tools.processes import LOOPBACK, free_port

SECOND = 30.0
"""Seconds that a demo may take where everything is deployed."""


def three_ports() -> int:
    """Return a free port, followed by two free ones."""
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
    """Return a cloud without other users."""
    home = tmp_path_factory.mktemp("demo")
    cloud = LocalCloud(home, api_port=three_ports(), cloud_port=free_port())
    yield cloud
    cloud.forget()


def make(cloud: LocalCloud, command: str) -> str:
    """Call make as a person does; return what it prints."""
    settings = {
        "CLOUD_HOME": str(cloud.home),
        "PORT": str(cloud.api_port),
        "CLOUD_PORT": str(cloud.cloud_port),
        "COLUMNS": "120",
    }
    done = subprocess.run(
        ["make", "--no-print-directory", command],
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
    return done.stdout


def leftovers(cloud: LocalCloud) -> list[str]:
    """Return the queues and the rules that demos have made."""
    queues = cloud.session.client("sqs").list_queues(QueueNamePrefix="demo-").get("QueueUrls", [])
    rules = cloud.session.client("events").list_rules(EventBusName=f"{STACK}-tools")
    return [*queues, *(one["Name"] for one in rules["Rules"] if one["Name"].startswith("demo-"))]


def test_the_demo_comes_out_right_twice(cloud):
    """Every scene is played, every check holds; the second deploys nothing, and takes seconds."""
    for again in (False, True):
        began = time.monotonic()

        told = make(cloud, "demo")

        for number, scene in enumerate(SCENES, start=1):
            assert f"\n{number}  {scene.title}\n" in told
        assert re.search(r"^All \d+ checks came out right", told, re.MULTILINE)
        assert ("deploy: nothing has changed" in told) is again
        assert not again or time.monotonic() - began < SECOND
        assert leftovers(cloud) == []
    assert cloud.deployed_parameters() == settle(Ports.beside(cloud.api_port).parameters())
