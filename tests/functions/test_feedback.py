"""FeedbackQueue over the real handlers and tables: chains, AWS calls, kills, and a burst."""

from __future__ import annotations

import time
from collections import defaultdict
from itertools import count

import boto3
import pytest

from dispatcher import wiring
from dispatcher.adapters.overrides import OverrideTable
from dispatcher.configuration import hours
from dispatcher.errors import UnavailableError
from dispatcher.responses import rfc3339
from tests.cost import READ, READS, RING, WRITE
from tests.fakes import ScriptedChannel
from tests.feedback import event
from tests.functions.service import reports, sample

ADA = {"user_id": "ada"}
ADDRESS = "ada@example.com"
CHAIN = ("EMAIL", "SLACK", "CLI")


class Channels(defaultdict):
    """Channels by integration, which survive when the wiring is made again."""

    __call__ = defaultdict.__getitem__

    def cache_clear(self):
        """Keep them."""


@pytest.fixture
def channels(service, monkeypatch):
    """Channels by integration, each of which delivers; EMAIL, SLACK and CLI reach Ada."""
    monkeypatch.setenv("EMAIL_SENDER", "news@example.com")
    monkeypatch.setenv("SLACK_BOT_TOKEN_SECRET", "slack")
    wiring.reset()
    channels = Channels(ScriptedChannel)
    monkeypatch.setattr(wiring, "_channel", channels)
    configs = {"EMAIL": {"email_address": ADDRESS}, "SLACK": {"user_email": ADDRESS}, "CLI": {}}
    for priority, name in enumerate(CHAIN, 1):
        body = {"integration_type": name, "priority": priority, "config": configs[name]}
        assert service.ask("create_override", body, **ADA)[0] == 201
    return channels


def send(service, *, mode="first_success", types=CHAIN, **fields):
    """Send a message and deliver it as far as it goes; return the IDs."""
    body = {"content": "x", "mode": mode, "integration_types": list(types), **fields}
    status, sent = service.ask("send_message", body, **ADA)
    assert status == 202
    service.deliver()
    return [one["delivery_id"] for one in sent["deliveries"]]


def take(service, *events):
    """Let the function handle events; return the IDs of the messages that come back."""
    answer = service.invoke("accept_feedback", reports(*events))
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def bounce(delivery_id, name="bounce_permanent", **options):
    """Return the report of a bounce, or another one, of now."""
    at = rfc3339(time.time())
    return event(name, "ada", delivery_id, stack="stack", at=at, address=ADDRESS, **options)


def history(service, ids):
    """Return status, error code and receipt of each delivery as the API shows them."""
    shown = [service.ask("get_delivery", delivery_id=one, **ADA)[1] for one in ids]
    return [
        (one["status"], one["error_code"], one["receipt"] and one["receipt"]["state"])
        for one in shown
    ]


OVER = [
    ("failed", "bounced", "bounced"),
    ("success", None, None),
    ("skipped", "first_success", None),
]


def test_a_bounce_lets_the_next_integration_deliver(service, channels):
    """SLACK delivers, CLI is skipped again, and history and request show all of it."""
    ids = send(service)
    assert [status for status, _, _ in history(service, ids)] == ["success", "skipped", "skipped"]

    assert take(service, bounce(ids[0])) == []
    service.deliver(*service.messages("RetryQueue"))

    assert history(service, ids) == OVER
    _, listed = service.ask("list_deliveries", **ADA)
    request_id = listed["deliveries"][0]["request_id"]
    _, request = service.ask("get_request", request_id=request_id, **ADA)
    receipts = [one["receipt"] for one in request["deliveries"]]
    assert receipts[0]["detail"] == "550 5.1.1 …: user unknown"
    assert receipts[1:] == [None, None]
    assert sorted(one["status"] for one in listed["deliveries"]) == ["failed", "skipped", "success"]
    assert [len(channels(name).messages) for name in CHAIN] == [1, 1, 0]


def test_a_revived_integration_waits_for_quiet_hours(service, channels, time_machine):
    """SLACK is held until its opening, and delivers then."""
    ids = send(service)
    until = time.time() + 600
    muted = {"hours": {"integrations": ["SLACK"]}, "muted_until": rfc3339(until)}
    assert service.ask("update_preferences", muted, **ADA)[0] == 200

    assert take(service, bounce(ids[0])) == []

    _, shown = service.ask("get_delivery", delivery_id=ids[1], **ADA)
    assert shown["held"]["reason"] == "muted"
    assert shown["next_attempt_at"] == shown["held"]["until"] == rfc3339(until)
    time_machine.move_to(until + 1)
    service.deliver(*service.messages("RetryQueue"))
    assert history(service, ids) == OVER


def test_holds_of_revived_integrations_are_logged(service, channels, monkeypatch):
    """As at accept: the hold, a failed second read of the preferences, and hours without end."""
    ids, others = send(service), send(service)
    hours_of_slack = {
        "windows": [{"days": ["mon"], "from": "08:00", "to": "08:15"}],
        "integrations": ["SLACK"],
    }
    assert service.ask("update_preferences", {"hours": hours_of_slack}, **ADA)[0] == 200
    get, reads = OverrideTable.get, []

    def read(table, user_id):
        reads.append(user_id)
        if len(reads) > 1:
            raise UnavailableError("rehearsed")
        return get(table, user_id)

    monkeypatch.setattr(OverrideTable, "get", read)
    take(service, bounce(ids[0]))
    monkeypatch.setattr(OverrideTable, "get", get)
    monkeypatch.setattr(hours, "next_open", lambda *_: None)
    take(service, bounce(others[0]))

    wanted = {"delivery.held", "hold.unchecked", "hours.never_open"}
    assert {event for event, function in service.written if function == "accept_feedback"} >= wanted


