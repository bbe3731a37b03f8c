"""AWS and receivers over HTTP on loopback, with the same response every time.

It runs in a separate process, so that its work is not counted. `POST /hook/MS` is a receiver that
needs MS milliseconds. Any other path is AWS, where `X-Amz-Target` names the call. Deliveries have
failed, except when a worker's visit reads them, or a call below `/cancel_delivery`: then they are
pending.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import sys
from typing import TYPE_CHECKING, Any

from dispatcher.adapters.items import message_item, request_item
from dispatcher.adapters.overrides import POLICY_KEY
from evidence.bench.rows import HOOKED, REQUEST_ID, message_of, overrides_item, request_of

if TYPE_CHECKING:
    from dispatcher.adapters.items import Item

API_KEY = {
    # Of the key in events/authorize_request.json.
    "sha256": "aff92e7b6bc49ba55ce8734833fd6d876d87aa091501129ae2a8127e6f79b0f9",
    "scopes": ["dispatch:read", "dispatch:write"],
    "user": "*",
}

USER = "ada@example.com"


def respond(  # noqa: C901, PLR0911 - one response for each call
    target: str, question: dict[str, Any], address: str, status: str = "failed"
) -> dict[str, Any]:
    """Respond to a call as AWS would with the rows that are always there.

    Users' receivers are at ``address`` too.
    """
    match target.rpartition(".")[2]:
        case "GetItem":
            return {"Item": item_at(question["TableName"], question["Key"], address, status)}
        case "BatchGetItem":
            return {"Responses": batch(question["RequestItems"], address, status)}
        case "UpdateItem" | "DeleteItem" if "ReturnValues" in question:
            return {"Attributes": item_at(question["TableName"], question["Key"], address, status)}
        case "Query" if "IndexName" in question or "MAILBOX#" in json.dumps(question):
            return {"Items": [], "Count": 0}
        case "Query":
            identifier = "019aae2c-8f00-7000-8a5b-3c1d2e4f{:02x}00"
            messages = [message_of(USER, identifier.format(9 - number)) for number in range(10)]
            return {"Items": [message_item(row) for row in messages], "Count": len(messages)}
        case "SendMessage":
            return {"MessageId": "1", "MD5OfMessageBody": "0" * 32}
        case "GetQueueAttributes":
            return {"Attributes": {"QueueArn": "arn:aws:sqs:eu-central-1:123456789012:queue"}}
        case "GetSecretValue":
            return {"Name": "keys", "SecretString": json.dumps({"sample": API_KEY})}
        case "Encrypt":
            return {"CiphertextBlob": b"sealed"}
        case "Decrypt":
            secrets = {"issued": {"signing_secret": "whsec_" + "A" * 43 + "="}, "config": {}}
            return {"Plaintext": json.dumps(secrets).encode()}
        case _:
            return {}


def batch(wanted: dict[str, Any], address: str, status: str) -> dict[str, list[Item]]:
    """Return the rows that one read asks for; a message beside its request is pending."""
    request_id = REQUEST_ID
    for key in wanted["deliveries"]["Keys"]:
        kind, _, name = key["sk"]["S"].partition("#")
        if kind == "REQUEST":
            request_id, status = name, "pending"
    return {
        table: [item_at(table, key, address, status, request_id) for key in keys["Keys"]]
        for table, keys in wanted.items()
    }


def item_at(
    table: str, key: dict[str, Any], address: str, status: str, request_id: str = REQUEST_ID
) -> Item:
    """Return the item at a key: every key has one. A message belongs to ``request_id``."""
    user_id = key["user_id"]["S"]
    if user_id == POLICY_KEY:
        fields = {"title": {"S": "Security"}}
        return {**key, "version": {"N": "1"}, "categories": {"M": {"security": {"M": fields}}}}
    if table == "overrides":
        return overrides_item(user_id, f"{address}/hook/{user_id.removeprefix(HOOKED)}")
    kind, _, name = key["sk"]["S"].partition("#")
    if kind == "MESSAGE":
        return message_item(message_of(user_id, name, status, request_id))
    if kind == "REQUEST":
        return request_item(request_of(user_id, name))
    # A mailbox row, which only DeleteItem asks for.
    texts = {"request_id": REQUEST_ID, "content": "text"}
    numbers = {"created_at": "1795382736.183", "ttl": "9999999999"}
    return {
        **key,
        **{field: {"S": value} for field, value in texts.items()},
        **{field: {"N": value} for field, value in numbers.items()},
    }


class Connection(asyncio.Protocol):
    """HTTP/1.1 as far as boto3 and our own clients speak it; connections stay open."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the responses."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Respond to each complete request."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._received[:end].decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines)
            }
            if headers.get("expect"):
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                headers.pop("expect")
            whole = end + 4 + int(headers.get("content-length", "0"))
            if len(self._received) < whole:
                return
            body, self._received = self._received[end + 4 : whole], self._received[whole:]
            self._respond(first.split(" ")[1], headers, body)

    def _respond(self, path: str, headers: dict[str, str], body: bytes) -> None:
        if path.startswith("/hook/"):
            seconds = int(path.removeprefix("/hook/").partition("?")[0]) / 1000
            asyncio.get_running_loop().call_later(seconds, self._send, b"{}", "application/json")
            return
        question = json.loads(body or b"{}")
        status = "pending" if path.startswith("/cancel_delivery") else "failed"
        response = respond(headers.get("x-amz-target", ""), question, self._address, status)
        self._send(json.dumps(response, default=in_base64).encode(), "application/x-amz-json-1.0")

    def _send(self, body: bytes, kind: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


def in_base64(value: bytes) -> str:
    """Write bytes as AWS's JSON protocols do."""
    return base64.b64encode(value).decode()


async def serve() -> None:
    """Listen on a free port, print the address, and serve until the end."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = await loop.create_server(lambda: Connection(address), sock=listener)
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
