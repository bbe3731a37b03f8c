"""The README's statements about containers, if an engine for them is available."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.documents import blocks
from tools.local_cloud import LocalCloud
from tools.paths import ROOT
from tools.processes import free_port

ENGINE = os.environ.get("DOCKER_HOST") or Path("/var/run/docker.sock").exists()


@pytest.mark.skipif(not ENGINE, reason="no container engine: neither DOCKER_HOST nor its socket")
def test_the_commands_for_containers_work(tmp_path):
    """Prepared once, then called by hand: a message goes in and comes to its mailbox."""
    cloud = LocalCloud(tmp_path, api_port=free_port(), cloud_port=free_port())
    cloud.start()
    cloud.deploy()
    (block,) = (one for one in blocks() if (one.language, one.mark) == ("bash", "docker"))
    sam = os.environ.get("SAM", str(ROOT / ".local/sam/bin/sam"))
    mine = {
        "CLOUD_HOME": str(tmp_path),
        "FUNCTION": "get_health",
        "PATH": f"{Path(sam).parent}:{os.environ['PATH']}",
    }

    try:
        done = [
            subprocess.run(
                shlex.split(command),
                cwd=ROOT,
                env=os.environ | mine,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for command in block.text.splitlines()
        ]
    finally:
        cloud.forget()

    assert "1 of 1 functions answered." in done[0]
    assert '"statusCode": 202' in done[1]
