"""Holds over the real adapters: the AWS calls they take, what they cost, and what is logged."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import cycle
from threading import get_ident

import boto3
import pytest

from dispatcher import wiring
from dispatcher.adapters.items import item_size, message_row
from dispatcher.adapters.overrides import OverrideTable, PolicyTable
from dispatcher.configuration import hours
from dispatcher.configuration.rows import Category, Policy, Preferences
from dispatcher.delivery.doorbells import Doorbell, encode
from dispatcher.delivery.rows import MESSAGE, message_id_of
from dispatcher.errors import UnavailableError
from dispatcher.responses import rfc3339
from tests.cost import CALLS, READ, READS, WRITE
from tests.functions.service import sample
from tests.functions.test_aws_calls import QUERY, calls, counted
from tests.functions.test_log_events import HOLDS, fail_and_redrive, send
from tests.log_events import writers

__all__ = ["calls"]
"""The fixture."""

USER = "john.doe"
EVERY_DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
SEND = [*CALLS["send"]]
FOR_LATER = SEND[:-1]
"""The calls of a send whose first delivery is due later than a queue reaches."""


def users() -> OverrideTable:
    """Return the table of overrides and preferences."""
    return OverrideTable(boto3.client("dynamodb"), "OverridesTable")


def prefer(**fields: object) -> None:
    """Store preferences that hold TEST too, without the re-plan of a route."""
    mute = wiring.clock().now() + 86_400.0
    given = {"muted_until": mute, "hours": {"integrations": ["TEST"]}, **fields}
    preferences = Preferences(updated_at=1.0, updated_via="api", **given)
    version = users().get(USER).version
    users().set_preferences(USER, preferences, version=version, now=1.0, token="t")


def unmute() -> None:
    """Remove the preferences."""
    users().delete_preferences(USER, token="t")


def define(**fields: object) -> None:
    """Define the category ``builds``."""
    table = PolicyTable(boto3.client("dynamodb"), "OverridesTable")
    version = table.read(consistent=True).version
    category = Category(name="builds", title="Builds", **fields)
    table.write(Policy({"builds": category}), version=version, token="t")


def stored(delivery_id):
    """Return the item of a delivery's message."""
    key = {"user_id": {"S": USER}, "sk": {"S": MESSAGE + message_id_of(delivery_id)}}
    found = boto3.client("dynamodb").get_item(TableName="DeliveriesTable", Key=key)
    return found["Item"]


def visited(service, delivery_id) -> None:
    """Let the worker handle a doorbell for a delivery's due time."""
    row = message_row(stored(delivery_id))
    due_at = row.deliveries[0].due_at
    service.deliver(encode(Doorbell(USER, row.message_id, row.request_id, due_at)))


@pytest.fixture
def pending(service):
    """A delivery that is due and not attempted yet."""
    [delivery_id] = send(service, {})
    service.messages("DeliveryQueue")
    return delivery_id


def test_a_held_send_takes_one_read_more_and_no_ring(service, calls):
    """Something is held, so the preferences are read again after the commit [34]."""
    prefer()

    taken = counted(calls, "send_message", service, {"content": "x"})

    assert taken == [*FOR_LATER, READ]
    assert service.messages("DeliveryQueue") == []


def test_a_send_that_hours_let_through_takes_not_one_call_more(service, calls):
    """Preferences are in the row that every send reads anyway."""
    prefer(hours={"integrations": ["SLACK"]})

    assert counted(calls, "send_message", service, {"content": "x"}) == SEND


def test_a_category_takes_one_read_in_30_s(service, calls, time_machine):
    """A container keeps the categories for 30 s."""
    define()
    body = {"content": "x", "category": "builds"}

    assert counted(calls, "send_message", service, body) == [READ, *SEND]
    assert counted(calls, "send_message", service, body) == SEND


def test_a_hold_at_an_attempt_is_a_record_and_a_read(service, calls, pending):
    """A visit of one attempt takes a read, a claim and a record; the hold takes a read more."""
    prefer()
    calls.clear()

    visited(service, pending)

    # The first call is this test's own read of the row.
    assert calls[1:] == [READS, WRITE, WRITE, READ]
    assert message_row(stored(pending)).deliveries[0].held == "muted"


def test_a_replan_without_a_hold_takes_one_query(service, calls, pending):
    """A user of whom nothing is held pays one query."""
    calls.clear()

    assert wiring.replanner().replan(USER) == (0, True)

    assert calls == [QUERY]


def test_a_replan_moves_what_is_held(service, calls):
    """One query, a read before and after, and for each message one write and its ring."""
    prefer()
    [delivery_id] = send(service, {})
    unmute()
    calls.clear()

    assert wiring.replanner().replan(USER) == (1, True)

    assert calls == [QUERY, READ, WRITE, "sqs:SendMessage", READ]
    [doorbell] = service.doorbells("RetryQueue")
    service.deliver(encode(doorbell))
    assert message_row(stored(delivery_id)).deliveries[0].status == "success"


def test_a_held_message_costs_the_write_units_of_any_other(service, calls):
    """Row by row one write unit of 1 KiB, as without a hold; 30 to 120 bytes more."""
    [plain] = send(service, {"request_id": "r-1", "subject": "Build 1"})
    prefer(time_zone="America/Argentina/ComodRivadavia")
    [held] = send(service, {"request_id": "r-2", "subject": "Build 2"})

    more = item_size(stored(held)) - item_size(stored(plain))

    assert item_size(stored(held)) <= 1024
    assert 30 <= more <= 160


