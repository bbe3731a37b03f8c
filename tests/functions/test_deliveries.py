"""Sending a message and following it, as a caller sees it."""

from __future__ import annotations

import json

import pytest

from dispatcher.delivery.doorbells import DeadLetter, Doorbell
from dispatcher.delivery.rows import message_id_of
from tests.catalogues import skipped, unused
from tests.functions.service import DELIVERY_ID, TIME, Like

SKIPPED = skipped(unused({"STAGE": "local", "TOOL_BUS_NAME": "ToolBus"}, "TEST"))
ACCEPTED = {
    "request_id": "ticket-4711-answer",
    "user_id": "john.doe",
    "category": None,
    "deliveries": [
        {
            "delivery_id": DELIVERY_ID,
            "integration_type": "TEST",
            "priority": 5,
            "status": "pending",
            "locked": False,
            "held": None,
        }
    ],
    "skipped": SKIPPED,
}
PENDING = {
    "delivery_id": DELIVERY_ID,
    "request_id": "ticket-4711-answer",
    "session_id": "session-17",
    "subject": "Your laptop, John",
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
    "receipt": None,
    "next_attempt_at": TIME,
    "category": None,
    "locked": False,
    "held": None,
    "error_code": None,
    "error_message": None,
    "metadata": {},
}
UNKNOWN = "019aae2c-8f00-7000-8a5b-3c1d2e4f5a01"


@pytest.fixture
def rehearse(service):
    """Make TEST fail for john.doe as given, with one attempt per round."""

    def store(**config):
        body = {"integration_type": "TEST", "retry_count": 0, "config": config}
        assert service.ask("create_override", body)[0] == 201

    return store


@pytest.fixture
def sent(service):
    """The ID of the one delivery of a message that was sent."""
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
            "Location": "requests/ticket-4711-answer",
        },
        "body": response["body"],
        "isBase64Encoded": False,
    }
    body = json.loads(response["body"])
    assert body == ACCEPTED
    [doorbell] = service.doorbells("DeliveryQueue")
    message_id = message_id_of(body["deliveries"][0]["delivery_id"])
    assert doorbell == Doorbell("john.doe", message_id, "ticket-4711-answer", doorbell.due_at)


def test_accepting_takes_four_calls(service):
    """The overrides are read, request and message are put, and the ring goes out."""
    service.ask("send_message")

    assert service.called == [
        ("dynamodb:GetItem", "OverridesTable"),
        ("dynamodb:PutItem", "DeliveriesTable"),
        ("dynamodb:PutItem", "DeliveriesTable"),
        ("sqs:SendMessage", "DeliveryQueue"),
    ]


def test_the_same_request_again_gets_the_same_response(service):
    """A header says so, and nothing is rung twice."""
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

    assert response["headers"]["Location"] == "requests/a%2Fb%3Fc%26d%3D"
    assert json.loads(response["body"])["request_id"] == "a/b?c&d="


@pytest.mark.parametrize("key", ['"k-1"', "k-1"])
def test_the_header_may_be_a_structured_string(service, key):
    """In double quotes, as the IETF draft has it, the key is the string inside."""
    first = service.response("send_message", {"content": "x", "request_id": "k-1"})

    again = service.response("send_message", {"content": "x"}, headers={"Idempotency-Key": [key]})

    assert again["headers"] == {**first["headers"], "Idempotency-Replayed": "true"}


def test_a_request_is_followed_where_its_location_leads(service):
    """The request has its message's fields, and each delivery as the history returns it."""
    location = service.response("send_message")["headers"]["Location"]
    service.deliver()

    found = service.ask("get_request", request_id=location.removeprefix("requests/"))

    _, history = service.ask("list_deliveries")
    assert found == (
        200,
        {
            "request_id": "ticket-4711-answer",
            "user_id": "john.doe",
            "session_id": "session-17",
            "agent_id": "laptop-refresh",
            "subject": "Your laptop, John",
            "created_at": TIME,
            "deliver_at": None,
            "expires_at": None,
            "mode": "all",
            "deliveries": history["deliveries"],
            "skipped": SKIPPED,
        },
    )
    assert history["deliveries"][0]["status"] == "success"


@pytest.mark.parametrize("request_id", ["a/b?c#d", "a%2Fb", "100%", "..", "~!@$&*()+,;='"])
def test_a_request_may_have_any_visible_characters_in_its_id(service, request_id):
    """The Location leads to the request, however its ID has to be encoded."""
    response = service.response("send_message", {"content": "x", "request_id": request_id})
    location = response["headers"]["Location"]

    status, body = service.ask("get_request", request_id=location.removeprefix("requests/"))

    assert (status, body["request_id"]) == (200, request_id)


@pytest.mark.parametrize(
    "expires_at",
    ["9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59-23:59"],
)
def test_a_message_may_expire_after_the_last_year(service, expires_at):
    """Libraries write "never" as the end of the year 9999, with which RFC 3339 ends."""
    body = {"content": "x", "request_id": "r-1", "expires_at": expires_at}
    service.ask("send_message", body)

    status, found = service.ask("get_request", request_id="r-1")

    assert (status, found["expires_at"]) == (200, "9999-12-31T23:59:59.000Z")


