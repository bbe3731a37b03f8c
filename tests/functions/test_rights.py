"""Every granted right is used: these tests lead each function to everything that it may do.

All other tests show that no right is missing: a call that the template does not grant fails there,
and the local cloud enforces IAM.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from itertools import cycle

import boto3
import pytest

from dispatcher import wiring
from dispatcher.adapters.overrides import OverrideTable
from dispatcher.configuration.rows import ReceiverHealth
from dispatcher.delivery import prepare
from dispatcher.edges.routes import PAGES, ROUTES
from tests.fake_servers.smtp_server import FakeSmtpServer
from tests.fakes import ScriptedChannel
from tests.feedback import event
from tests.functions.service import batch, sample
from tests.template.rights import granted_to, lambdas_own, unconditional
from tools.receiver import Receiver

FUNCTIONS = (
    *sorted({one.function for one in (*ROUTES, *PAGES)}),
    "accept_events",
    "accept_feedback",
    "authorize_request",
    "deliver_messages",
    "sweep_deliveries",
)
DELIVERY_ID = "019ab2c4-7d10-7c3e-9b1f-2a6d8e4f5c01"
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


def prefer(service):
    """Define categories, hold a message, release it, and take all preferences back."""
    user = {"user_id": "eve"}
    for function in ("put_category", "list_categories"):
        service.ask(function)
    service.ask("get_preferences", **user)
    service.ask("preview_message", **user)
    muted = {"hours": {"integrations": ["TEST"]}, "muted_until": in_an_hour()}
    for function, release in (
        ("update_preferences", {"hours": None, "muted_until": None}),
        ("delete_preferences", None),
    ):
        service.ask("update_preferences", muted, **user)
        service.ask("send_message", {"content": "held"}, **user)
        assert service.ask(function, release, **user)[0] in {200, 204}
        service.deliver(*service.messages("RetryQueue"))
    service.ask("delete_category")
    service.ask("create_override", {"integration_type": "TEST"}, **user)
    service.ask("update_preferences", {"language": "de"}, **user)
    service.ask("reset_overrides", **user)


def unsubscribe(service, monkeypatch):
    """Deliver an email of a category; open its link, end the category, and take that back."""
    user = {"user_id": "lea"}
    for name, value in {
        "SMTP_HOST": "127.0.0.1",
        "SMTP_TLS": "none",
        "EMAIL_SENDER": "news@example.com",
        "INTEGRATION_DEFAULTS_EMAIL_ENABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    service.ask("put_category", {"title": "News"}, category="news")
    with FakeSmtpServer() as peer:
        monkeypatch.setenv("SMTP_PORT", str(peer.port))
        wiring.reset()
        sent = {"content": "x", "category": "news", "recipient": {"email": "lea@example.com"}}
        service.ask("send_message", {**sent, "integration_types": ["EMAIL"]}, **user)
        service.deliver()
        [mail] = peer.mails
    token = re.search(r"/u/([^>]+)>", mail.read["List-Unsubscribe"])[1]
    # Each function reads the keys and the categories by itself, once.
    wiring.reset()
    service.response("show_unsubscribe", token=token)
    wiring.reset()
    for body in ("List-Unsubscribe=One-Click", "action=undo"):
        assert service.response("unsubscribe", body, token=token)["statusCode"] == 200
    service.ask("delete_category", category="news")
    wiring.reset()
    _, link = service.ask("create_preferences_link", **user)
    wiring.reset()
    status, session = service.ask("create_session", {"token": link["url"].rpartition("/")[2]})
    assert status == 201
    wiring.reset()
    event = sample("authorize_request")
    event["multiValueHeaders"] = {"Authorization": [f"Bearer {session['access_token']}"]}
    service.invoke("authorize_request", event)
    service.ask("get_session")
    with monkeypatch.context() as patch:
        patch.setenv("STAGE", "dev")
        # Loopback is opened in the stage local only.
        patch.delenv("WEBHOOK_ALLOWED_CIDRS")
        wiring.reset()
        assert service.ask("get_overview")[0] == 200
    wiring.reset()


def be_unmuted_meanwhile(service, monkeypatch):
    """Hold in each function that can, while the user ends the mute: the hold is planned again."""
    user = {"user_id": "kim"}
    service.ask("create_override", FAILS, **user)
    _, failed = service.ask("send_message", {"content": "x"}, **user)
    service.deliver()
    muted = {"hours": {"integrations": ["TEST"]}, "muted_until": in_an_hour()}
    service.ask("update_preferences", muted, **user)
    get, is_second = OverrideTable.get, cycle((False, True))

    def read(table, user_id):
        stored = get(table, user_id)
        ended = replace(stored, preferences=None, version=stored.version + 1)
        return ended if next(is_second) else stored

    with monkeypatch.context() as patch:
        patch.setattr(OverrideTable, "get", read)
        service.ask("send_message", {"content": "y"}, **user)
        event = {"content": "z", "request_id": "event", **user}
        service.invoke("accept_events", batch("IntakeQueue", json.dumps(event)))
        delivery_id = failed["deliveries"][0]["delivery_id"]
        assert service.ask("retry_delivery", delivery_id=delivery_id, **user)[0] == 202


def suppress():
    """Suppress an address, list it and clear it: the row of the user goes with it."""
    fields = {"state": "bounced", "at": 1.0, "delivery_id": DELIVERY_ID, "detail": ""}
    wiring.suppressions().add("kit", "EMAIL", "kit@example.com", **fields)


def clear_suppressions(service):
    """Show the suppressions of a user, and delete the only one."""
    user = {"user_id": "kit"}
    _, listed = service.ask("list_suppressions", **user)
    [only] = listed["suppressions"]
    identity = only["suppression_id"]
    assert service.ask("delete_suppression", suppression_id=identity, **user)[0] == 204


def be_told(service, monkeypatch):
    """Deliver emails of which the provider reports: one arrived, two bounced."""
    user, chain = {"user_id": "liz"}, {"content": "x", "integration_types": ["EMAIL", "TEST"]}
    with monkeypatch.context() as patch:
        patch.setenv("EMAIL_SENDER", "news@example.com")
        wiring.reset()
        patch.setattr(wiring, "_channel", cache(lambda _name: ScriptedChannel()))
        override = {"integration_type": "EMAIL", "config": {"email_address": "liz@example.com"}}
        service.ask("create_override", override, **user)
        for name in ("delivery", "bounce_mailbox_full", "bounce_permanent"):
            _, sent = service.ask("send_message", {**chain, "mode": "first_success"}, **user)
            service.deliver()
            delivery_id = sent["deliveries"][0]["delivery_id"]
            report = json.dumps(event(name, "liz", delivery_id, stack="stack"))
            answer = service.invoke("accept_feedback", batch("FeedbackQueue", report, "not json"))
            assert answer == {"batchItemFailures": []}
        _, shown = service.ask("get_delivery", delivery_id=delivery_id, **user)
        assert (shown["status"], shown["error_code"]) == ("failed", "bounced")
        service.deliver(*service.messages("RetryQueue"))
        service.messages("DeadLetterQueue")
    wiring.reset()


def in_an_hour():
    """Return a time as a caller writes it."""
    return datetime.fromtimestamp(time.time() + 3600, UTC).isoformat()


def deliver(service):
    """Send, repeat and complete requests, deliver, and read the history and the mailbox."""
    _, sent = service.ask("send_message", {"content": "x", "request_id": "one"})
    service.ask("send_message", {"content": "x", "request_id": "one"})
    service.ask("test_integration", integration_type="TEST", headers={"Idempotency-Key": ["t"]})
    service.ask("test_integration", integration_type="TEST", headers={"Idempotency-Key": ["t"]})
    for _ in range(2):
        service.invoke("accept_events", sample("accept_events"))
    service.invoke("accept_events", batch("IntakeQueue", "not json"))
    service.deliver("not json", *service.messages("DeliveryQueue"))
    service.ask("list_deliveries")
    service.ask("list_deliveries", query={"request_id": ["one"]})
    service.ask("get_delivery", delivery_id=sent["deliveries"][0]["delivery_id"])
    service.ask("get_request", request_id="one")
    _, page = service.ask("list_messages", query={"integration_type": ["TEST"]})
    service.ask("delete_message", message_id=page["messages"][0]["message_id"])


def fail_and_start_over(service):
    """Both deliveries fail, the first also in the round that its dead letter opens."""
    user = {"user_id": "fay"}
    service.ask("create_override", FAILS, **user)
    body = {"content": "x", "mode": "first_success", "integration_types": ["WEBHOOK", "TEST"]}
    with Receiver(script=[(404, {})] * 9) as receiver:
        service.ask("create_override", webhook(receiver.url), **user)
        _, sent = service.ask("send_message", body, **user)
        service.deliver()
        service.deliver(*service.messages("DeadLetterQueue"))
        service.deliver(*service.messages("RetryQueue"))
    last = sent["deliveries"][-1]["delivery_id"]
    assert service.ask("retry_delivery", delivery_id=last, **user)[0] == 202


def cancel(service):
    """Cancel a delivery that is to be retried, for which the next one waits."""
    user = {"user_id": "guy"}
    retried = {"integration_type": "TEST", "config": {"fail_attempts": 1}}
    service.ask("create_override", retried, **user)
    service.ask("create_override", {"integration_type": "TOOL", "enabled": True}, **user)
    _, sent = service.ask("send_message", {"content": "x", "mode": "first_success"}, **user)
    service.deliver()
    first = sent["deliveries"][0]["delivery_id"]
    assert service.ask("cancel_delivery", delivery_id=first, **user)[0] == 200
    service.deliver(*service.messages("RetryQueue"))


def be_refused_by_a_receiver(service):
    """A webhook returns 503, then 410: its override is disabled from then on."""
    user = {"user_id": "gwen"}
    with Receiver(script=[(503, {}), (410, {})]) as receiver:
        override = {**webhook(receiver.url), "retry_count": 1, "retry_delay_seconds": 1}
        service.ask("create_override", override, **user)
        service.ask("send_message", {"content": "x", "integration_types": ["WEBHOOK"]}, **user)
        service.deliver()
        service.ask("send_message", {"content": "y", "integration_types": ["WEBHOOK"]}, **user)
        service.deliver()


def pause(user_id, url):
    """Store that the receiver of a user's webhook is paused for an hour."""
    table = OverrideTable(boto3.client("dynamodb"), "OverridesTable")
    stored, now = table.get(user_id), time.time()
    health = ReceiverHealth(
        failures=9, first_failed_at=now, last_failed_at=now, paused_until=now + 3600, pauses=1
    )
    override = replace(stored.by_type["WEBHOOK"], health=health)
    table.replace(user_id, "WEBHOOK", override, version=stored.version, token=url)


