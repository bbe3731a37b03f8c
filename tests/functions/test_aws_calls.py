"""The AWS calls of each operation: the cost of a message and its latency follow from them.

docs/cost.md uses the same lists.
"""

from __future__ import annotations

import time

import boto3
import pytest

from dispatcher.delivery.doorbells import DeadLetter, Doorbell
from dispatcher.delivery.rows import SHARDS, message_id_of
from tests.cost import CALLS, PUT, READ, READS, RING, WRITE
from tests.functions.service import sample
from tools.receiver import Receiver

QUERY = "dynamodb:Query"
HOOK = {"integration_type": "WEBHOOK", "config": {"url": "https://hooks.example.com/x"}}


@pytest.fixture
def calls(session, service):
    """Return the list to which each AWS call adds its name; empty it before use."""
    made = []

    def note(model, **_):
        made.append(f"{model.service_model.service_name}:{model.name}")

    with session.listening(before_call=note):
        yield made


def counted(calls, function, service, body=None, **parts):
    """Send a request, and return the AWS calls of its response."""
    calls.clear()
    status, _ = service.ask(function, body, **parts)
    assert status < 300
    return list(calls)


def test_the_defaults_take_no_call(service, calls):
    """They are a function of the environment."""
    assert counted(calls, "get_integration_defaults", service) == []


@pytest.mark.parametrize("overrides", [0, 1])
def test_the_effective_configuration_takes_one_read(service, calls, overrides):
    """A user's overrides are one row."""
    for _ in range(overrides):
        service.ask("create_override", {"integration_type": "SLACK", "priority": 9})

    taken = counted(calls, "get_effective_configuration", service)

    assert taken == [*CALLS["effective configuration"]] == [READ]


def test_each_operation_on_overrides_takes_what_it_must(service, calls):
    """One conditional write, and one read if something is shown or checked first."""
    test = {"integration_type": "TEST", "priority": 7}

    taken = {
        "create": counted(calls, "create_override", service, test),
        "get": counted(calls, "get_override", service, integration_type="TEST"),
        "list": counted(calls, "list_overrides", service),
        "update": counted(
            calls, "update_override", service, {"priority": 8}, integration_type="TEST"
        ),
        "delete": counted(calls, "delete_override", service, integration_type="TEST"),
        "reset": counted(calls, "reset_overrides", service),
    }

    assert taken == {
        "create": [WRITE],
        "get": [READ],
        "list": [READ],
        "update": [READ, WRITE],
        # The emptied row is deleted.
        "delete": [WRITE, "dynamodb:DeleteItem"],
        "reset": ["dynamodb:DeleteItem"],
    }


def test_secrets_take_the_key_beside(service, calls):
    """One call encrypts the new ones, and one more decrypts the stored ones if they are needed."""
    taken = {
        "create": counted(calls, "create_override", service, HOOK),
        "update": counted(
            calls,
            "update_override",
            service,
            {"config": {**HOOK["config"], "headers": {"X-Key": "value"}}},
            integration_type="WEBHOOK",
        ),
        "rotate": counted(calls, "rotate_secret", service),
        "read": counted(calls, "get_override", service, integration_type="WEBHOOK"),
    }

    assert taken == {
        "create": ["kms:Encrypt", WRITE],
        "update": [READ, "kms:Decrypt", "kms:Encrypt", WRITE],
        "rotate": [READ, "kms:Decrypt", "kms:Encrypt", WRITE],
        "read": [READ],
    }


@pytest.mark.parametrize("integrations", [1, 2])
def test_a_send_takes_four_calls_however_many_integrations(service, calls, integrations):
    """The overrides, the request, the message and one ring."""
    if integrations == 2:
        service.ask("create_override", {"integration_type": "CLI"})

    taken = counted(calls, "send_message", service)

    assert taken == [*CALLS["send"]] == [READ, PUT, PUT, RING]


def test_a_repeated_send_takes_three_calls(service, calls):
    """The put is refused, and the message is read to see that it exists."""
    service.ask("send_message")

    taken = counted(calls, "send_message", service)

    assert taken == [*CALLS["repeated send"]] == [READ, PUT, READ]


