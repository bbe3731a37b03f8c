"""An AWS service on loopback that misbehaves on request, for what moto always does right."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import boto3
from botocore.config import Config

from tests.adapters.channels.contract import ECHO, Trouble, message_for

PATIENCE = 2.0
"""Seconds that the clients of these tests wait for a response."""


def http(status: int, body: str) -> bytes:
    """Write a response."""
    head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(body.encode())}\r\n"
    # Each response ends its connection, and says so: a client must not try to use it again.
    head += "Connection: close\r\n\r\n"
    return (head + body).encode()


def sns_error(status: int, code: str) -> bytes:
    """Write an error as SNS does."""
    error = f"<Code>{code}</Code><Message>{ECHO}</Message>"
    return http(status, f"<ErrorResponse><Error>{error}</Error></ErrorResponse>")


def json_error(status: int, code: str, **members: str) -> bytes:
    """Write an error as EventBridge and DynamoDB do."""
    return http(status, json.dumps({"__type": code, "message": ECHO, **members}))


def sns_text(body: bytes) -> str:
    """Read what a text message shows."""
    return parse_qs(body.decode())["Message"][0]


def voice_text(body: bytes) -> str:
    """Read what a text message of End User Messaging shows."""
    text: str = json.loads(body)["MessageBody"]
    return text


def event_text(body: bytes) -> str:
    """Read what an event says."""
    [entry] = json.loads(body)["Entries"]
    return "\n".join(filter(None, json.loads(entry["Detail"]).values()))


def item_text(body: bytes) -> str:
    """Read what a mailbox item says."""
    return "\n".join(value["S"] for value in json.loads(body)["Item"].values() if "S" in value)


PUBLISHED = http(
    200,
    "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>",
)
SERVICES: dict[str, Any] = {
    "sns": (PUBLISHED, sns_error, sns_text),
    "events": (
        http(200, '{"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}'),
        json_error,
        event_text,
    ),
    "pinpoint-sms-voice-v2": (http(200, '{"MessageId": "m-1"}'), json_error, voice_text),
    "dynamodb": (http(200, "{}"), json_error, item_text),
}


def hang_up(_line, _stop):
    """Close the connection without a word."""


def wait(line, _stop):
    """Say nothing until the client gives up."""
    line.recv(1)


@dataclass
class AwsPeer:
    """One service: responds as scripted, once each, then as it should."""

    service: str
    receiver: Any = None
    answers: list[Any] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)

    def __post_init__(self):
        """Learn how the service speaks."""
        self.good, self.error, self.text = SERVICES[self.service]

    def prepare(self, trouble: Trouble) -> None:
        """Make this trouble once."""
        self.answers.append({
            Trouble.TRANSIENT: self.error(400, "ThrottlingException"),
            Trouble.PERMANENT: self.error(400, "InvalidParameter"),
            Trouble.SLOW: wait,
            Trouble.GARBAGE: http(200, "<html>" + ECHO),
            Trouble.LOST: hang_up,
        }[trouble])  # fmt: skip

    def answer(self, line, stop):
        """Respond to one request."""
        script = self.answers.pop(0) if self.answers else self.good
        if script in (self.good, hang_up):
            self.taken.append(self.receiver.requests[-1][2])
        if callable(script):
            script(line, stop)
        else:
            line.sendall(script)

    def client(self, _service=None):
        """Make a client of this service that makes one attempt."""
        return boto3.client(
            self.service,
            endpoint_url=f"http://127.0.0.1:{self.receiver.port}",
            region_name="eu-central-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(
                connect_timeout=1, read_timeout=PATIENCE, retries={"total_max_attempts": 1}
            ),
        )


def peer_of(service, receive) -> AwsPeer:
    """Start a service."""
    peer = AwsPeer(service)
    peer.receiver = receive(peer.answer, None)
    return peer


@dataclass
class AwsBench:
    """Implements ``contract.Bench`` for a channel of an AWS service."""

    peer: AwsPeer
    channel: Any
    integration_type: str
    address: Any
    secrets: tuple[str, ...] = ("testing",)
    patience: float = 8.0

    def message(self, **changes: Any) -> Any:
        """Make a message."""
        address = changes.pop("address", self.address)
        return message_for(self.integration_type, address, **changes)

    def prepare(self, trouble: Trouble) -> None:
        """Make trouble once."""
        self.peer.prepare(trouble)

    def received(self) -> list[str]:
        """Return what was taken."""
        return [self.peer.text(body) for body in self.peer.taken]


ON_AWS = (
    Trouble.TRANSIENT, Trouble.PERMANENT, Trouble.SLOW, Trouble.GARBAGE, Trouble.LOST,
)  # fmt: skip
"""An endless response is left out: an attacker inside the TLS of AWS can do worse than that."""
