"""The deployed service as a test sees it: its API, and behind it tables, queues and functions."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import requests

from dispatcher.adapters.dynamodb import DeliveryTable
from dispatcher.delivery.rows import MESSAGE, message_id_of, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import boto3

    from dispatcher.delivery.rows import Delivery, MailboxRow, MessageRow, RequestRow
    from tests.e2e.api_session import ApiSession

Value = TypeVar("Value")

PATIENCE = 60.0
"""Seconds: far more than anything takes, even beside other work on the machine."""

FINAL = ("success", "failed", "skipped")


def until(look: Callable[[], Value], *, patience: float = PATIENCE, pause: float = 0.05) -> Value:
    """Look again and again until something is there, and return it.

    It fails, and shows the last look, once patience is over. The longer it takes, the longer are
    the pauses: a look is a request, which takes processor time from what is awaited.
    """
    began = time.monotonic()
    while not (found := look()):
        waited = time.monotonic() - began
        assert waited < patience, f"not within {patience} s; the last look: {found!r}"
        time.sleep(max(pause, waited / 10))
    return found


def seconds(text: str) -> float:
    """Read a time of the API as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


class System:
    """Reaches every part of one deployed stack."""

    def __init__(
        self, stack: Mapping[str, str], api: ApiSession, aws: boto3.Session, ids: Mapping[str, str]
    ) -> None:
        self.stack = stack
        self.api = api
        self.aws = aws
        self.ids = ids
        self._plain = requests.Session()
        self._plain.trust_env = False
        self.sqs = aws.client("sqs")
        self._lambda = aws.client("lambda")
        self._logs = aws.client("logs")
        dynamodb = aws.resource("dynamodb", endpoint_url=stack["endpoint_url"])
        self.overrides = dynamodb.Table(stack["OverridesTableName"])
        self.deliveries = dynamodb.Table(stack["DeliveriesTableName"])
        self.table = DeliveryTable(
            aws.client("dynamodb"), stack["DeliveriesTableName"], stack["OverridesTableName"]
        )

    # Through the API ------------------------------------------------------------------------------

    def override(self, user: str, integration_type: str, **settings: object) -> dict[str, Any]:
        """Create an override."""
        body = {"integration_type": integration_type, **settings}
        return answered(self.api.post(f"/api/v1/users/{user}/integrations", json=body), 201)

    def effective(self, user: str) -> dict[str, Any]:
        """Return the user's effective configuration."""
        return answered(self.api.get(f"/api/v1/users/{user}/integration-defaults"), 200)

    def send(self, user: str, **body: object) -> dict[str, Any]:
        """Send a message."""
        message = {"content": "Your laptop is ready.", **body}
        return answered(self.api.post(f"/api/v1/users/{user}/deliveries", json=message), 202)

    def sent(self, user: str, **body: object) -> str:
        """Send a message that makes one delivery, and return its ID."""
        (delivery,) = self.send(user, **body)["deliveries"]
        return str(delivery["delivery_id"])

    def delivery(self, user: str, delivery_id: str) -> dict[str, Any]:
        """Return a delivery with its attempts."""
        return answered(self.api.get(f"/api/v1/users/{user}/deliveries/{delivery_id}"), 200)

    def history(self, user: str, **params: object) -> dict[str, Any]:
        """Return a page of the user's deliveries."""
        return answered(self.api.get(f"/api/v1/users/{user}/deliveries", params=params), 200)

    def request(self, user: str, request_id: str) -> dict[str, Any]:
        """Return a request with its deliveries."""
        return answered(self.api.get(f"/api/v1/users/{user}/requests/{request_id}"), 200)

    def ended(self, user: str, delivery_id: str, *, patience: float = PATIENCE) -> dict[str, Any]:
        """Wait until a delivery has ended, and return it."""

        def look() -> dict[str, Any] | None:
            shown = self.delivery(user, delivery_id)
            return shown if shown["status"] in FINAL else None

        return until(look, patience=patience)

    # Behind the API -------------------------------------------------------------------------------

    def mailbox(self, user: str) -> tuple[MailboxRow, ...]:
        """Return what TEST delivered to the user."""
        return self.table.mailbox(user, "TEST", limit=200, after=None, now=time.time()).rows

    def message_row(self, user: str, delivery_id: str) -> MessageRow:
        """Return the row of a delivery's message."""
        row = self.table.message(user, message_id_of(delivery_id))
        assert row is not None, f"the message of {delivery_id} is not stored"
        return row

    def request_row(self, user: str, request_id: str) -> RequestRow:
        """Return the row of a request."""
        row = self.table.request(user, request_id)
        assert row is not None, f"the request {request_id} is not stored"
        return row

    def stored(self, user: str, delivery_id: str) -> Delivery:
        """Return a delivery as its message row holds it."""
        return self.message_row(user, delivery_id).deliveries[place_of(delivery_id)]

    def lose_message(self, user: str, message_id: str) -> None:
        """Delete a message row: the call that accepted its request died before the commit."""
        self.deliveries.delete_item(Key={"user_id": user, "sk": MESSAGE + message_id})

    def override_row(self, user: str) -> dict[str, Any] | None:
        """Return the user's row in the overrides table."""
        return self.overrides.get_item(Key={"user_id": user}, ConsistentRead=True).get("Item")

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """Return all messages of a queue, named as in the outputs, without receiving them."""
        return self.messages_at(self.stack[f"{queue}QueueUrl"])

    def messages_at(self, url: str) -> list[dict[str, Any]]:
        """Return all messages of any queue of the cloud, by its URL."""
        look = f"{self.stack['endpoint_url']}/_ministack/sqs/messages"
        shown = self._plain.get(look, params={"QueueUrl": url}, timeout=10)
        return [
            message
            for account in shown.json()["messages"].values()
            for region in account.values()
            for messages in region.values()
            for message in messages
        ]

    def waiting(self, queue: str, text: str) -> list[str]:
        """Return the bodies that hold a text and were not dealt with yet, delayed ones aside."""
        now = time.time()
        return [
            message["Body"]
            for message in self.messages(queue)
            if text in message["Body"] and (message["ReceiveCount"] or message["VisibleAt"] <= now)
        ]

    def log(self, function: str) -> str:
        """Return all that a function has logged."""
        return "".join(self._logged(function))

    def log_lines(self, function: str) -> list[str]:
        """Return all that a function has logged in JSON, as it left the function."""
        lines = [line for event in self._logged(function) for line in event.splitlines()]
        return [line for line in lines if line.startswith("{")]

    def _logged(self, function: str) -> list[str]:
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=self.ids["FunctionsLogGroup"]
        )
        events = [event for page in pages for event in page["events"]]
        name = f'"function_name":"{self.ids[f"{function}Function"]}"'
        streams = {each["logStreamName"] for each in events if name in each["message"]}
        return [each["message"] for each in events if each["logStreamName"] in streams]

    def ring(self, queue: str, body: object) -> None:
        """Put a message into a queue, as it is if it is text, else as JSON."""
        text = body if isinstance(body, str) else json.dumps(body)
        self.sqs.send_message(QueueUrl=self.stack[f"{queue}QueueUrl"], MessageBody=text)

    def hasten(self, user: str, delivery_id: str, **changes: object) -> None:
        """Let time pass for one delivery: it is due, its lease is over, the sweeper reads its row.

        ``changes`` of the message row are written with that.
        """
        place = place_of(delivery_id)

        def write() -> bool:
            row = self.message_row(user, delivery_id)
            assert row.sweep_at is not None, f"{delivery_id} needs no sweeper"
            due = replace(row.deliveries[place], due_at=1.0)
            hastened = replace(
                row,
                rev=secrets.token_bytes(8),
                sweep_at=1.0,
                lease_until=None if row.lease_until is None else 1.0,
                deliveries=(*row.deliveries[:place], due, *row.deliveries[place + 1 :]),
                **changes,
            )
            stored = self.table.write(hastened, on=row.rev)
            return stored is not None and stored.rev == hastened.rev

        until(write)

    def sweep(self) -> dict[str, Any]:
        """Run the sweeper now instead of waiting for its minute."""
        name = self.ids["SweepDeliveriesFunction"]
        answer = self._lambda.invoke(FunctionName=name)
        result: dict[str, Any] = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, result
        return result

    def set_variables(self, function: str, variables: Mapping[str, str]) -> None:
        """Set the environment of a function, as a deployment does."""
        name = self.ids[function]
        environment = {"Variables": dict(variables)}
        self._lambda.update_function_configuration(FunctionName=name, Environment=environment)

    def variables(self, function: str) -> dict[str, str]:
        """Return the environment of a function."""
        found = self._lambda.get_function_configuration(FunctionName=self.ids[function])
        return found["Environment"]["Variables"]


def doorbell(user: str, delivery_id: str, request_id: str) -> dict[str, object]:
    """Return a doorbell of a delivery's message; it is due long since."""
    return {
        "v": 2,
        "kind": "message",
        "user_id": user,
        "message_id": message_id_of(delivery_id),
        "request_id": request_id,
        "due_at": 1,
    }


def answered(response: requests.Response, status: int) -> Any:
    """Return the body of a response that has the expected status."""
    assert response.status_code == status, response.text
    return response.json() if response.content else None
