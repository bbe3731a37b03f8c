"""Background programs: started apart, found again, and no other program stopped."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from tools.failure import ToolFailure
from tools.processes import LOOPBACK, Background, free_port, kill, require_free

WAIT = [
    sys.executable,
    "-c",
    "import sys, time; print(sys.stdin.read(), flush=True); time.sleep(60)",
]


@pytest.fixture
def background(tmp_path):
    """A program that sleeps."""
    program = Background("sleeper", tmp_path)
    yield program
    program.stop()


def test_a_program_is_found_again_and_stopped(background):
    """Another command, later, knows what runs and what it was given."""
    background.start(WAIT, {"GREETING": "hello"})

    again = Background("sleeper", background.home)
    assert again.process().pid == background.process().pid
    assert again.started_with() == {"GREETING": "hello"}
    assert again.runs(WAIT, {"GREETING": "hello"})
    assert not again.runs(WAIT, {"GREETING": "bye"})
    assert not again.runs([*WAIT, "longer"], {"GREETING": "hello"})
    assert again.stop() is True
    assert again.process() is None
    assert again.runs(WAIT, {"GREETING": "hello"}) is False
    assert again.stop() is False


def test_without_patience_a_program_is_killed(background):
    """A program that does not end at SIGTERM is not waited for."""
    waits = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAIT[-1]
    background.start([*WAIT[:-1], waits], {})
    while not background.log.read_text():
        assert background.process(), "the program ended without a word"
    process = background.process()

    assert background.stop(patience=0) is True
    assert not process.is_running()


ABANDONS = (
    "import subprocess, sys, time; "
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    "print(child.pid, flush=True); time.sleep(60)"
)
"""A program that never asks how its child has ended."""


@pytest.mark.parametrize("patience", [0, 60])
def test_a_program_that_is_not_reaped_has_ended(background, patience):
    """The parent may leave a zombie, as the init of a container does: that is not waited for."""
    command = [sys.executable, "-c", ABANDONS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        started = {"pid": child.pid, "created": child.create_time(), "environment": {}}
        background.record.write_text(json.dumps(started))
        began = time.monotonic()

        assert background.stop(patience) is True
        assert time.monotonic() - began < 10
        assert child.status() == psutil.STATUS_ZOMBIE
        parent.kill()


def test_a_program_is_cut_off_from_ours(background):
    """It has a separate session, no standard input, and only the variables that it was given."""
    background.start(WAIT, {"ONLY": "this"})
    # Its first word: by then Python has closed the files that it starts from.
    while not background.log.read_text():
        assert background.process(), "the program ended without a word"

    process = background.process()
    assert process.terminal() is None
    assert psutil.Process().parent().pid != process.pid
    inherited = {open_file.path for open_file in process.open_files()}
    assert inherited <= {str(background.log)}
    assert process.environ().keys() <= {"ONLY", "LC_CTYPE"}


def test_a_process_id_that_another_program_got_is_not_ours(background):
    """The system uses IDs again: the start time must be the same too."""
    background.record.write_text(
        json.dumps({"pid": psutil.Process().pid, "created": 1.0, "environment": {}})
    )

    assert background.process() is None
    assert background.stop() is False
    assert psutil.Process().is_running()


@pytest.fixture
def gone():
    """A program that has ended since it was looked up."""
    with subprocess.Popen(WAIT, stdin=subprocess.PIPE) as program:
        process = psutil.Process(program.pid)
        program.kill()
    return process


def test_a_program_that_ends_by_itself_is_stopped(background, gone, monkeypatch):
    """Between the look and the signal it may end."""
    background.record.write_text("{}")
    monkeypatch.setattr(Background, "process", lambda _: gone)

    assert background.stop() is True
    assert not background.record.exists()


def test_a_child_that_is_already_gone_holds_up_nobody(gone):
    """Those after it are still killed."""
    with subprocess.Popen(WAIT, stdin=subprocess.PIPE) as program:
        kill([gone, psutil.Process(program.pid)])

    assert program.returncode == -signal.SIGKILL


def test_a_port_that_somebody_holds_is_named_with_the_holder():
    """The person learns who it is, and how to use another port."""
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]

        with pytest.raises(ToolFailure) as failure:
            require_free(port, "CLOUD_PORT")

    assert f"Port {port} is in use by " in str(failure.value)
    assert f"(process {psutil.Process().pid})" in str(failure.value)
    assert f"make up CLOUD_PORT={port + 1}" in str(failure.value)


def test_a_free_port_is_accepted():
    """Nothing is held back after a look."""
    port = free_port()

    require_free(port, "PORT")
    require_free(port, "PORT")
