"""Sending a message and following it, as a caller sees it."""

from __future__ import annotations

import json

import pytest

from dispatcher.delivery.doorbells import RequestBell, Ticket
from tests.functions.service import DELIVERY_ID, TIME, Like

SKIPPED = [
    {"integration_type": "SLACK", "reason": "not_configured"},
    {"integration_type": "EMAIL", "reason": "not_configured"},
    {"integration_type": "WEBHOOK", "reason": "disabled_by_default"},
    {"integration_type": "SMS", "reason": "disabled_by_default"},
    {"integration_type": "CLI", "reason": "disabled_by_default"},
    {"integration_type": "TOOL", "reason": "disabled_by_default"},
]
ACCEPTED = {
    "request_id": "ticket-4711-answer",
    "user_id": "john.doe",
    "deliveries": [
        {
            "delivery_id": DELIVERY_ID,
            "integration_type": "TEST",
            "priority": 5,
            "status": "pending",
        }
    ],
    "skipped": SKIPPED,
}
PENDING = {
    "delivery_id": DELIVERY_ID,
    "request_id": "ticket-4711-answer",
    "session_id": "session-17",
    "user_id": "john.doe",
    "integration_type": "TEST",
    "status": "pending",
    "priority": 5,
    "round": 1,
    "attempts": 0,
    "max_attempts": 2,
    "created_at": TIME,
    "first_attempt_at": None,
    "last_attempt_at": None,
    "delivered_at": None,
    "next_attempt_at": TIME,
    "error_code": None,
    "error_message": None,
    "metadata": {},
}
UNKNOWN = "019aae2c-8f00-7000-8a5b-3c1d2e4f5a6b"


@pytest.fixture
def rehearse(service):
    """Make TEST fail for john.doe as told, with one try a round."""

    def store(**config):
        body = {"integration_type": "TEST", "retry_count": 0, "config": config}
        assert service.ask("create_override", body)[0] == 201

    return store


@pytest.fixture
def sent(service):
    """The id of the one delivery of a message that was sent."""
    status, body = service.ask("send_message")
    assert status == 202
    return body["deliveries"][0]["delivery_id"]


def test_a_sent_message_is_accepted_with_what_comes_of_it(service):
    """Its deliveries, why there are no others, and where to follow it."""
    response = service.response("send_message")

    assert response == {
        "statusCode": 202,
        "headers": {
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Type": "application/json",
            "Location": "deliveries?request_id=ticket-4711-answer",
        },
        "body": response["body"],
        "isBase64Encoded": False,
    }
    assert json.loads(response["body"]) == ACCEPTED
    assert service.doorbells("DeliveryQueue") == [RequestBell("john.doe", "ticket-4711-answer")]


def test_accepting_takes_three_calls(service):
    """One read, one transaction, one doorbell."""
    service.ask("send_message")

    assert service.called == [
        ("dynamodb:GetItem", "OverridesTable"),
        ("dynamodb:PutItem", "DeliveriesTable"),
        ("dynamodb:PutItem", "DeliveriesTable"),
        ("sqs:SendMessage", "DeliveryQueue"),
    ]


def test_the_same_request_again_gets_the_same_answer(service):
    """And says so; nothing is rung twice."""
    first = service.response("send_message")
    again = service.response("send_message")

    assert again["body"] == first["body"]
    assert again["headers"] == {**first["headers"], "Idempotency-Replayed": "true"}
    assert len(service.doorbells("DeliveryQueue")) == 1


def test_the_header_is_another_way_to_name_a_request(service):
    """The place to follow it takes whatever a key may hold."""
    response = service.response(
        "send_message", {"content": "hello"}, headers={"idempotency-key": ["a/b?c&d=é"[:-1]]}
    )

    assert response["headers"]["Location"] == "deliveries?request_id=a%2Fb%3Fc%26d%3D"
    assert json.loads(response["body"])["request_id"] == "a/b?c&d="


def test_the_same_name_for_another_message_is_invalid(service):
    """Something is wrong with the caller, and the first message stands."""
    service.ask("send_message")

    status, body = service.ask(
        "send_message", {"request_id": "ticket-4711-answer", "content": "something else"}
    )

    assert status == 422
    assert body["type"] == "urn:integration-dispatcher:problem:invalid-input"


def test_an_accepted_delivery_is_in_the_history_at_once(service, sent):
    """Newest first, without the log of attempts; one read for a page."""
    status, body = service.ask("list_deliveries", user_id="john.doe")

    assert status == 200
    assert service.called == [("dynamodb:Query", "DeliveriesTable")]
    assert body == {
        "user_id": "john.doe",
        "deliveries": [{**PENDING, "delivery_id": sent}],
        "limit": 20,
        "offset": 0,
        "next_cursor": None,
    }


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ({"limit": ["0"]}, {"/limit"}),
        ({"offset": ["x"]}, {"/offset"}),
        ({"colour": ["red"]}, {"/colour"}),
        ({"limit": ["1", "2"]}, {"/limit"}),
    ],
)
def test_a_query_that_makes_no_sense_is_invalid(service, query, pointers):
    """What is wrong with each parameter, by name."""
    status, body = service.ask("list_deliveries", query=query)

    assert status == 422
    assert {field_error["pointer"] for field_error in body["errors"]} == pointers