def be_paused_and_recover(service):
    """Hold by a pause, end it by a PUT and by a test, and recover what failed before."""
    user, body = {"user_id": "pia"}, {"content": "x", "integration_types": ["WEBHOOK"]}
    with Receiver(script=[(404, {})]) as receiver:
        service.ask("create_override", {**webhook(receiver.url), "retry_count": 0}, **user)
        service.ask("send_message", body, **user)
        service.deliver()
        of_type = {"integration_type": "WEBHOOK", **user}
        ends = {
            "update_override": ({"enabled": True}, of_type),
            "test_integration": (None, of_type),
            "delete_override": (None, of_type),
            "reset_overrides": (None, user),
        }
        for end, (change, parts) in ends.items():
            service.ask("create_override", webhook(receiver.url), **user)
            pause("pia", end)
            service.ask("send_message", body, **user)
            service.ask(end, change, **parts)
            service.deliver(*service.messages("DeliveryQueue"), *service.messages("RetryQueue"))
        service.ask("create_override", webhook(receiver.url), **user)
        fields = {"state": "bounced", "at": 1.0, "delivery_id": DELIVERY_ID, "detail": ""}
        wiring.suppressions().add("pia", "EMAIL", "pia@example.com", **fields)
        since = datetime.fromtimestamp(time.time() - 3600, UTC).isoformat()
        _, recovered = service.ask("recover_deliveries", {"since": since}, **user)
        assert len(recovered["opened"]) == 1
        service.deliver(*service.messages("RetryQueue"))