@pytest.mark.parametrize("request_id", ["r-2", "R-1", "r-1%20", "%C3%A9", "x" * 257])
def test_a_request_that_is_not_there_is_not_found(service, request_id):
    """An ID that no request can have is not found either, and no table is read."""
    service.ask("send_message", {"content": "x", "request_id": "r-1"})

    status, body = service.ask("get_request", request_id=request_id)

    assert (status, body["title"]) == (404, "Not found")


def test_another_users_request_is_not_found(service):
    """A request ID belongs to one user."""
    service.ask("send_message", {"content": "x", "request_id": "r-1"})

    status, body = service.ask("get_request", request_id="r-1", user_id="eve")

    assert (status, body["detail"]) == (404, "User eve has no request r-1.")


def test_the_same_name_for_another_message_is_invalid(service):
    """The caller made a mistake, and the first message stays."""
    service.ask("send_message")

    status, body = service.ask(
        "send_message", {"request_id": "ticket-4711-answer", "content": "something else"}
    )

    assert status == 422
    assert body["type"] == "urn:integration-dispatcher:problem:invalid-input"


def test_an_accepted_delivery_is_in_the_history_at_once(service, sent):
    """The newest comes first, without its attempt log; a page takes one query."""
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
    """The error names each invalid parameter."""
    status, body = service.ask("list_deliveries", query=query)

    assert status == 422
    assert {field_error["pointer"] for field_error in body["errors"]} == pointers


def test_a_delivery_is_shown_with_its_attempts(service, sent):
    """It was delivered with the first attempt."""
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
    """The ID belongs to no message of the user."""
    status, body = service.ask(function, delivery_id=UNKNOWN)

    assert status == 404
    assert body["detail"] == f"User john.doe has no delivery {UNKNOWN}."


def test_another_users_delivery_is_not_found(service, sent):
    """The key begins with the user."""
    status, _ = service.ask("get_delivery", delivery_id=sent, user_id="eve")

    assert status == 404


def test_a_failed_delivery_leaves_a_dead_letter(service, rehearse):
    """The operator may redrive it."""
    rehearse(failure="permanent")
    _, body = service.ask("send_message")
    delivery_id = body["deliveries"][0]["delivery_id"]

    service.deliver()

    assert service.doorbells("DeadLetterQueue") == [DeadLetter("john.doe", delivery_id, 2)]
    assert service.ask("get_delivery", delivery_id=delivery_id)[1]["status"] == "failed"


def test_a_failed_delivery_can_be_retried(service, rehearse):
    """It gets a new round, which the worker is rung for on the queue of retries."""
    rehearse(failure="permanent")
    _, body = service.ask("send_message")
    delivery_id = body["deliveries"][0]["delivery_id"]
    service.deliver()

    retried = service.ask("retry_delivery", delivery_id=delivery_id)

    assert retried == (202, {"delivery_id": delivery_id, "round": 2, "status": "pending"})
    assert service.deliver(*service.messages("RetryQueue")) == {"batchItemFailures": []}
    _, body = service.ask("get_delivery", delivery_id=delivery_id)
    assert (body["round"], body["attempts"], body["status"]) == (2, 1, "failed")


def test_a_redriven_dead_letter_starts_a_new_round(service, rehearse):
    """An operator moves it to the delivery queue; moved twice, it opens one round."""
    rehearse(failure="permanent")
    _, body = service.ask("send_message")
    delivery_id = body["deliveries"][0]["delivery_id"]
    service.deliver()
    [dead_letter] = service.messages("DeadLetterQueue")

    assert service.deliver(dead_letter, dead_letter) == {"batchItemFailures": []}

    _, body = service.ask("get_delivery", delivery_id=delivery_id)
    assert (body["round"], body["status"]) == (2, "pending")
    assert len(service.messages("RetryQueue")) == 1


def test_a_pending_delivery_cannot_be_retried(service, sent):
    """Its round has not ended."""
    status, body = service.ask("retry_delivery", delivery_id=sent)

    assert status == 409
    assert body["detail"] == (f"Delivery {sent} is pending; only failed deliveries can be retried.")


def test_a_pending_delivery_can_be_cancelled(service, sent):
    """Cancelling it again gets the same response, and the worker sends nothing."""
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
    """The message was sent."""
    service.deliver()

    status, body = service.ask("cancel_delivery", delivery_id=sent)

    assert status == 409
    assert body["detail"] == (
        f"Delivery {sent} has succeeded; only pending deliveries can be cancelled."
    )


def test_a_cancelled_delivery_frees_the_next_one(service):
    """Both are due now, so nothing is rung: the message's first doorbell delivers the second."""
    hook = {"integration_type": "WEBHOOK", "config": {"url": "https://example.com/"}}
    service.ask("create_override", hook)
    _, body = service.ask("send_message", {"content": "x", "mode": "first_success"})
    first, second = (one["delivery_id"] for one in body["deliveries"])

    status, _ = service.ask("cancel_delivery", delivery_id=first)

    assert (status, service.messages("RetryQueue")) == (200, [])
    assert service.deliver() == {"batchItemFailures": []}
    assert service.ask("get_delivery", delivery_id=second)[1]["status"] == "success"
