"""Receivers that are down, and the recovery afterwards, as callers and receivers see them."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import boto3
import pytest

from dispatcher import wiring
from dispatcher.adapters.dynamodb import DeliveryTable
from dispatcher.adapters.system import SystemIdGenerator
from dispatcher.delivery.rows import message_id_of
from dispatcher.responses import rfc3339
from tests.functions.test_aws_calls import calls, counted
from tools.receiver import Receiver

__all__ = ["calls"]
"""The fixture."""

ADA = {"user_id": "ada"}
HOOK = {"integration_type": "WEBHOOK", **ADA}
DOWN, UP = 503, 204
HELD = int(os.environ.get("HELD", "40"))
"""Messages that are held by a pause; ``HELD=500`` are those of the contract, in minutes.

tests/unit/delivery/test_pauses.py holds 500 with the same use cases. Nothing in a pause depends on
the number: each delivery alone meets the condition of the probe, one write after the other.
"""


@pytest.fixture
def system(service, monkeypatch, time_machine):
    """Three failures within 5 s pause a receiver; 60 s after the first one it is disabled."""
    monkeypatch.setenv("PAUSE_RULES", "3/5/5/20/60")
    monkeypatch.setenv("WEBHOOK_ALLOWED_CIDRS", "127.0.0.0/8")
    monkeypatch.setenv("WEBHOOK_ALLOW_HTTP", "true")
    wiring.reset()
    time_machine.move_to(time.time(), tick=False)
    return System(service, time_machine)


class System:
    """Ada's webhook, with a clock that moves only if the test moves it."""

    def __init__(self, service, clock):
        self.service, self.clock = service, clock

    @contextmanager
    def receiver(self, status=DOWN):
        """Run a receiver, and let Ada's webhook have its address and a single attempt."""
        with Receiver(default=status) as receiver:
            body = {"integration_type": "WEBHOOK", "config": {"url": receiver.url}}
            created = {**body, "enabled": True, "retry_count": 0}
            assert self.service.ask("create_override", created, **ADA)[0] == 201
            yield receiver

    def send(self, number=1):
        """Send messages; return the deliveries as the responses show them."""
        body = {"content": "x", "integration_types": ["WEBHOOK"]}
        sent = [self.service.ask("send_message", body, **ADA)[1] for _ in range(number)]
        return [delivery for answer in sent for delivery in answer["deliveries"]]

    def deliver(self):
        """Let the worker handle all that is due now."""
        for queue in ("DeliveryQueue", "RetryQueue"):
            while bodies := self.service.messages(queue):
                self.service.deliver(*bodies, queue=queue)

    def run(self, seconds):
        """Let time pass, second by second."""
        for _ in range(seconds):
            self.clock.shift(1)
            self.deliver()

    def health(self):
        """Return the health of the webhook as its override shows it."""
        status, override = self.service.ask("get_override", **HOOK)
        assert status == 200
        return override["health"]

    def break_down(self):
        """Let three messages fail within 6 s, which begins the first pause."""
        for _ in range(3):
            self.send()
            self.deliver()
            self.clock.shift(3)
        assert self.health()["state"] == "paused"

    def statuses(self):
        """Count Ada's deliveries by status and error code."""
        found, cursor = Counter(), None
        while True:
            query = {"limit": ["200"], **({"cursor": [cursor]} if cursor else {})}
            _, page = self.service.ask("list_deliveries", query=query, **ADA)
            found.update((one["status"], one["error_code"]) for one in page["deliveries"])
            cursor = page["next_cursor"]
            if cursor is None:
                return found


def test_a_receiver_that_is_down_costs_one_request_a_pause_and_no_message(system):
    """Each held message arrives once after the receiver works again."""
    with system.receiver() as receiver:
        system.break_down()
        # With retries: a probe that fails is held like the rest.
        assert system.service.ask("update_override", {"retry_count": 5}, **HOOK)[0] == 200
        held = system.send(HELD)

        assert {one["held"]["reason"] for one in held} == {"paused"}
        before = len(receiver.arrivals)
        system.run(30)
        # The pauses of 5, 10 and 20 s that began within these 30 s.
        assert len(receiver.arrivals) - before in {1, 2, 3}
        assert system.health()["state"] == "paused"

        receiver.default = UP
        system.run(160)

        arrived = Counter(
            one.headers["webhook-id"] for one in receiver.arrivals if one.status == UP
        )
        assert arrived == Counter(one["delivery_id"] for one in held)
        assert system.health() is None
        assert system.statuses() == {("success", None): HELD, ("failed", "http_503"): 3}


def test_a_receiver_that_stays_down_is_disabled(system):
    """Pending deliveries fail with a dead letter, and new messages skip the integration."""
    with system.receiver() as receiver:
        system.break_down()
        system.send(20)
        system.run(140)

        assert system.health()["state"] == "disabled"
        found = system.statuses()
        assert set(found) == {("failed", "http_503"), ("failed", "disabled_after_failures")}
        assert found["failed", "disabled_after_failures"] >= 15
        assert len(system.service.messages("DeadLetterQueue")) == sum(found.values())
        body = {"content": "x", "integration_types": ["WEBHOOK"]}
        _, answer = system.service.ask("send_message", body, **ADA)
        assert answer["skipped"][0]["reason"] == "disabled_after_failures"

        receiver.default = UP
        new_url = {"config": {"url": receiver.url + "/new"}}
        assert system.service.ask("update_override", new_url, **HOOK)[0] == 200
        system.send()
        system.deliver()
        assert receiver.arrivals[-1].status == UP
        assert system.health() is None


