"""Only the process of a function is killed, found by its connection."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import psutil
import pytest

from evidence.chaos.workers import Workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

#: Connects to the port it is given, and waits.
FUNCTION = """
import socket, sys
line = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sys.stdin.read()
"""

#: A local cloud: it starts one function, and is connected itself too.
CLOUD = """
import os, socket, subprocess, sys
function, port = sys.argv[1:]
line = socket.create_connection(("127.0.0.1", int(port)))
line.sendall(b"c")
named = os.environ | {"AWS_LAMBDA_FUNCTION_NAME": "stack-DeliverMessages-1"}
child = subprocess.Popen([sys.executable, "-c", function, port], stdin=subprocess.PIPE, env=named)
sys.stdin.read()
child.stdin.close()
child.wait()
"""


@pytest.fixture
def cloud():
    """Yield the workers of a cloud, and the local ports of function and cloud."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        command = [sys.executable, "-c", CLOUD, FUNCTION, port]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            lines = [server.accept() for _ in range(2)]
            with Workers(psutil.Process(process.pid)) as workers:
                yield workers, lines[1][1][1], lines[0][1][1]
            for line, _ in lines:
                line.close()


def test_a_worker_is_found_and_killed_once(cloud):
    """It is found by the port of its connection, with the name of its function."""
    workers, port, _ = cloud

    pid = workers.at(port)

    assert workers.function(pid) == "stack-DeliverMessages-1"
    assert (pid in workers.deaths, workers.kill(pid)) == (False, True)
    assert (pid in workers.deaths, workers.kill(pid)) == (True, False)


def test_the_cloud_itself_is_never_found(cloud):
    """Only its children run functions; no other process is killed."""
    workers, _, port = cloud

    assert workers.at(port) is None
    assert workers.kill(os.getpid()) is False


def test_a_worker_that_ends_by_itself_is_noticed(cloud):
    """TEST rehearses crashes, which no kill precedes."""
    workers, port, _ = cloud
    pid = workers.at(port)

    psutil.Process(pid).kill()

    until = time.monotonic() + 30
    while pid not in workers.deaths:
        assert time.monotonic() < until
        time.sleep(0.02)
