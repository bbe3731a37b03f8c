"""The contract of all channels, passed by TEST and WEBHOOK; the others have it in their suites."""

from __future__ import annotations

import json
from typing import Any

import pytest

from channels.test import channel as rehearsal
from channels.webhook import Webhook
from dispatcher.integrations.integration import Address
from tests.adapters.channels.aws_peer import ON_AWS, AwsBench, peer_of
from tests.adapters.channels.contract import (
    AFTER,
    ECHO,
    ChannelContract,
    Trouble,
    injections,
    message_for,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class TestRehearsal(ChannelContract):
    """TEST, before a DynamoDB on loopback: the table is ours, so no refusal of it is final."""

    integration_type = "TEST"
    troubles = tuple(one for one in ON_AWS if one not in {Trouble.PERMANENT, Trouble.GARBAGE})
    injections = tuple(one for one in injections("content", "LOG/CLI") if one.payload.isprintable())
    needs_address = False

    @pytest.fixture
    def bench(self, receive):
        """A mailbox."""
        peer = peer_of("dynamodb", receive)
        built = rehearsal({"DELIVERIES_TABLE": "DeliveriesTable"}, peer.client)
        return AwsBench(peer, built, "TEST", Address("mailbox", "ada"))


def flood(line, _stop):
    """Refuse, and never come to an end."""
    line.sendall(b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        line.sendall(b"400\r\n" + ECHO.ljust(1024).encode() + b"\r\n")


def refuse(status: int, *headers: str) -> bytes:
    """Write a refusal."""
    head = "".join(f"{one}\r\n" for one in (f"HTTP/1.1 {status} x", *headers))
    return f"{head}Content-Length: {len(ECHO)}\r\n\r\n{ECHO}".encode()


ANSWERS: dict[Trouble, Any] = {
    Trouble.TRANSIENT: refuse(503),
    Trouble.RETRY_AFTER: refuse(429, f"Retry-After: {AFTER}"),
    Trouble.PERMANENT: refuse(400),
    Trouble.SLOW: lambda line, _stop: line.recv(1),
    Trouble.GARBAGE: ECHO.encode() + b"\r\n\r\n",
    Trouble.HUGE: flood,
    Trouble.LOST: lambda _line, _stop: None,
}


class WebhookBench:
    """Implements ``contract.Bench`` with a receiver behind TLS."""

    secrets = (SECRET, "t0ken")
    patience = 5.0

    def __init__(self, receive, guard) -> None:
        self.answers: list[Any] = []
        self.taken: list[dict[str, Any]] = []
        self.receiver = receive(self.answer)
        self.channel = Webhook(guard(seconds=1.5))

    def answer(self, line, stop):
        """Respond to one request as scripted, else accept it."""
        script = self.answers.pop(0) if self.answers else OK
        if script in {OK, ANSWERS[Trouble.LOST]}:
            self.taken.append(json.loads(self.receiver.requests[-1][2])["data"])
        if callable(script):
            script(line, stop)
        else:
            line.sendall(script)

    def message(self, **changes):
        """Make a message to the receiver."""
        url = f"https://hook.example.org:{self.receiver.port}/h?t=t0ken"
        address = changes.pop("address", Address("url", url))
        return message_for("WEBHOOK", address, secrets={"signing_secret": SECRET}, **changes)

    def prepare(self, trouble):
        """Make trouble once."""
        self.answers.append(ANSWERS[trouble])

    def received(self):
        """Return what was taken."""
        return ["\n".join(filter(None, data.values())) for data in self.taken]


class TestWebhook(ChannelContract):
    """WEBHOOK."""

    integration_type = "WEBHOOK"
    troubles = tuple(Trouble)
    injections = tuple(
        one
        for field in ("subject", "content")
        for one in injections(field, "LOG/CLI") + injections(field, "EMAIL.subject")
        # Half a character is refused when a message is accepted.
        if one.payload != "\ud83d"
    )
    bad_addresses = (
        Address("url", "https://169.254.169.254/latest/"),
        Address("url", "https://user@hook.example.org/"),
        Address("url", "ftp://hook.example.org/"),
        Address("url", ""),
    )

    @pytest.fixture
    def bench(self, receive, guard):
        """A receiver."""
        return WebhookBench(receive, guard)