@pytest.mark.parametrize("how", ["delete_override", "reset_overrides"])
def test_a_removed_override_releases_what_its_pause_holds(system, how):
    """Held deliveries are planned again within seconds, by the system defaults."""
    with system.receiver() as receiver:
        system.break_down()
        held = system.send(5)
        sent = len(receiver.arrivals)
        parts = HOOK if how == "delete_override" else ADA

        assert system.service.ask(how, **parts)[0] in {200, 204}
        system.deliver()

        assert system.statuses() == {
            ("skipped", "disabled_by_default"): len(held),
            ("failed", "http_503"): 3,
        }
        assert len(receiver.arrivals) == sent


@pytest.mark.parametrize("how", ["url", "test"])
def test_a_new_url_or_a_successful_test_releases_what_is_held(system, how):
    """Everything arrives without waiting for the end of the pause."""
    with system.receiver() as receiver:
        system.break_down()
        held = system.send(20)
        receiver.default = UP

        if how == "url":
            new_url = {"config": {"url": receiver.url + "/new"}}
            assert system.service.ask("update_override", new_url, **HOOK)[0] == 200
        else:
            assert system.service.ask("test_integration", **HOOK)[0] == 202
        system.deliver()

        arrived = {one.headers["webhook-id"] for one in receiver.arrivals if one.status == UP}
        assert {one["delivery_id"] for one in held} <= arrived


def test_a_success_after_failures_costs_one_write_and_none_otherwise(system, calls):
    """The healthy path takes not one call more."""
    with system.receiver(UP) as receiver:
        system.send()
        calls.clear()
        system.deliver()
        healthy = Counter(one for one in calls if one.startswith("dynamodb:"))

        receiver.default = DOWN
        system.send()
        system.deliver()
        assert system.health()["state"] == "failing"
        receiver.default = UP
        system.send()
        calls.clear()
        system.deliver()
        recovered = Counter(one for one in calls if one.startswith("dynamodb:"))

    assert recovered - healthy == Counter({"dynamodb:UpdateItem": 1})
    assert healthy - recovered == Counter()


# Recovery -----------------------------------------------------------------------------------------

FAILED = 250
"""Deliveries that failed in the range."""


def fail(service, number):
    """Let TEST fail for a message, and store it some more times, with other IDs."""
    override = {"integration_type": "TEST", "retry_count": 0, "config": {"failure": "permanent"}}
    override["config"]["fail_attempts"] = 20
    service.ask("create_override", override, **ADA)
    body = {"content": "x", "integration_types": ["TEST"]}
    _, sent = service.ask("send_message", body, **ADA)
    service.deliver()
    service.messages("DeadLetterQueue")
    table = DeliveryTable(boto3.client("dynamodb"), "DeliveriesTable", "OverridesTable")
    row = table.message("ada", message_id_of(sent["deliveries"][0]["delivery_id"]))
    ids = SystemIdGenerator()
    for _ in range(number - 1):
        message_id = ids.message_id(time.time())
        table.create(replace(row, message_id=message_id))


def recover(service, **body):
    """Call recover until there is no next page; return the responses."""
    pages, cursor = [], None
    while True:
        status, page = service.ask(
            "recover_deliveries", json.dumps({**body, "cursor": cursor}), **ADA
        )
        assert status == (200 if body.get("dry_run") else 202)
        pages.append(page)
        cursor = page["next_cursor"]
        if cursor is None:
            return pages


def test_a_recovery_opens_each_failed_delivery_once(service):
    """250 take three calls; a second run opens none, and a dry run writes nothing."""
    since = rfc3339(time.time() - 60)
    fail(service, FAILED)
    table = boto3.client("dynamodb")

    def rows():
        pages = table.get_paginator("scan").paginate(TableName="DeliveriesTable")
        return sorted(json.dumps(one, default=str) for page in pages for one in page["Items"])

    before = rows()
    dry = recover(service, since=since, dry_run=True)
    assert rows() == before
    assert service.messages("RetryQueue") == []
    pages = recover(service, since=since)
    again = recover(service, since=since)

    assert [page["examined"] for page in pages] == [100, 100, 50]
    opened = [one for page in pages for one in page["opened"]]
    assert len(set(opened)) == len(opened) == FAILED
    assert [one for page in dry for one in page["opened"]] == opened
    assert [one for page in again for one in page["opened"]] == []
    assert service.waiting("RetryQueue") == FAILED
    _, delivery = service.ask("get_delivery", delivery_id=opened[0], **ADA)
    assert (delivery["round"], delivery["status"], delivery["attempts"]) == (2, "pending", 0)


def test_a_page_of_a_recovery_takes_one_query_and_two_calls_a_message(service, calls):
    """The user's row is read once; each message takes one write and one ring."""
    fail(service, 3)
    body = json.dumps({"since": rfc3339(time.time() - 60)})

    taken = counted(calls, "recover_deliveries", service, body, **ADA)

    assert Counter(taken) == {
        "dynamodb:Query": 1,
        "dynamodb:GetItem": 1,
        "dynamodb:UpdateItem": 3,
        "sqs:SendMessage": 3,
    }
