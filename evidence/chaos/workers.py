"""The processes that run the deployed functions: found by a connection, killed, seen to end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from tools.failure import ToolFailure

PROC = Path("/proc")

LOOKUPS = 3
"""Searches for the process that has a connection."""

PAUSE = 0.2
"""Seconds between two checks of which processes are alive."""


class Workers:
    """Finds and kills processes of functions: children of one local cloud, and nothing else."""

    def __init__(self, cloud: psutil.Process) -> None:
        if not (PROC / "net" / "tcp").exists():
            raise ToolFailure("chaos needs Linux: it finds the worker to kill in /proc")
        self._cloud = cloud
        self._functions: dict[int, str] = {}
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch_ends, daemon=True)
        self.deaths: dict[int, float] = {}
        """When each process was seen to have ended, by its ID."""

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching."""
        self._is_over.set()
        self._thread.join()

    def at(self, port: int) -> int | None:
        """Return the process that has a connection from this local port, if it is a worker."""
        # The kernel's list is read in pieces, so an entry may be missed.
        found = (self._holder(port) for _ in range(LOOKUPS))
        return next((pid for pid in found if pid is not None), None)

    def function(self, pid: int) -> str:
        """Return the deployed name of the function that a worker runs."""
        return self._functions.get(pid, "")

    def kill(self, pid: int) -> bool:
        """Kill a process if it is a worker and alive; tell whether it was."""
        with self._lock:
            if pid not in self._functions or pid in self.deaths:
                return False
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self.deaths[pid] = time.time()
            return True

    def _holder(self, port: int) -> int | None:
        inode = _inode(port)
        if inode is None:
            return None
        wanted = f"socket:[{inode}]"
        for fresh in (False, True):
            for pid in self._alive(fresh=fresh):
                if wanted in _descriptors(pid):
                    return pid
        return None

    def _alive(self, *, fresh: bool) -> list[int]:
        if fresh:
            for child in self._cloud.children():
                if child.pid not in self._functions:
                    with suppress(psutil.Error):
                        # It is missing for the moment between fork and exec.
                        if name := child.environ().get("AWS_LAMBDA_FUNCTION_NAME"):
                            self._functions[child.pid] = name
        return [pid for pid in list(self._functions) if pid not in self.deaths]

    def _watch_ends(self) -> None:
        while not self._is_over.wait(PAUSE):
            for pid in self._alive(fresh=False):
                if not _runs(pid):
                    with self._lock:
                        self.deaths.setdefault(pid, time.time())


def _inode(port: int) -> str | None:
    """Return the socket whose own end of a connection is this port of loopback."""
    end = f"0100007F:{port:04X}"
    for line in (PROC / "net" / "tcp").read_text().splitlines():
        fields = line.split(maxsplit=10)
        if fields[1] == end and fields[9] != "0":
            return fields[9]
    return None


def _descriptors(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for name in os.listdir(PROC / str(pid) / "fd"):  # noqa: PTH208 - by the thousand
            with suppress(OSError):
                yield os.readlink(f"/proc/{pid}/fd/{name}")  # noqa: PTH115 - the same


def _runs(pid: int) -> bool:
    with suppress(OSError):
        state = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"
    return False
