"""AWS and receivers over HTTP on loopback, with the same answer every time.

A process of its own, so that its work is not counted as anybody else's. `POST /hook/MS` is a
receiver that takes so many milliseconds; any other path is AWS, where `X-Amz-Target` tells the
call. There deliveries have failed, but for whoever asks at `/cancel_delivery`, which needs a
pending one.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import sys
from typing import Any

from bench.rows import HOOKED, delivery, overrides, request
from dispatcher.adapters.dynamodb import _serialize, _stored

API_KEY = {
    # Of the key in events/authorize_request.json.
    "sha256": "aff92e7b6bc49ba55ce8734833fd6d876d87aa091501129ae2a8127e6f79b0f9",
    "scopes": ["dispatch:read", "dispatch:write"],
    "user": "*",
}


def answer(  # noqa: PLR0911 - one answer for each call
    target: str, question: dict[str, Any], address: str, status: str = "failed"
) -> dict[str, Any]:
    """Answer a call as AWS would with the rows that are always there.

    Users' receivers are at ``address`` too.
    """
    operation = target.rpartition(".")[2]
    match operation:
        case "GetItem":
            return {"Item": item(row_of(question, address, status))}
        case "UpdateItem" | "DeleteItem":
            return {"Attributes": item(row_of(question, address, "pending"))}
        case "Query" if "IndexName" in question or "MAILBOX#" in json.dumps(question):
            return {"Items": [], "Count": 0}
        case "Query":
            rows = [item(delivery("ada@example.com", str(number))) for number in range(10)]
            return {"Items": rows, "Count": 10}
        case "SendMessage":
            return {"MessageId": "1", "MD5OfMessageBody": "0" * 32}
        case "GetQueueAttributes":
            return {"Attributes": {"QueueArn": "arn:aws:sqs:eu-central-1:123456789012:queue"}}
        case "GetSecretValue":
            return {"Name": "keys", "SecretString": json.dumps({"sample": API_KEY})}
        case "Encrypt":
            return {"CiphertextBlob": base64.b64encode(b"sealed").decode()}
        case "Decrypt":
            secrets = {"issued": {"signing_secret": "whsec_" + "A" * 43 + "="}, "config": {}}
            return {"Plaintext": base64.b64encode(json.dumps(secrets).encode()).decode()}
        case _:
            return {}


def row_of(question: dict[str, Any], address: str, status: str) -> dict[str, Any]:
    """Return the row that is asked for: there is one by every key."""
    key = question["Key"]
    user_id = key["user_id"]["S"]
    if question["TableName"] == "overrides":
        return overrides(user_id, f"{address}/hook/{user_id.removeprefix(HOOKED)}")
    kind, _, name = key["sk"]["S"].partition("#")
    if kind == "DELIVERY":
        return delivery(user_id, name, status)
    return request(user_id, name)


def item(row: dict[str, Any]) -> dict[str, Any]:
    """Write a row as DynamoDB sends it."""
    stored: dict[str, Any] = json.loads(
        json.dumps(
            {name: _serialize(_stored(value)) for name, value in row.items()},
            default=lambda value: base64.b64encode(bytes(value)).decode(),
        )
    )
    return stored


class Peer(asyncio.Protocol):
    """HTTP/1.1 as far as boto3 and our own clients speak it; connections stay open."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._received[:end].decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (one.partition(":") for one in lines)
            }
            if headers.get("expect"):
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                headers.pop("expect")
            whole = end + 4 + int(headers.get("content-length", "0"))
            if len(self._received) < whole:
                return
            body, self._received = self._received[end + 4 : whole], self._received[whole:]
            self._answer(first.split(" ")[1], headers, body)

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> None:
        if path.startswith("/hook/"):
            seconds = int(path.removeprefix("/hook/").partition("?")[0]) / 1000
            asyncio.get_running_loop().call_later(seconds, self._send, b"{}", "application/json")
            return
        question = json.loads(body or b"{}")
        status = "pending" if path.startswith("/cancel_delivery") else "failed"
        told = answer(headers.get("x-amz-target", ""), question, self._address, status)
        self._send(json.dumps(told).encode(), "application/x-amz-json-1.0")

    def _send(self, body: bytes, kind: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


async def serve() -> None:
    """Listen on a free port, say where, and serve until the end."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = await loop.create_server(lambda: Peer(address), sock=listener)
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
