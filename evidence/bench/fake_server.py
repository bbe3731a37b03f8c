"""AWS and receivers over HTTP on loopback, with the same response every time.

It runs in a separate process, so that its work is not counted. `POST /hook/MS` is a receiver that
needs MS milliseconds. Any other path is AWS, where `X-Amz-Target` names the call. Deliveries have
failed, except when a worker's visit reads them, or a call below `/cancel_delivery`: then they are
pending.
"""

from __future__ import annotations

import base64
import json
import signal
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from dispatcher.adapters.items import message_item, request_item
from dispatcher.adapters.overrides import POLICY_KEY
from evidence.bench.rows import HOOKED, REQUEST_ID, message_of, overrides_item, request_of
from tools.loopback import LoopbackServer

if TYPE_CHECKING:
    from dispatcher.adapters.items import Item

API_KEY = {
    # Of the key in events/authorize_request.json.
    "sha256": "aff92e7b6bc49ba55ce8734833fd6d876d87aa091501129ae2a8127e6f79b0f9",
    "scopes": ["dispatch:read", "dispatch:write"],
    "user": "*",
}

LINK_KEY = "aKeyThatSignedTheTokensInTheSamplesOfPages"
"""As in the events of the functions that open links."""

SUPPRESSION = {
    "!EMAIL#9f86d081884c7d65": {
        "M": {name: {"S": "-"} for name in ("state", "delivery_id", "detail", "shown")}
        | {"at": {"N": "1795382736"}}
    }
}
"""As in the event of delete_suppression."""

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
            kinds = ("", "Delayed", "NotVisible")
            counts = {f"ApproximateNumberOfMessages{kind}": "0" for kind in kinds}
            arn = "arn:aws:sqs:eu-central-1:123456789012:queue"
            return {"Attributes": {"QueueArn": arn, **counts}}
        case "GetMetricData":
            names = [query["Id"] for query in question["MetricDataQueries"]]
            return {"MetricDataResults": [{"Id": name, "Values": []} for name in names]}
        case "GetSecretValue":
            of_links = question["SecretId"].endswith("-links")
            text = LINK_KEY if of_links else json.dumps({"sample": API_KEY})
            return {"Name": question["SecretId"], "SecretString": text}
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


class Handler(BaseHTTPRequestHandler):
    """Returns rows to a function, and 200 to a sender; connections stay open."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: LoopbackServer

    def do_POST(self) -> None:
        """Respond to a request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/hook/"):
            time.sleep(int(self.path.removeprefix("/hook/").partition("?")[0]) / 1000)
            content, kind = b"{}", "application/json"
        else:
            target, address = self.headers.get("X-Amz-Target", ""), self.server.origin
            status = "pending" if self.path.startswith("/cancel_delivery") else "failed"
            response = respond(target, json.loads(body or b"{}"), address, status)
            if self.path.startswith("/delete_suppression") and "Item" in response:
                response["Item"] |= SUPPRESSION
            content = json.dumps(response, default=in_base64).encode()
            kind = "application/x-amz-json-1.0"
        self.send_response_only(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST  # noqa: N815 - http.server's name

    def log_message(self, *_: object) -> None:
        """Print nothing: the first line is the address."""


def in_base64(value: bytes) -> str:
    """Write bytes as AWS's JSON protocols do."""
    return base64.b64encode(value).decode()


if __name__ == "__main__":
    with LoopbackServer(Handler) as server:
        print(server.origin, flush=True)
        signal.pause()
