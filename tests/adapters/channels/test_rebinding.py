"""DNS rebinding: a name server that returns a public address first and an inner one then."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.channels.name_server import HOST, METADATA, PUBLIC, NameServer, attacked

ISOLATED = ["unshare", "--user", "--map-root-user", "--mount", "--net"]


def isolation_works():
    """Return whether this machine allows separate namespaces."""
    probe = [*ISOLATED, "true"]
    return bool(shutil.which("unshare")) and (
        subprocess.run(probe, check=False, capture_output=True).returncode == 0
    )


def test_a_name_that_moves_between_check_and_connection(monkeypatch, connects):
    """One query per send: the returned address is checked and dialed, and no second one is used."""
    server = NameServer(PUBLIC, METADATA, f"{PUBLIC} {METADATA}", PUBLIC)
    monkeypatch.setattr(socket, "getaddrinfo", server.ask)

    found = attacked(f"https://{HOST}/", 4, connects)

    results = ["connection_failed", "blocked", "blocked", "connection_failed"]
    assert (found["results"], found["dialled"]) == (results, [PUBLIC, PUBLIC])
    assert server.asked == [("A", HOST)] * 4
    assert METADATA not in {address for address, _ in connects}


@pytest.mark.skipif(not isolation_works(), reason="needs unprivileged namespaces (unshare)")
def test_the_systems_own_resolver_is_fooled_no_further():
    """The same with the system's resolver, which asks the name server in a separate namespace."""
    root = Path(__file__).parents[3]
    program = [sys.executable, "-m", "tests.adapters.channels.name_server"]

    done = subprocess.run(
        [*ISOLATED, *program], cwd=root, check=False, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    results = ["connection_failed", "blocked", "blocked", "connection_failed"]
    assert (found["results"], found["dialled"]) == (results, [PUBLIC, PUBLIC])
    assert [name for kind, name in found["asked"] if kind == "A"][:4] == [HOST] * 4
    assert len([kind for kind, name in found["asked"] if (kind, name) == ("A", HOST)]) == 4
    assert (found["mixed"], found["connects"]) == (["blocked"], [])
