"""No right is granted that nobody uses: each function is led to all that it may do.

That none is missing every other test shows: a call that the template does not grant fails there,
and the local cloud enforces IAM.
"""

from __future__ import annotations

import time

import boto3
import pytest

from dispatcher.edges.routes import ROUTES
from tests.e2e.fake_servers import Receiver
from tests.functions.service import batch, sample
from tests.template.rights import granted_to, lambdas_own, unconditional

FUNCTIONS = (
    *(one.function for one in ROUTES),
    "accept_events",
    "authorize_request",
    "deliver_messages",
    "sweep_deliveries",
)
FAILS = {"integration_type": "TEST", "retry_count": 0, "config": {"failure": "permanent"}}


def webhook(url):
    """Return an override of WEBHOOK with a secret in it."""
    config = {"url": url, "headers": {"Authorization": "Bearer s3cret"}}
    return {"integration_type": "WEBHOOK", "retry_count": 0, "config": config}


def configure(service):
    """Create, show, change and remove overrides, with secrets in them."""
    service.ask("create_override", webhook("https://hooks.example.com/"))
    service.ask("create_override", {"integration_type": "SLACK", "priority": 3})
    changed = {"config": {"url": "https://hooks.example.com/", "headers": {"Authorization": "***"}}}
    service.ask("update_override", changed, integration_type="WEBHOOK")
    service.ask("rotate_secret")
    for function in ("get_override", "list_overrides", "get_effective_configuration"):
        service.ask(function)
    for integration_type in ("SLACK", "WEBHOOK"):
        service.ask("delete_override", integration_type=integration_type)
    service.ask("reset_overrides")


def deliver(service):
    """Send, deliver, look, fail, start over, call off, and read what arrived."""
    _, sent = service.ask("send_message", {"content": "x", "request_id": "one"})
    service.ask("send_message", {"content": "x", "request_id": "one"})
    service.ask("test_integration", integration_type="TEST", headers={"Idempotency-Key": ["t"]})
    service.ask("test_integration", integration_type="TEST", headers={"Idempotency-Key": ["t"]})
    for _ in range(2):
        service.invoke("accept_events", sample("accept_events"))
    service.invoke("accept_events", batch("IntakeQueue", "not json"))
    service.deliver("not json", *service.messages("DeliveryQueue"))
    service.ask("list_deliveries")
    service.ask("get_delivery", delivery_id=sent["deliveries"][0]["delivery_id"])
    _, page = service.ask("list_messages", query={"integration_type": ["TEST"]})
    service.ask("delete_message", message_id=page["messages"][0]["message_id"])


def fail_and_start_over(service):
    """The first of a chain fails for good, twice; the second round is opened by its ticket."""
    user = {"user_id": "fay"}
    service.ask("create_override", FAILS, **user)
    service.ask("create_override", {"integration_type": "TOOL", "enabled": True}, **user)
    chain = {"content": "x", "mode": "first_success", "integration_types": ["WEBHOOK", "TEST"]}
    with Receiver(script=[(404, {})] * 9) as receiver:
        service.ask("create_override", webhook(receiver.url), **user)
        _, sent = service.ask("send_message", chain, **user)
        for _ in range(2):
            service.deliver()
        service.deliver(*service.messages("DeadLetterQueue"))
        for _ in range(2):
            service.deliver()
    last = sent["deliveries"][-1]["delivery_id"]
    service.ask("retry_delivery", delivery_id=last, **user)
    service.ask("delete_override", integration_type="WEBHOOK", **user)
    both = {"content": "x", "mode": "first_success"}
    _, called_off = service.ask("send_message", both, **user)
    first = called_off["deliveries"][0]["delivery_id"]
    service.ask("cancel_delivery", delivery_id=first, **user)
    service.deliver()


def be_refused_by_a_receiver(service):
    """A webhook answers 503, then 410 for good: its override is off from then on."""
    user = {"user_id": "gwen"}
    with Receiver(script=[(503, {}), (410, {})]) as receiver:
        override = {**webhook(receiver.url), "retry_count": 1, "retry_delay_seconds": 1}
        service.ask("create_override", override, **user)
        service.ask("send_message", {"content": "x", "integration_types": ["WEBHOOK"]}, **user)
        service.deliver()
        service.ask("send_message", {"content": "y", "integration_types": ["WEBHOOK"]}, **user)
        service.deliver()


def sweep_up(service, time_machine):
    """Ring for a first try, a retry and a ticket that were lost."""
    user = {"user_id": "hal"}
    failing = {"integration_type": "TEST", "config": {"fail_attempts": 1}}
    service.ask("create_override", failing, **user)
    service.ask("send_message", {"content": "to be retried"}, **user)
    service.deliver()
    service.ask("send_message", {"content": "to be tried"}, **user)
    _, sent = service.ask("send_message", {"content": "with a ticket"}, user_id="ida")
    boto3.client("dynamodb").update_item(
        TableName="DeliveriesTable",
        Key={
            "user_id": {"S": "ida"},
            "sk": {"S": f"DELIVERY#{sent['deliveries'][0]['delivery_id']}"},
        },
        UpdateExpression="SET #status = :failed, ticket_owed = :owed",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":failed": {"S": "failed"}, ":owed": {"BOOL": True}},
    )
    time_machine.move_to(time.time() + 3600)
    service.invoke("sweep_deliveries", sample("sweep_deliveries"))


@pytest.fixture
def used(service, time_machine, monkeypatch):
    """The rights that each function made use of when it was led to all that it does."""
    monkeypatch.setenv("WEBHOOK_ALLOWED_CIDRS", "127.0.0.0/8")
    monkeypatch.setenv("WEBHOOK_ALLOW_HTTP", "true")
    service.invoke("authorize_request", sample("authorize_request"))
    service.ask("get_health")
    service.ask("get_integration_defaults")
    configure(service)
    deliver(service)
    fail_and_start_over(service)
    be_refused_by_a_receiver(service)
    sweep_up(service, time_machine)
    return service.used


def test_each_function_uses_every_right_that_it_has(used):
    """Lambda itself uses those to poll; those that a parameter grants, the channels' tests use."""
    unused = {
        function: unconditional(function) - used[function] - lambdas_own(function)
        for function in FUNCTIONS
    }
    beyond = {function: used[function] - granted_to(function) for function in FUNCTIONS}

    assert unused == {function: set() for function in FUNCTIONS}
    assert beyond == {function: set() for function in FUNCTIONS}
