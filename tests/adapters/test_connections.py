"""Connections that are kept between invocations, against a server that drops them unnoticed."""

from __future__ import annotations

import importlib.util
import json
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError

from dispatcher import wiring
from dispatcher.connections import LONGEST_PAUSE, KeptConnections
from tests.fakes import FakeClock

ROOT = Path(__file__).parents[2]


class Peer:
    """An AWS service that keeps connections open, and forgets them on ``drop``.

    A forgotten connection is reset as soon as something is sent over it, as by a NAT gateway: until
    then its client cannot know.
    """

    def __init__(self):
        self.accepted = 0
        self._forgotten = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def drop(self):
        """Forget all connections."""
        self._forgotten = self.accepted

    def _serve(self):
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            thread = threading.Thread(target=self._speak, args=(line, self.accepted), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _speak(self, line, number):
        with line, suppress(OSError), line.makefile("rb") as stream:
            while first := stream.readline():
                if number <= self._forgotten:
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                assert first
                headers = [header.lower() for header in iter(stream.readline, b"\r\n")]
                [length] = [header for header in headers if header.startswith(b"content-length")]
                stream.read(int(length.partition(b":")[2]))
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    def close(self):
        """Listen no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def peer(monkeypatch):
    """A fake SQS and DynamoDB at the address that the environment names."""
    peer = Peer()
    monkeypatch.setenv("AWS_ENDPOINT_URL", peer.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    yield peer
    peer.close()


@pytest.fixture
def clock(monkeypatch):
    """Time that goes on only when told to, for a container that begins now."""
    wiring.reset()
    clock = FakeClock()
    monkeypatch.setattr(wiring, "clock", lambda: clock)
    yield clock
    monkeypatch.undo()
    wiring.reset()


def call(service, tries):
    """Call a service as an adapter does; return what went wrong."""
    made = wiring._client(service, tries)
    try:
        if service == "sqs":
            made.send_message(QueueUrl="http://sqs/queue", MessageBody="x")
        else:
            made.describe_endpoints()
    except BotoCoreError as error:
        return type(error).__name__
    return None


@pytest.mark.parametrize("service", ["sqs", "dynamodb"])
@pytest.mark.parametrize(
    ("pause", "connections", "failure"),
    [(0.0, 1, "ConnectionClosedError"), (30.0, 1, "ConnectionClosedError"),
     (30.1, 2, None), (75.0, 2, None), (86_400.0, 2, None)],
)  # fmt: skip
def test_a_dropped_connection_costs_no_attempt_after_a_pause(
    peer, clock, service, pause, connections, failure
):
    """The clients connect again only if the last invocation ended more than 30 s ago."""
    with wiring.connections().invocation():
        first = call(service, tries=1)
        clock.advance(100.0)
    peer.drop()
    clock.advance(pause)
    with wiring.connections().invocation():
        second = call(service, tries=1)

    assert (first, second, peer.accepted) == (None, failure, connections)


def test_connections_are_kept_from_one_invocation_to_the_next(peer, clock):
    """A busy container connects once per client, also for clients with other retry settings."""
    for _ in range(5):
        with wiring.connections().invocation():
            assert (call("sqs", tries=1), call("sqs", tries=3)) == (None, None)
        clock.advance(LONGEST_PAUSE)

    assert peer.accepted == 2


def test_an_invocation_that_fails_has_ended_too():
    """The pause is counted from its end."""
    clock, closed = FakeClock(), []
    kept = KeptConnections(clock.now)
    kept.add(lambda: closed.append(clock.now()))

    with suppress(ValueError), kept.invocation():
        clock.advance(100.0)
        raise ValueError
    clock.advance(20.0)
    with kept.invocation():
        early = list(closed)
    clock.advance(31.0)
    with kept.invocation():
        pass

    assert (early, len(closed)) == ([], 1)


FUNCTIONS = sorted(path.parent.name for path in ROOT.glob("functions/*/app.py"))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_closes_what_is_too_old(function, clock, monkeypatch):
    """The rule holds for every trigger: routes, queues, the authorizer and the schedule."""
    began = []

    class Seen(BaseException):
        """Ends the invocation as soon as it has begun."""

    class Connections:
        def invocation(self):
            began.append(function)
            raise Seen

    monkeypatch.setattr(wiring, "connections", Connections)
    spec = importlib.util.spec_from_file_location(
        function, ROOT / "functions" / function / "app.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    event = json.loads((ROOT / "events" / f"{function}.json").read_text())

    with pytest.raises(Seen):
        module.handler(event, None)

    assert began == [function]