def test_a_report_before_the_record_comes_back(service, channels):
    """Only its own record returns to the queue; the others of its batch are done."""
    body = {"content": "x", "integration_types": ["EMAIL"]}
    _, sent = service.ask("send_message", body, **ADA)
    [pending] = [one["delivery_id"] for one in sent["deliveries"]]
    [doorbell] = service.messages("DeliveryQueue")
    [other] = send(service, types=["EMAIL"])

    assert take(service, bounce(other, "delivery"), bounce(pending)) == ["m-1"]
    _, listed = service.ask("list_suppressions", **ADA)
    assert [one["state"] for one in listed["suppressions"]] == ["bounced"]
    service.ask(
        "delete_suppression", suppression_id=listed["suppressions"][0]["suppression_id"], **ADA
    )
    service.deliver(doorbell)
    assert take(service, bounce(pending)) == []

    assert history(service, [pending]) == [("failed", "bounced", "bounced")]


def test_the_outcome_is_published_again(service, channels, monkeypatch):
    """The event has the same round and the status ``failed``."""
    published = []
    boto3.client("events").create_event_bus(Name="outcomes")
    monkeypatch.setenv("OUTCOME_BUS_NAME", "outcomes")
    wiring.reset()
    publish = type(wiring._publisher()).publish

    def note(self, row, place):
        published.append((row.deliveries[place].type, str(row.deliveries[place].status)))

    monkeypatch.setattr(type(wiring._publisher()), "publish", note)
    ids = send(service, types=["EMAIL"])

    take(service, bounce(ids[0]))
    take(service, bounce(ids[0]))

    assert publish is not note
    assert published == [("EMAIL", "success"), ("EMAIL", "failed")]


# AWS calls ----------------------------------------------------------------------------------------


@pytest.fixture
def calls(session, service):
    """Return the list to which each AWS call adds its name; empty it before use."""
    made = []

    def note(model, **_):
        made.append(f"{model.service_model.service_name}:{model.name}")

    with session.listening(before_call=note):
        # The use cases hold clients that exist already.
        wiring.reset()
        yield made


def test_each_report_takes_the_calls_of_the_contract(service, channels, calls):
    """A read and a write; a suppression one of each more; a chain one ring; a repeat no write."""
    ids, [only] = send(service), send(service, types=["EMAIL"])
    taken = {}
    for name, report in {
        "receipt": bounce(only, "delivery"),
        "soft bounce": bounce(only, "bounce_mailbox_full"),
        "chain": bounce(ids[0]),
    }.items():
        for repeat in ("", ", again"):
            calls.clear()
            assert take(service, report) == []
            taken[name + repeat] = list(calls)

    assert taken == {
        "receipt": [READ, WRITE],
        "receipt, again": [READ],
        # A dead letter is sent, and its flag cleared.
        "soft bounce": [READS, WRITE, RING, WRITE],
        "soft bounce, again": [READS],
        "chain": [READS, READ, WRITE, WRITE, RING],
        "chain, again": [READS, READ],
    }


# Killed at each step ------------------------------------------------------------------------------


class KilledError(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(5))
def test_a_function_that_is_killed_at_any_step_loses_nothing(
    service, channels, session, time_machine, step, after
):
    """The event comes again; at the latest the sweeper rings, and SLACK delivers once."""
    ids = send(service)
    number = count()

    def kill(**_):
        if next(number) == step:
            raise KilledError

    with session.listening(**{"after_call" if after else "before_call": kill}):
        wiring.reset()
        with pytest.raises(KilledError):
            take(service, bounce(ids[0]))
    wiring.reset()
    assert take(service, bounce(ids[0])) == []
    time_machine.move_to(time.time() + 180)
    service.invoke("sweep_deliveries", sample("sweep_deliveries"))
    service.deliver(*service.messages("RetryQueue"))

    assert history(service, ids) == OVER
    assert [len(channels(name).messages) for name in CHAIN] == [1, 1, 0]


# The events that several functions write ----------------------------------------------------------


def test_faults_of_queue_bus_and_table_are_logged(service, channels, monkeypatch):
    """The function writes the events that it shares with others."""
    monkeypatch.setenv("OUTCOME_BUS_NAME", "event-bus/OutcomeBusName")
    wiring.reset()
    ids, [only] = send(service), send(service, types=["EMAIL"])
    sqs = boto3.client("sqs")
    for queue in ("RetryQueue", "DeadLetterQueue"):
        sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"])

    assert take(service, bounce(ids[0]), bounce(only, "bounce_mailbox_full")) == []
    boto3.client("dynamodb").delete_table(TableName="DeliveriesTable")
    assert take(service, bounce(only)) == ["m-0"]

    written = {name for name, function in service.written if function == "accept_feedback"}
    assert written >= {
        *("doorbell.lost", "dead_letter.delayed", "outcome.unpublished"),
        *("message.returned", "batch.handled", "feedback.applied"),
    }