def test_preferences_that_are_gone_leave_rows_as_without_any(service):
    """A user without preferences any more gets rows with the keys of one who never had any."""
    [before] = send(service, {"request_id": "r-1"})
    prefer()
    unmute()
    [after] = send(service, {"request_id": "r-2"})

    bodies = [stored(one)["body"]["S"] for one in (before, after)]
    # Times vary in their number of digits, so the keys are compared.
    assert json.loads(bodies[0]).keys() == json.loads(bodies[1]).keys()
    for name in ("held", "hold", "not_before", "category", "urgent", "locked", "by_lock"):
        assert name not in bodies[0] + bodies[1]


def test_a_preview_reads_and_writes_nothing(service, calls):
    """It shows the plan of a send by one read."""
    prefer()
    calls.clear()

    shown = wiring.preview().preview(USER, {})

    assert calls == [READ]
    [delivery] = shown["deliveries"]
    assert (delivery["integration_type"], delivery["held"]["reason"]) == ("TEST", "muted")


def test_an_event_of_holds_is_written_by_each_of_the_functions_that_share_it(
    service, monkeypatch, pending
):
    """Each of them holds, reads the preferences again after that, and meets hours without end."""
    failed = fail_and_redrive(service)
    failing = {"retry_count": 0, "config": {"fail_attempts": 9}}
    service.ask("update_override", failing, integration_type="TEST")
    [failed_too] = send(service, {})
    service.deliver()
    get = OverrideTable.get

    def hold(*fates: bool) -> None:
        """Let each function hold; ``fates`` tell whether its reads meet a fault, in turn."""
        # Records of a batch are handled in threads, each with reads in its own order.
        reads = defaultdict(lambda: cycle(fates))

        def read(table, user_id):
            if next(reads[get_ident()]):
                raise UnavailableError("rehearsed")
            return get(table, user_id)

        monkeypatch.setattr(OverrideTable, "get", read)

    prefer(
        hours={
            "windows": [{"days": EVERY_DAY, "from": "08:00", "to": "18:00"}],
            "integrations": ["TEST"],
        }
    )
    hold(False, True)
    send(service, {})
    hold(False, True)
    service.invoke("accept_events", sample("accept_events"))
    hold(True)
    visited(service, pending)
    service.ask("retry_delivery", delivery_id=failed)

    monkeypatch.setattr(OverrideTable, "get", get)
    unmute()
    wiring.replanner().replan(USER)
    prefer(
        muted_until=None,
        hours={
            "windows": [{"days": ["mon"], "from": "08:00", "to": "08:15"}],
            "integrations": ["TEST"],
        },
    )
    monkeypatch.setattr(hours, "next_open", lambda *_: None)
    send(service, {})
    service.invoke("accept_events", {"Records": [again(sample("accept_events")["Records"][0])]})
    visited(service, pending)
    service.ask("retry_delivery", delivery_id=failed_too)

    # The routes of preferences: test_preferences.py. Reports: test_feedback.py. A change that ends
    # a pause runs the same re-plan as above.
    others = {"update_preferences", "preview_message", "accept_feedback"}
    others |= {"update_override", "delete_override", "reset_overrides"}
    others |= {"recover_deliveries"}  # The next test.
    expected = {(event, function) for event in HOLDS for function in writers(event) - others}
    assert {pair for pair in service.written if pair[0] in HOLDS} == expected


def test_a_recovery_writes_the_events_of_holds_too(service, monkeypatch):
    """The hold, a failed second read of the preferences, and hours without end."""
    failing = {"integration_type": "TEST", "retry_count": 0, "config": {"fail_attempts": 9}}
    service.ask("create_override", failing)
    since = {"since": rfc3339(wiring.clock().now() - 60.0)}
    send(service, {})
    service.deliver()
    get, reads = OverrideTable.get, cycle([False, True])

    def read(table, user_id):
        if next(reads):
            raise UnavailableError("rehearsed")
        return get(table, user_id)

    closed = {"windows": [{"days": ["mon"], "from": "08:00", "to": "08:15"}]}
    prefer(muted_until=None, hours={**closed, "integrations": ["TEST"]})
    monkeypatch.setattr(OverrideTable, "get", read)
    assert service.ask("recover_deliveries", since)[0] == 202
    monkeypatch.setattr(OverrideTable, "get", get)
    unmute()
    send(service, {})
    service.deliver()
    prefer(muted_until=None, hours={**closed, "integrations": ["TEST"]})
    monkeypatch.setattr(hours, "next_open", lambda *_: None)
    assert service.ask("recover_deliveries", since)[0] == 202

    wanted = {(event, "recover_deliveries") for event in HOLDS}
    assert {pair for pair in service.written if pair in wanted} == wanted & {
        (event, function) for event in HOLDS for function in writers(event)
    }


def again(record):
    """Return a record of the same event under another identity."""
    body = record["body"].replace("ticket-4712-answer", "ticket-4713-answer")
    return {**record, "body": body.replace("7bf73129", "7bf73130")}
