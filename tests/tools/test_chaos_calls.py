"""The crash proxy's reading of calls, held to what the service really sends."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from channels.mailbox import Mailbox
from dispatcher.adapters.dynamodb import DeliveryTable
from dispatcher.adapters.items import message_item
from dispatcher.adapters.sqs import Queues, SqsDoorbells
from dispatcher.delivery import transitions
from dispatcher.delivery.doorbells import DeadLetter, Doorbell
from dispatcher.delivery.outcomes import Delivered, Permanent
from dispatcher.delivery.ports import Message
from dispatcher.delivery.rows import PlannedDelivery, RequestRow
from dispatcher.delivery.transitions import Attempted, GivenBack, RetryPolicy
from dispatcher.delivery.transitions import Step as Transition
from dispatcher.integrations.integration import Address, Recipient
from evidence.chaos.calls import Call, Step, read, refused_by

REQUEST = RequestRow(
    user_id="ada",
    request_id="r-1",
    message_id="01900000-0000-7000-8000-000000000000",
    fingerprint=b"f" * 32,
    ttl=10**9,
    subject=None,
    content="Hello",
    agent_id=None,
    session_id=None,
    recipient=Recipient(),
    mode="all",
    forced=False,
    created_at=90.0,
    due_at=90.0,
    expires_at=None,
    deliveries=tuple(
        PlannedDelivery(type=name, priority=1, max_attempts=1, retry_delay_seconds=2)
        for name in ("WEBHOOK", "TEST")
    ),
    skipped=(),
)
MESSAGE = REQUEST.message_id
FIRST, SECOND = (f"{MESSAGE[:-2]}{place:02}" for place in (1, 2))


def after(step):
    """Return the row of a step, with a ``rev``."""
    assert isinstance(step, Transition)
    return replace(step.row, rev=b"12345678")


def settled(row, settlement, next_token=None):
    """Return the row after the record of a claim."""
    return after(
        transitions.settle(
            row, row.owner, settlement, now=101.0, retention=9e6, next_token=next_token
        )
    )


ACCEPTED = after(transitions.accept(REQUEST, now=90.0))
CLAIMED = after(transitions.begin(ACCEPTED, token="t-1", now=100.0, retention=9e6))
FAILED = settled(CLAIMED, Attempted(Permanent("http_404", "no"), 100.0, 0.1))
DEAD_LETTERS = transitions.dead_letters_owed(FAILED)
CLEARED = after(transitions.dead_letters_sent(FAILED, DEAD_LETTERS, now=101.0, retention=9e6))


class Wire:
    """Requests of boto3's clients; each call gets the same response."""

    def __init__(self, response):
        self.sent = ("", b"")
        self._response = json.dumps(response).encode()

    def client(self, service):
        """Return a client whose calls end here."""
        client = boto3.client(
            service,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.meta.events.register(f"before-send.{service}", self._send)
        return client

    def stream(self, **_):
        """Yield the response's body, as a connection does."""
        yield self._response

    def _send(self, request, **_):
        self.sent = (request.headers["X-Amz-Target"].decode(), request.body)
        return AWSResponse(request.url, 200, {}, self)


def sent(service, call, response=None):
    """Return target and body of what a call sends."""
    wire = Wire(response or {})
    call(wire.client(service))
    return wire.sent


@pytest.mark.parametrize(
    ("before", "row", "step", "subject"),
    [
        (ACCEPTED, CLAIMED, Step.CLAIM, FIRST),
        (
            CLAIMED,
            after(transitions.begin(CLAIMED, token="t-2", now=161.0, retention=9e6)),
            Step.TAKE_OVER,
            FIRST,
        ),
        (CLAIMED, settled(CLAIMED, Attempted(Delivered(), 100.0, 0.1)), Step.RECORD, FIRST),
        (
            CLAIMED,
            settled(CLAIMED, Attempted(Delivered(), 100.0, 0.1), "t-2"),
            Step.RECORD_AND_CLAIM,
            FIRST,
        ),
        (CLAIMED, settled(CLAIMED, GivenBack()), Step.GIVE_BACK, FIRST),
        (FAILED, CLEARED, Step.CLEAR, MESSAGE),
        (
            ACCEPTED,
            after(transitions.cancel(ACCEPTED, 1, now=95.0, retention=9e6)),
            Step.CANCEL,
            MESSAGE,
        ),
        (
            CLEARED,
            after(
                transitions.reopen(
                    CLEARED, 0, round_number=1, policy=RetryPolicy(1, 2), token="t-3", now=102.0
                )
            ),
            Step.REOPEN,
            MESSAGE,
        ),
        (
            ACCEPTED,
            after(transitions.stamp(ACCEPTED, read=ACCEPTED.rev, now=151.0, retention=9e6)),
            Step.STAMP,
            MESSAGE,
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Step) else "",
)
def test_a_write_of_a_message_row_is_recognized(before, row, step, subject):
    """The row that a write replaces tells which step it is."""
    call = sent(
        "dynamodb",
        lambda client: DeliveryTable(client, "deliveries", "").write(row, on=b"read"),
    )

    found = read(*call, {b"read": before}.get)

    assert found == Call(step=step, subject=subject, row=row, on=b"read")


def test_a_write_on_a_row_that_was_never_seen_is_recognized():
    """The audit needs it, though its step is unknown."""
    call = sent(
        "dynamodb",
        lambda client: DeliveryTable(client, "deliveries", "").write(CLAIMED, on=b"read"),
    )

    found = read(*call, {}.get)

    assert found == Call(step=Step.UNKNOWN, subject=MESSAGE, row=CLAIMED, on=b"read")


def test_the_puts_of_an_acceptance_are_recognized():
    """The request first, then the message."""
    request = sent(
        "dynamodb",
        lambda client: DeliveryTable(client, "deliveries", "").put_request(REQUEST, now=90.0),
    )
    message = sent(
        "dynamodb", lambda client: DeliveryTable(client, "deliveries", "").create(ACCEPTED)
    )

    assert read(*request, {}.get) == Call(step=Step.PUT_REQUEST, subject="r-1")
    assert read(*message, {}.get) == Call(step=Step.PUT_MESSAGE, subject=MESSAGE, row=ACCEPTED)


def test_a_send_to_a_mailbox_is_recognized():
    """Its content is kept for the audit."""
    message = Message(
        delivery_id=SECOND,
        request_id="r-1",
        session_id=None,
        agent_id=None,
        user_id="ada",
        integration_type="TEST",
        subject=None,
        content="Hello",
        config={},
        secrets={},
        address=Address("user", "ada"),
        round=1,
        attempt=1,
        accepted_at=90.0,
        attempted_at=100.0,
    )

    put = sent("dynamodb", lambda client: Mailbox(client, "deliveries").put(message))

    assert read(*put, {}.get) == Call(step=Step.SEND, subject=SECOND, content="Hello")


def test_reads_of_a_message_row_are_recognized():
    """One row of the sweeper or DELETE, or all that a visit needs; overrides alone are no step."""
    table = {"deliveries": [], "overrides": []}
    get = sent(
        "dynamodb",
        lambda client: DeliveryTable(client, "deliveries", "overrides").message("ada", MESSAGE),
    )
    batch = sent(
        "dynamodb",
        lambda client: DeliveryTable(client, "deliveries", "overrides").visit(
            "ada", MESSAGE, "r-1"
        ),
        {"Responses": table},
    )
    overrides = sent(
        "dynamodb",
        lambda client: client.get_item(TableName="overrides", Key={"user_id": {"S": "ada"}}),
    )

    assert read(*get, {}.get) == Call(step=Step.GET, subject=MESSAGE)
    assert read(*batch, {}.get) == Call(step=Step.READ, subject=MESSAGE)
    assert read(*overrides, {}.get) is None


def test_writes_of_overrides_are_no_steps():
    """They are not part of the delivery protocol."""
    key = {"user_id": {"S": "ada"}}
    update = sent(
        "dynamodb",
        lambda client: client.update_item(
            TableName="overrides", Key=key, UpdateExpression="REMOVE SLACK"
        ),
    )
    put = sent("dynamodb", lambda client: client.put_item(TableName="overrides", Item=key))

    assert read(*update, {}.get) is None
    assert read(*put, {}.get) is None


@pytest.mark.parametrize(
    ("send", "call"),
    [
        (
            lambda queues: queues.ring(Doorbell("ada", MESSAGE, "r-1", 5.0)),
            Call(step=Step.RING, subject=MESSAGE),
        ),
        (
            lambda queues: queues.send_dead_letter(DeadLetter("ada", FIRST, 2)),
            Call(step=Step.DEAD_LETTER, subject=FIRST),
        ),
        (lambda queues: queues.park("{}", reason="unknown kind", source="RetryQueue"), None),
    ],
    ids=["doorbell", "dead letter", "parked"],
)
def test_queue_messages_are_recognized(send, call):
    """Doorbells and dead letters are steps; a parked message is not."""
    queues = Queues(delivery="d", retry="r", dead_letter="l", parked="p")

    message = sent("sqs", lambda client: send(SqsDoorbells(client, queues)))

    assert read(*message, {}.get) == call


def test_the_row_that_refused_a_write_is_read():
    """Its ``rev`` tells whether an earlier try of the same write took effect."""
    item = {
        name: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value
        for name, value in message_item(CLAIMED).items()
    }

    assert refused_by(json.dumps({"Item": item}).encode()) == CLAIMED
    assert refused_by(json.dumps({"message": "throttled"}).encode()) is None
