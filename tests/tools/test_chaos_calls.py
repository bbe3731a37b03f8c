"""The crash proxy's reading of calls, held to what the service really sends."""

from __future__ import annotations

import json

import pytest

from dispatcher.adapters.dynamodb import DeliveryTable
from dispatcher.adapters.sqs import Queues, SqsDoorbells
from dispatcher.delivery import protocol
from dispatcher.delivery.doorbells import DeliveryBell, RequestBell, Ticket
from dispatcher.delivery.protocol import Ending, Put, Write, absent, key_of
from dispatcher.delivery.rows import Delivery
from tools.chaos.calls import Call, Step, read, refused_for_itself

ROW = Delivery(
    user_id="ada",
    delivery_id="0190-1",
    request_id="r-1",
    integration_type="WEBHOOK",
    status="pending",
    priority=1,
    max_attempts=3,
    retry_delay_seconds=2,
    created_at=90.0,
    due_at=90.0,
    fingerprint="f",
    tries=1,
    owner="dead",
    lease_until=150.5,
)
KEY = key_of("ada", "0190-1")
ENTRY = protocol.attempt_entry(
    ROW, started=100.0, seconds=0.1, outcome="retry", code="http_503", detail="no"
)
ENDING = Ending(status="success")


class Wire:
    """A client of AWS that keeps what would be sent."""

    def __init__(self):
        self.sent = None

    def __getattr__(self, method):
        """Take every operation, by the name that boto3 gives it."""
        operation = "".join(word.title() for word in method.split("_"))

        def call(**parameters):
            self.sent = (f"Any.{operation}", json.dumps(parameters).encode())
            return {"Attributes": {}}

        return call


def table(wire):
    """Return the service's table on a wire."""
    return DeliveryTable(wire, "deliveries", token=lambda: "request-token")


@pytest.mark.parametrize(
    ("change", "call"),
    [
        (protocol.claim("mine", 100.5), Call(Step.CLAIM, "0190-1", "mine", 160.5)),
        (protocol.take_over(ROW, "mine", 151.0), Call(Step.CLAIM, "0190-1", "mine", 211.0)),
        (
            protocol.record_retry(ROW, "mine", ENTRY, due_at=103.0, now=101.0),
            Call(Step.RECORD, "0190-1", "mine"),
        ),
        (
            protocol.record_end(ROW, "mine", ENDING, entry=ENTRY, now=101.0, ttl=9e9),
            Call(Step.RECORD, "0190-1", "mine"),
        ),
        (protocol.give_back("mine", 101.0), None),
        (protocol.ticket_sent(1), None),
        (protocol.stamp({"sweep_at": 1, "due_at": 1}, 2.0), None),
    ],
    ids=["claim", "take-over", "retry", "end", "give back", "ticket sent", "stamp"],
)
def test_updates(change, call):
    """Claims and records are steps; what else happens to a row is not."""
    wire = Wire()

    table(wire).apply(KEY, change)

    assert read(*wire.sent) == call


def test_transactions():
    """One that puts deliveries is the commit of a message, one that changes them is a record."""
    wire = Wire()
    ended = protocol.record_end(ROW, "mine", ENDING, entry=ENTRY, now=101.0, ttl=9e9)
    request = {"user_id": "ada", "sk": "REQUEST#r-1", "request_id": "r-1"}

    table(wire).commit(
        [
            Write(("ada", "REQUEST#r-1"), Put(item=request, when=(absent("sk"),))),
            Write(KEY, Put(item=ROW.as_item(), when=(absent("sk"),))),
        ]
    )
    committed = read(*wire.sent)
    table(wire).commit([Write(KEY, ended), Write(KEY, protocol.release(ROW, 101.0))])
    recorded = read(*wire.sent)

    assert committed == Call(Step.COMMIT, "0190-1", names={"0190-1": "r-1 WEBHOOK"})
    assert recorded == Call(Step.RECORD, "0190-1", "mine")


@pytest.mark.parametrize(
    ("doorbell", "call"),
    [
        (DeliveryBell("ada", "0190-1", 5.0), Call(Step.RING, "0190-1")),
        (Ticket("ada", "0190-1", 2), Call(Step.TICKET, "0190-1")),
        (RequestBell("ada", "r-1"), None),
    ],
)
def test_messages(doorbell, call):
    """The doorbell of a retry and a ticket are steps of the worker."""
    wire = Wire()
    queues = Queues(delivery="d", retry="r", dead_letter="l", parked="p")

    SqsDoorbells(wire, queues).ring_retry(doorbell)

    assert read(*wire.sent) == call


def test_reads_are_no_steps():
    """Nothing changes by them."""
    wire = Wire()

    table(wire).get(KEY)

    assert read(*wire.sent) is None


@pytest.mark.parametrize(
    ("answer", "ours"),
    [
        ({"Item": {"owner": {"S": "mine"}}}, True),
        ({"Item": {"owner": {"S": "another"}}}, False),
        ({"CancellationReasons": [{"Item": {"last_owner": {"S": "mine"}}}, {}]}, True),
        ({"message": "throttled"}, False),
    ],
)
def test_a_refusal_by_our_own_write(answer, ours):
    """The answer to the first try was lost, and the second one finds its own token."""
    assert refused_for_itself(json.dumps(answer).encode(), "mine") is ours
