"""Start, find again and stop the programs that run in the background.

Each is known by a small file with its process ID, its start time (IDs are used again) and what it
was started with. Nothing that we did not start is ever stopped.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tools.failure import ToolFailure

LOOPBACK = "127.0.0.1"

PATIENCE = 15.0
"""Seconds that a program may take to end."""


@dataclass(frozen=True)
class Background:
    """A program that goes on after the command that started it has returned."""

    name: str
    home: Path

    @property
    def record(self) -> Path:
        """Return the file by which the program is known."""
        return self.home / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """Return the file that takes the program's output."""
        return self.home / "logs" / f"{self.name}.log"

    def _known(self) -> dict[str, Any]:
        try:
            known: dict[str, Any] = json.loads(self.record.read_text())
        except FileNotFoundError:
            return {}
        return known

    def process(self) -> psutil.Process | None:
        """Return the running process, if it is still the one that we started."""
        known = self._known()
        with suppress(KeyError, psutil.NoSuchProcess):
            process = psutil.Process(known["pid"])
            if process.create_time() == known["created"]:
                return process if process.status() != psutil.STATUS_ZOMBIE else None
        return None

    def started_with(self) -> dict[str, str]:
        """Return the environment that the running process was given; empty if none runs."""
        return dict(self._known()["environment"]) if self.process() else {}

    def runs(self, command: list[str], environment: Mapping[str, str]) -> bool:
        """Return whether it runs, by this command and with these variables."""
        known = self._known()
        started = (known.get("command"), known.get("environment"))
        return self.process() is not None and started == (command, dict(environment))

    def start(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Start the program in a separate session, with these variables and no others.

        It inherits none of our files, so that `out=$(make up)` comes back.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=self.home,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started: dict[str, Any] = {
            "pid": process.pid,
            "created": psutil.Process(process.pid).create_time(),
            "command": command,
            "environment": dict(environment),
        }
        self.record.write_text(json.dumps(started, indent=2) + "\n")
        # It is meant to outlive this object.
        process.returncode = 0

    def stop(self, patience: float = PATIENCE) -> bool:
        """End the program and its own children; tell whether it ran.

        SIGTERM first: the local cloud saves its state on a clean stop only. Without ``patience`` it
        is killed: saving takes seconds.
        """
        process = self.process()
        if process is not None:
            children: list[psutil.Process] = []
            with suppress(psutil.NoSuchProcess):
                children = process.children(recursive=True)
                process.terminate()
            left = [*running([process], patience), *running(children, min(1, patience))]
            kill(left)
            running(left, PATIENCE)
        self.record.unlink(missing_ok=True)
        return process is not None


def running(processes: Iterable[psutil.Process], patience: float) -> list[psutil.Process]:
    """Wait until processes have ended; return those that still run after ``patience`` seconds.

    A zombie has ended: the init of a container can take seconds to reap it.
    """
    until = time.monotonic() + patience
    while True:
        # Reaps the children of this process.
        _, found = psutil.wait_procs(processes, timeout=0)
        left = [process for process in found if not has_ended(process)]
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.02)


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process has ended."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill those that have not ended by themselves meanwhile."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def require_free(port: int, variable: str, command: str = "make up") -> None:
    """Refuse a port that another program holds, naming the program if it is visible."""
    if is_held(port):
        raise ToolFailure(
            f"Port {port} is in use by {holder(port)}. "
            f"Stop that, or choose another port: {command} {variable}={port + 1}"
        )


def is_held(port: int) -> bool:
    """Return whether a process listens on a port of this machine."""
    with socket.socket() as probe:
        # Lets us pass over connections that are only lingering; not over a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def holder(port: int) -> str:
    """Name the process that listens on a port."""
    try:
        for connection in psutil.net_connections("tcp"):
            here = getattr(connection.laddr, "port", None) == port
            if here and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return "another program"


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