def test_a_send_that_completes_a_request_takes_two_calls_more(service, calls):
    """The call before ended between its two puts: the message is put, and rung for."""
    _, sent = service.ask("send_message")
    delete_message(sent["deliveries"][0]["delivery_id"])

    taken = counted(calls, "send_message", service)

    assert taken == [READ, PUT, READ, PUT, RING]


def test_a_send_with_nothing_to_deliver_takes_two_calls(service, calls):
    """The request alone is put, and nothing is rung for; a repeat takes as many."""
    body = {"request_id": "r-1", "content": "x", "integration_types": ["SLACK"]}

    first = counted(calls, "send_message", service, body)
    again = counted(calls, "send_message", service, body)

    assert (first, again) == ([READ, PUT], [READ, PUT])


def test_a_send_for_later_takes_no_ring(service, calls):
    """The sweeper rings for what is due in more than 900 s."""
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1000))

    taken = counted(calls, "send_message", service, {"content": "x", "deliver_at": later})

    assert taken == [READ, PUT, PUT]


def test_a_page_of_the_history_takes_one_query(service, calls):
    """At offset 0, by cursor, and with a filter."""
    for number in range(3):
        service.ask("send_message", {"content": "x", "request_id": f"r-{number}"})
    query = {"limit": ["2"]}
    _, page = service.ask("list_deliveries", query=query)
    following = {**query, "cursor": [page["next_cursor"]]}

    for one in (query, following, {**query, "status": ["failed"]}):
        taken = counted(calls, "list_deliveries", service, query=one)
        assert taken == [*CALLS["history page"]] == [QUERY]


def test_the_deliveries_of_a_request_take_two_reads(service, calls):
    """The request and its message, in the history and for the request itself."""
    service.ask("send_message", {"content": "x", "request_id": "r-1"})

    listed = counted(calls, "list_deliveries", service, query={"request_id": ["r-1"]})
    shown = counted(calls, "get_request", service, request_id="r-1")

    assert (listed, shown) == ([READ, READ], [READ, READ])


def test_a_request_with_nothing_to_deliver_takes_one_read(service, calls):
    """It has no message row."""
    body = {"content": "x", "request_id": "r-1", "integration_types": ["SLACK"]}
    service.ask("send_message", body)

    assert counted(calls, "get_request", service, request_id="r-1") == [READ]


def test_a_delivery_takes_one_read(service, calls):
    """A message's row holds its deliveries."""
    _, sent = service.ask("send_message")

    name = sent["deliveries"][0]["delivery_id"]
    assert counted(calls, "get_delivery", service, delivery_id=name) == [READ]


def delivered(service, calls):
    """Let the worker handle all doorbells, and return the AWS calls of that."""
    waiting = service.messages("DeliveryQueue")
    calls.clear()
    assert service.deliver(*waiting) == {"batchItemFailures": []}
    return list(calls)


def test_a_visit_takes_one_read_and_a_write_for_each_attempt_and_the_claim(service, calls):
    """Message, request and overrides are one read; TEST puts its message into the mailbox."""
    service.ask("send_message")

    taken = delivered(service, calls)

    assert taken == [READS, WRITE, PUT, WRITE]
    assert sorted(taken) == sorted(CALLS["visit"] + CALLS["attempt"] + CALLS["mailbox"])


def test_two_integrations_share_the_read_and_the_claim(service, calls):
    """The record of the first attempt makes the claim of the second."""
    service.ask("create_override", {"integration_type": "CLI"})
    service.ask("send_message")

    taken = delivered(service, calls)

    assert taken == [READS, WRITE, PUT, WRITE, PUT, WRITE]
    assert sorted(taken) == sorted(CALLS["visit"] + 2 * (CALLS["attempt"] + CALLS["mailbox"]))


def test_a_retry_takes_one_ring_more(service, calls):
    """The visit ends with a ring for the next due time."""
    config = {"failure": "transient", "fail_attempts": 1}
    service.ask("create_override", {"integration_type": "TEST", "config": config})
    service.ask("send_message")

    taken = delivered(service, calls)

    assert taken == [READS, WRITE, WRITE, RING]
    assert sorted(taken) == sorted(CALLS["visit"] + CALLS["attempt"] + CALLS["retry"])


