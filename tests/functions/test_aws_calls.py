"""How often each operation calls AWS: what a message costs, and how long it takes, hangs on it.

docs/cost.md reckons with the same lists.
"""

from __future__ import annotations

import pytest

from bench.cost import CALLS, PUT, READ, RING, WRITE
from dispatcher.delivery.doorbells import DeliveryBell, Ticket

HOOK = {"integration_type": "WEBHOOK", "config": {"url": "https://hooks.example.com/x"}}


@pytest.fixture
def calls(session, service):
    """Return the list to which each call of AWS adds its name; empty it before you look."""
    made = []

    def note(model, **_):
        made.append(f"{model.service_model.service_name}:{model.name}")

    session.events.register("before-call", note)
    yield made
    session.events.unregister("before-call", note)


def counted(calls, function, service, body=None, **parts):
    """Ask, and return the calls that the answer took."""
    calls.clear()
    status, _ = service.ask(function, body, **parts)
    assert status < 300
    return list(calls)


def test_the_defaults_take_no_call(service, calls):
    """They are a function of the environment."""
    assert counted(calls, "get_integration_defaults", service) == []


@pytest.mark.parametrize("overrides", [0, 1])
def test_the_effective_configuration_takes_one_read(service, calls, overrides):
    """With overrides and without: they are one row."""
    for _ in range(overrides):
        service.ask("create_override", {"integration_type": "SLACK", "priority": 9})

    taken = counted(calls, "get_effective_configuration", service)

    assert taken == [*CALLS["effective configuration"]] == [READ]


def test_each_operation_on_overrides_takes_what_it_must(service, calls):
    """One conditional write, one read where something is shown or checked before."""
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
        # The row is empty then, and goes.
        "delete": [WRITE, "dynamodb:DeleteItem"],
        "reset": ["dynamodb:DeleteItem"],
    }


def test_secrets_take_the_key_beside(service, calls):
    """Once to keep a new one, once more where the old ones must be read before."""
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
def test_a_send_takes_three_calls_however_many_integrations(service, calls, integrations):
    """Overrides, one transaction, one ring."""
    if integrations == 2:
        service.ask("create_override", {"integration_type": "CLI"})

    taken = counted(calls, "send_message", service)

    assert taken == [*CALLS["send"]] == [READ, "dynamodb:TransactWriteItems", RING]


def test_a_page_of_the_history_takes_one_query(service, calls):
    """At offset 0 and by cursor."""
    for number in range(3):
        service.ask("send_message", {"content": "x", "request_id": f"r-{number}"})
    query = {"limit": ["2"]}
    _, page = service.ask("list_deliveries", query=query)
    following = {**query, "cursor": [page["next_cursor"]]}

    for one in (query, following):
        taken = counted(calls, "list_deliveries", service, query=one)
        assert taken == [*CALLS["history page"]] == ["dynamodb:Query"]


def delivered(service, calls):
    """Let the worker answer what is rung for, and return the calls that it took."""
    waiting = service.messages("DeliveryQueue")
    calls.clear()
    assert service.deliver(*waiting) == {"batchItemFailures": []}
    return list(calls)


def test_a_delivery_takes_two_reads_and_two_writes(service, calls):
    """The request is read, claimed, its settings read, and recorded; TEST writes its message."""
    service.ask("send_message")

    taken = delivered(service, calls)

    assert sorted(taken) == sorted([READ, WRITE, READ, "dynamodb:PutItem", WRITE])
    assert sorted(taken) == sorted(CALLS["request"] + CALLS["attempt"] + CALLS["mailbox"])


def test_two_integrations_share_the_reads(service, calls):
    """Two reads for the request, two writes for each attempt; and a message in each mailbox."""
    service.ask("create_override", {"integration_type": "CLI"})
    service.ask("send_message")

    taken = delivered(service, calls)

    assert sorted(taken) == sorted([READ] * 2 + [WRITE] * 4 + [PUT] * 2)
    assert sorted(taken) == sorted(CALLS["request"] + 2 * (CALLS["attempt"] + CALLS["mailbox"]))


def test_a_retry_takes_one_ring_more(service, calls):
    """The record says when, the doorbell rings then."""
    config = {"failure": "transient", "fail_attempts": 1}
    service.ask("create_override", {"integration_type": "TEST", "config": config})
    service.ask("send_message")

    taken = delivered(service, calls)

    assert sorted(taken) == sorted([READ] * 2 + [WRITE] * 2 + [RING])
    assert sorted(taken) == sorted(CALLS["request"] + CALLS["attempt"] + CALLS["retry"])


def test_a_final_failure_takes_a_ticket_and_its_receipt(service, calls):
    """One message and one write more."""
    service.ask("create_override", {"integration_type": "TEST", "config": {"failure": "permanent"}})
    service.ask("send_message")

    taken = delivered(service, calls)

    assert sorted(taken) == sorted([READ] * 2 + [WRITE] * 3 + [RING])
    assert sorted(taken) == sorted(CALLS["request"] + CALLS["attempt"] + CALLS["final failure"])
    assert [type(one) for one in service.doorbells("DeadLetterQueue")] == [Ticket]


def test_a_fresh_round_takes_two_reads_a_write_and_a_ring(service, calls):
    """The row and the user's policy as it is now; then the doorbell of that delivery alone."""
    service.ask("create_override", {"integration_type": "TEST", "config": {"failure": "permanent"}})
    _, sent = service.ask("send_message")
    delivery_id = sent["deliveries"][0]["delivery_id"]
    service.deliver()

    taken = counted(calls, "retry_delivery", service, delivery_id=delivery_id)

    assert taken == [READ, READ, WRITE, RING]
    assert [type(one) for one in service.doorbells("DeliveryQueue")] == [DeliveryBell]


def test_a_doorbell_for_nothing_takes_one_write_that_is_refused(service, calls):
    """It comes twice now and then."""
    service.ask("send_message")
    bodies = service.messages("DeliveryQueue")
    service.deliver(*bodies)

    calls.clear()
    service.deliver(*bodies)

    assert calls == [READ, WRITE]


def test_a_sweep_with_nothing_to_do_takes_one_query_a_shard(service, calls):
    """A minute's price of having no stream and no schedule per message."""
    service.invoke("sweep_deliveries", {})

    assert calls == ["dynamodb:Query"] * 8
