"""Mailboxes and test messages, as a caller sees them."""

from __future__ import annotations

import json

import pytest

from dispatcher.delivery.doorbells import Doorbell
from dispatcher.delivery.rows import message_id_of
from tests.functions.service import DELIVERY_ID, TIME, Like

UNKNOWN = "019aae2c-8f00-7000-8a5b-3c1d2e4f5a01"


@pytest.fixture
def delivered(service):
    """The ID of a test message that is in CLI's mailbox."""
    _, body = service.ask("test_integration", integration_type="CLI")
    service.deliver()
    return body["deliveries"][0]["delivery_id"]


def test_a_test_message_is_accepted_like_any_other(service):
    """CLI is disabled by default here; a test ignores that."""
    response = service.response("test_integration", integration_type="cli")

    body = json.loads(response["body"])
    assert (response["statusCode"], response["headers"]["Location"]) == (
        202,
        f"../../requests/{body['request_id']}",
    )
    assert body == {
        "request_id": DELIVERY_ID,
        "user_id": "john.doe",
        "category": None,
        "deliveries": [
            {
                "delivery_id": DELIVERY_ID,
                "integration_type": "CLI",
                "priority": 6,
                "status": "pending",
                "locked": False,
                "held": None,
            }
        ],
        "skipped": [],
    }
    [doorbell] = service.doorbells("DeliveryQueue")
    message_id = message_id_of(body["deliveries"][0]["delivery_id"])
    assert doorbell == Doorbell("john.doe", message_id, body["request_id"], doorbell.due_at)


def test_a_test_message_can_be_repeated_safely(service):
    """The header names it, and the response says that nothing was sent twice."""
    key = {"headers": {"Idempotency-Key": ["k-1"]}, "integration_type": "TEST"}
    first = service.response("test_integration", **key)
    again = service.response("test_integration", **key)

    assert again["body"] == first["body"]
    assert again["headers"] == {**first["headers"], "Idempotency-Replayed": "true"}


def test_an_unknown_integration_cannot_be_tested(service):
    """The path leads nowhere."""
    status, _ = service.ask("test_integration", integration_type="FAX")

    assert status == 404


def test_a_delivered_message_is_in_the_mailbox(service, delivered):
    """One query shows it."""
    status, body = service.ask("list_messages", query={"limit": ["10"]})

    assert status == 200
    assert service.called == [("dynamodb:Query", "DeliveriesTable")]
    assert body == {
        "user_id": "john.doe",
        "integration_type": "CLI",
        "messages": [
            {
                "message_id": delivered,
                "integration_type": "CLI",
                "delivery_id": delivered,
                "request_id": DELIVERY_ID,
                "session_id": None,
                "agent_id": None,
                "subject": "Test of CLI",
                "content": Like("This is a test .+"),
                "created_at": TIME,
            }
        ],
        "limit": 10,
        "next_cursor": None,
    }


def test_a_mailbox_is_read_page_by_page(service, delivered):
    """The cursor of one response is the ``after`` of the next request."""
    service.ask("test_integration", integration_type="CLI")
    service.deliver()
    _, first = service.ask("list_messages", query={"limit": ["1"]})

    status, second = service.ask("list_messages", query={"after": [first["next_cursor"]]})

    assert status == 200
    assert [one["message_id"] for one in first["messages"]] == [delivered]
    assert [one["message_id"] for one in second["messages"]] == [Like(f"(?!{delivered}).+")]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    "query",
    [
        {"after": ["x"]},
        {"limit": ["0"]},
        {"colour": ["red"]},
        {"integration_type": ["te\u017ft"]},  # in upper case it is TEST
    ],
)
def test_a_query_that_makes_no_sense_is_invalid(service, query):
    """The parameter is named."""
    status, body = service.ask("list_messages", query=query)

    assert status == 422
    assert [field_error["pointer"] for field_error in body["errors"]] == [f"/{next(iter(query))}"]


def test_an_acknowledged_message_is_gone(service, delivered):
    """204 once, 404 from then on; the history of deliveries stays."""
    first = service.response("delete_message", message_id=delivered)
    again = service.response("delete_message", message_id=delivered)

    assert (first["statusCode"], first["body"], again["statusCode"]) == (204, "", 404)
    assert service.ask("list_messages")[1]["messages"] == []
    assert service.ask("get_delivery", delivery_id=delivered)[1]["status"] == "success"


@pytest.mark.parametrize("name", [UNKNOWN, "x", "CLI#1", ""])
def test_a_message_that_is_not_there_is_not_found(service, name):
    """Whether or not a message could be called so."""
    status, _ = service.ask("delete_message", message_id=name)

    assert status == 404