def test_a_final_failure_takes_a_dead_letter_and_one_write(service, calls):
    """The dead letter is sent before the row says so."""
    service.ask("create_override", {"integration_type": "TEST", "config": {"failure": "permanent"}})
    service.ask("send_message")

    taken = delivered(service, calls)

    assert taken == [READS, WRITE, WRITE, RING, WRITE]
    assert sorted(taken) == sorted(CALLS["visit"] + CALLS["attempt"] + CALLS["final failure"])
    assert [type(one) for one in service.doorbells("DeadLetterQueue")] == [DeadLetter]


def test_two_final_failures_share_the_last_write(service, calls, monkeypatch):
    """Each has its dead letter; one write clears both."""
    monkeypatch.setenv("WEBHOOK_ALLOWED_CIDRS", "127.0.0.0/8")
    monkeypatch.setenv("WEBHOOK_ALLOW_HTTP", "true")
    service.ask("create_override", {"integration_type": "TEST", "config": {"failure": "permanent"}})
    with Receiver(script=[(404, {})]) as receiver:
        hook = {"integration_type": "WEBHOOK", "config": {"url": receiver.url}}
        service.ask("create_override", hook)
        service.ask("send_message")

        taken = delivered(service, calls)

    assert taken == [READS, WRITE, "kms:Decrypt", WRITE, WRITE, RING, RING, WRITE]


def test_a_new_round_takes_a_read_a_write_and_a_ring(service, calls):
    """The message and the user's retry policy are one read."""
    service.ask("create_override", {"integration_type": "TEST", "config": {"failure": "permanent"}})
    _, sent = service.ask("send_message")
    delivery_id = sent["deliveries"][0]["delivery_id"]
    service.deliver()

    taken = counted(calls, "retry_delivery", service, delivery_id=delivery_id)

    assert taken == [READS, WRITE, RING]
    assert [type(one) for one in service.doorbells("RetryQueue")] == [Doorbell]


def test_a_cancelled_delivery_takes_a_read_and_a_write(service, calls):
    """A ring comes on top only if the message's next due time changed."""
    _, sent = service.ask("send_message")
    name = sent["deliveries"][0]["delivery_id"]

    first = counted(calls, "cancel_delivery", service, delivery_id=name)
    again = counted(calls, "cancel_delivery", service, delivery_id=name)

    assert (first, again) == ([READ, WRITE], [READ])


def test_a_cancelled_delivery_before_another_takes_a_ring_more(service, calls):
    """TEST was to be retried later than CLI, which is due now and waited for it."""
    retry = {"integration_type": "TEST", "config": {"fail_attempts": 1}}
    service.ask("create_override", retry)
    service.ask("create_override", {"integration_type": "CLI"})
    body = {"content": "x", "mode": "first_success", "integration_types": ["TEST", "CLI"]}
    _, sent = service.ask("send_message", body)
    service.deliver()

    name = sent["deliveries"][0]["delivery_id"]
    assert counted(calls, "cancel_delivery", service, delivery_id=name) == [READ, WRITE, RING]


def test_a_doorbell_that_comes_again_takes_one_read(service, calls):
    """Nothing is due any more, so nothing is written."""
    service.ask("send_message")
    bodies = service.messages("DeliveryQueue")
    service.deliver(*bodies)

    calls.clear()
    service.deliver(*bodies)

    assert calls == [READS]


def test_a_sweep_with_nothing_to_do_takes_one_query_for_each_shard(service, calls):
    """This is the price of every minute."""
    service.invoke("sweep_deliveries", {})

    assert calls == [QUERY] * SHARDS


def test_a_sweep_takes_three_calls_for_each_row(service, calls, time_machine):
    """The row is read, rung for, and stamped."""
    for number in range(2):
        service.ask("send_message", {"content": "x", "request_id": f"r-{number}"})
    time_machine.move_to(time.time() + 90)
    calls.clear()

    service.invoke("sweep_deliveries", sample("sweep_deliveries"))

    assert sorted(calls) == sorted([QUERY] * SHARDS + 2 * [READ, RING, WRITE])


def delete_message(delivery_id):
    """Delete a message's row, as if its request had never been completed."""
    sort_key = f"MESSAGE#{message_id_of(delivery_id)}"
    boto3.client("dynamodb").delete_item(
        TableName="DeliveriesTable", Key={"user_id": {"S": "john.doe"}, "sk": {"S": sort_key}}
    )