def sweep_up(service, time_machine):
    """Ring for a first attempt and a retry, and send a dead letter, that were all lost."""
    user = {"user_id": "hal"}
    failing = {"integration_type": "TEST", "config": {"fail_attempts": 1}}
    service.ask("create_override", failing, **user)
    service.ask("send_message", {"content": "to be retried"}, **user)
    service.deliver()
    service.ask("send_message", {"content": "to be attempted"}, **user)
    service.messages("DeliveryQueue")
    service.ask("create_override", FAILS, user_id="ida")
    service.ask("send_message", {"content": "with a dead letter"}, user_id="ida")
    sqs = boto3.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="DeadLetterQueue")["QueueUrl"])
    service.deliver()
    sqs.create_queue(QueueName="DeadLetterQueue")
    time_machine.move_to(time.time() + 3600)
    service.invoke("sweep_deliveries", sample("sweep_deliveries"))


@pytest.fixture
def used(service, time_machine, monkeypatch):
    """The rights that each function has used."""
    monkeypatch.setenv("WEBHOOK_ALLOWED_CIDRS", "127.0.0.0/8")
    monkeypatch.setenv("WEBHOOK_ALLOW_HTTP", "true")
    service.invoke("authorize_request", sample("authorize_request"))
    service.ask("get_health")
    service.ask("get_integration_defaults")
    configure(service)
    prefer(service)
    suppress()
    clear_suppressions(service)
    with monkeypatch.context() as patch:
        unsubscribe(service, patch)
    wiring.reset()
    be_unmuted_meanwhile(service, monkeypatch)
    be_told(service, monkeypatch)
    deliver(service)
    fail_and_start_over(service)
    cancel(service)
    be_refused_by_a_receiver(service)
    be_paused_and_recover(service)
    sweep_up(service, time_machine)
    # As if a visit's second attempt came more than 10 s after its read.
    monkeypatch.setattr(prepare, "FRESH", -1.0)
    service.ask("send_message", {"content": "x"}, user_id="joe")
    service.deliver()
    return service.used


def test_each_function_uses_every_right_that_it_has(used):
    """Lambda uses those to poll; the channels' tests use those that a parameter grants."""
    unused = {
        function: unconditional(function) - used[function] - lambdas_own(function)
        for function in FUNCTIONS
    }
    beyond = {function: used[function] - granted_to(function) for function in FUNCTIONS}

    assert unused == {function: set() for function in FUNCTIONS}
    assert beyond == {function: set() for function in FUNCTIONS}