def test_a_delivery_is_shown_with_its_attempts(service, sent):
    """Here delivered at the first try; what the worker did shows."""
    assert service.deliver() == {"batchItemFailures": []}

    status, body = service.ask("get_delivery", delivery_id=sent)

    assert status == 200
    [attempt] = body.pop("attempt_log")
    assert body == {
        **PENDING,
        "status": "success",
        "attempts": 1,
        "first_attempt_at": TIME,
        "last_attempt_at": TIME,
        "delivered_at": TIME,
        "next_attempt_at": None,
        "metadata": body["metadata"],
    }
    assert (attempt["number"], attempt["round"], attempt["outcome"]) == (1, 1, "delivered")


@pytest.mark.parametrize("function", ["get_delivery", "retry_delivery", "cancel_delivery"])
def test_a_delivery_that_is_not_there_is_not_found(service, function):
    """Nor is one of another user's."""
    status, body = service.ask(function, delivery_id=UNKNOWN)

    assert status == 404
    assert body["detail"] == f"user john.doe has no delivery {UNKNOWN}"


def test_another_users_delivery_is_not_found(service, sent):
    """The key begins with the user."""
    status, _ = service.ask("get_delivery", delivery_id=sent, user_id="eve")

    assert status == 404


def test_a_failed_delivery_leaves_a_ticket(service, rehearse):
    """For the operator, who may redrive it."""
    rehearse(failure="permanent")
    _, body = service.ask("send_message")
    delivery_id = body["deliveries"][0]["delivery_id"]

    service.deliver()

    assert service.doorbells("DeadLetterQueue") == [Ticket("john.doe", delivery_id, 2)]
    assert service.ask("get_delivery", delivery_id=delivery_id)[1]["status"] == "failed"


def test_a_failed_delivery_can_be_retried(service, rehearse):
    """It gets a fresh round, and the worker is told."""
    rehearse(failure="permanent")
    _, body = service.ask("send_message")
    delivery_id = body["deliveries"][0]["delivery_id"]
    service.deliver()

    retried = service.ask("retry_delivery", delivery_id=delivery_id)

    assert retried == (202, {"delivery_id": delivery_id, "round": 2, "status": "pending"})
    assert service.deliver() == {"batchItemFailures": []}
    assert service.ask("get_delivery", delivery_id=delivery_id)[1]["round"] == 2


def test_a_pending_delivery_cannot_be_retried(service, sent):
    """It is not over yet."""
    status, body = service.ask("retry_delivery", delivery_id=sent)

    assert status == 409
    assert body["detail"] == f"delivery {sent} is pending: only a failed one can be retried"


def test_a_pending_delivery_can_be_cancelled(service, sent):
    """Once is enough, twice is no mistake; the worker then finds nothing to do."""
    cancelled = service.ask("cancel_delivery", delivery_id=sent)
    again = service.ask("cancel_delivery", delivery_id=sent)

    status, body = cancelled
    assert again == cancelled
    assert status == 200
    assert body == {
        **PENDING,
        "status": "skipped",
        "next_attempt_at": None,
        "error_code": "cancelled",
        "error_message": Like(".+"),
        "attempt_log": [],
    }
    assert service.deliver() == {"batchItemFailures": []}
    assert service.ask("get_delivery", delivery_id=sent) == cancelled


def test_a_delivered_message_cannot_be_cancelled(service, sent):
    """It is too late."""
    service.deliver()

    status, body = service.ask("cancel_delivery", delivery_id=sent)

    assert status == 409
    assert body["detail"] == f"delivery {sent} is success: only a pending one can be cancelled"


def test_the_next_of_a_chain_is_told_when_one_before_it_is_cancelled(service):
    """Of ``first_success`` the second waits for the first; cancelling, it is rung for."""
    hook = {"integration_type": "WEBHOOK", "config": {"url": "https://example.com/"}}
    service.ask("create_override", hook)
    _, body = service.ask("send_message", {"content": "x", "mode": "first_success"})
    first, second = (one["delivery_id"] for one in body["deliveries"])
    service.messages("DeliveryQueue")

    status, _ = service.ask("cancel_delivery", delivery_id=first)

    [bell] = service.doorbells("DeliveryQueue")
    assert status == 200
    assert (bell.user_id, bell.delivery_id) == ("john.doe", second)
