"""Holds of many messages, changes at the same time, and settings that cannot be read.

``tests/unit/delivery/test_unmute_meanwhile.py`` has the same race in chosen orders.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from threading import Barrier, get_ident

import boto3
import pytest

from dispatcher import wiring
from dispatcher.adapters.dynamodb import DeliveryTable
from dispatcher.adapters.items import item_size
from dispatcher.adapters.overrides import OverrideTable, PolicyTable
from dispatcher.adapters.system import SystemIdGenerator
from dispatcher.delivery import replan
from dispatcher.delivery.doorbells import DeadLetter, encode
from dispatcher.delivery.rows import message_id_of
from dispatcher.errors import UnavailableError
from tests.cost import read_units
from tests.functions.service import OPERATOR, Context, asked_by, batch, sample
from tests.functions.test_preferences import ADA, BERLIN, category, clock, mailbox, prefer

__all__ = ["clock"]
"""The fixture."""

SENDS = 50
LETTERS = 100
HELD = 250
MUTED = {"hours": {"integrations": ["TEST"]}, "muted_until": "2026-11-27T22:30:00Z"}
SPREAD = 72
"""Ada's seconds after a window opens."""


def statuses(service, field="held"):
    """Return the deliveries of Ada, each with its status and another field."""
    found, cursor = {}, None
    while True:
        query = {"limit": ["200"], **({"cursor": [cursor]} if cursor else {})}
        _, page = service.ask("list_deliveries", query=query, **ADA)
        for one in page["deliveries"]:
            value = one[field]["reason"] if field == "held" and one[field] else one[field]
            found[one["delivery_id"]] = (one["status"], value)
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def copied(service, number):
    """Store Ada's only message some more times, with other IDs; return all rows."""
    [known] = statuses(service)
    table = DeliveryTable(boto3.client("dynamodb"), "DeliveriesTable", "OverridesTable")
    row = table.message("ada", message_id_of(known))
    request, ids = table.request("ada", row.request_id), SystemIdGenerator()
    rows = [row]
    for _ in range(number - 1):
        other = ids.message_id(time.time())
        rows.append(replace(row, message_id=other, request_id=other))
        table.put_request(replace(request, message_id=other, request_id=other), now=0.0)
        table.create(rows[-1])
    return rows


def sweep(service):
    """Let the sweeper ring for what is due within 15 minutes."""
    service.invoke("sweep_deliveries", sample("sweep_deliveries"))


# Many messages ------------------------------------------------------------------------------------


def test_sends_in_parallel_with_an_unmute_are_all_delivered_once(service, clock):
    """None stays held, whatever the order of their calls to AWS; none is lost or sent twice."""
    prefer(service, **MUTED)
    service.ask("send_message", {"content": "first"}, **ADA)

    def call(function, **body):
        event = asked_by(OPERATOR, sample(function))
        event["pathParameters"].update(ADA)
        event["body"] = json.dumps(body)
        return import_module(f"functions.{function}.app").handler(event, Context())["statusCode"]

    bodies = [{"content": f"message {number}"} for number in range(SENDS)]
    with ThreadPoolExecutor(SENDS + 1) as pool:
        sent = [pool.submit(call, "send_message", **body) for body in bodies[: SENDS // 2]]
        unmuted = pool.submit(call, "update_preferences", muted_until=None)
        sent += [pool.submit(call, "send_message", **body) for body in bodies[SENDS // 2 :]]
    assert [one.result() for one in sent] == [202] * SENDS
    assert unmuted.result() == 200
    assert set(statuses(service).values()) == {("pending", None)}

    for queue in ("DeliveryQueue", "RetryQueue"):
        service.deliver(*service.messages(queue) or ["{}"], queue=queue)

    assert set(statuses(service).values()) == {("success", None)}
    wanted = Counter(["first", *(body["content"] for body in bodies)])
    assert Counter(mailbox(service)) == wanted


def test_a_redrive_at_night_wakes_no_user(service, clock):
    """100 dead letters open 100 rounds that are held, and released at the opening, each once."""
    failing = {"integration_type": "TEST", "retry_count": 0, "config": {"failure": "permanent"}}
    service.ask("create_override", failing, **ADA)
    service.ask("send_message", {"content": "x"}, **ADA)
    service.deliver()
    rows = copied(service, LETTERS)
    letters = [encode(DeadLetter("ada", row.delivery_id(0), 2)) for row in rows]
    works = {"integration_type": "TEST", **ADA}
    assert service.ask("update_override", {"config": {}}, **works)[0] == 200
    prefer(service, **{**BERLIN, "hours": {**BERLIN["hours"], "integrations": ["TEST"]}})

    for first in range(0, LETTERS, 10):
        service.deliver(*letters[first : first + 10])
    # Twice in the queue, as SQS may have them.
    service.deliver(*letters[:10])

    assert list(statuses(service).values()) == [("pending", "quiet_hours")] * LETTERS
    assert service.messages("RetryQueue") == service.messages("DeliveryQueue") == []
    clock("2026-11-27T05:50:00+00:00")
    sweep(service)
    clock(f"2026-11-27T06:01:{SPREAD - 61}+00:00")
    assert service.messages("RetryQueue") == service.messages("DeliveryQueue") == []
    clock(f"2026-11-27T06:01:{SPREAD - 60}+00:00")
    service.deliver(*service.messages("DeliveryQueue"), *service.messages("RetryQueue"))
    assert list(statuses(service).values()) == [("success", None)] * LETTERS
    assert len(mailbox(service)) == LETTERS


def test_an_unmute_moves_200_messages_and_costs_what_is_documented(
    service, session, clock, monkeypatch
):
    """Of 250 held messages the others keep their time, and no message is lost."""
    # The limit of 5 s is in tests/unit/delivery/test_replan.py: here AWS is one thread.
    monkeypatch.setattr(replan, "LONGEST", 600.0)
    prefer(service, **MUTED)
    service.ask("send_message", {"content": "Take an umbrella", "subject": "Rain"}, **ADA)
    copied(service, HELD)
    sizes, calls = [], Counter()

    def count(parsed, model, **_):
        calls[model.name] += 1
        if model.name == "Query":
            assert parsed["ScannedCount"] == parsed["Count"]
            sizes.extend(map(item_size, parsed["Items"]))

    with session.listening(after_call=count):
        # Clients that were made before do not know the listener.
        wiring.reset()
        changed = prefer(service, muted_until=None)

    assert changed["rescheduled"] == {"deliveries": 200, "complete": False}
    reads = read_units(sum(sizes)) + calls["GetItem"]
    # docs/cost.md: about 300 read units for 2,000 messages of 0.6 KB.
    assert reads == pytest.approx(300 * sum(sizes) / (2_000 * 614), rel=0.2)
    assert (len(sizes), calls["Query"]) == (HELD, 1)
    assert calls["UpdateItem"] == 1 + 200
    assert calls["SendMessage"] == len(service.messages("RetryQueue")) == 200
    assert Counter(statuses(service, "next_attempt_at").values()) == {
        ("pending", "2026-11-26T22:30:00.000Z"): 200,
        ("pending", "2026-11-27T22:30:00.000Z"): 50,
    }


# Changes at the same time -------------------------------------------------------------------------


@contextmanager
def at_once(monkeypatch, number=2):
    """Let so many first reads of the user's row come before the first write that follows them."""
    get, gate, seen = OverrideTable.get, Barrier(number), set()

    def read(table, user_id):
        stored = get(table, user_id)
        if get_ident() not in seen:
            seen.add(get_ident())
            gate.wait(30)
        return stored

    with monkeypatch.context() as patch:
        patch.setattr(OverrideTable, "get", read)
        yield


def put(body, **headers):
    """Change Ada's preferences from any thread; return status and response."""
    event = asked_by(OPERATOR, sample("update_preferences"))
    event["pathParameters"].update(ADA)
    event["multiValueHeaders"].update({name: [value] for name, value in headers.items()})
    event["body"] = json.dumps(body)
    answer = import_module("functions.update_preferences.app").handler(event, Context())
    return answer["statusCode"], json.loads(answer["body"])


def both(monkeypatch, *bodies, **headers):
    """Send PUTs that have all read the same row before the first of them writes."""
    with at_once(monkeypatch, len(bodies)), ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(lambda body: put(body, **headers), bodies))


def test_two_changes_of_different_fields_at_once_are_both_stored(service, clock, monkeypatch):
    """The one that lost the race is merged again on the other's row: 200 for both."""
    prefer(service, language="en")

    answers = both(monkeypatch, {"language": "de"}, {"time_zone": "Europe/Berlin"})

    assert [status for status, _ in answers] == [200, 200]
    _, stored = service.ask("get_preferences", **ADA)
    assert (stored["language"], stored["time_zone"]) == ("de", "Europe/Berlin")
    assert stored["version"] in {answer["version"] for _, answer in answers}


def test_of_two_changes_of_one_field_at_once_the_later_write_stays(service, clock, monkeypatch):
    """Both are 200, each with its own value and version; the row has one of the two."""
    answers = both(monkeypatch, {"language": "de"}, {"language": "fr"})

    assert [(status, one["language"]) for status, one in answers] == [(200, "de"), (200, "fr")]
    _, stored = service.ask("get_preferences", **ADA)
    versions = {one["version"]: one["language"] for _, one in answers}
    assert versions[stored["version"]] == stored["language"]


def test_of_two_changes_at_once_with_the_same_tag_one_wins(service, clock, monkeypatch):
    """The other is 412 and stores nothing, although its tag was right when it was read."""
    tag = prefer(service, language="en")["version"]
    headers = {"If-Match": f'"{tag}"'}

    answers = both(monkeypatch, {"language": "de"}, {"time_zone": "Europe/Berlin"}, **headers)

    assert sorted(status for status, _ in answers) == [200, 412]
    [winner] = [answer for status, answer in answers if status == 200]
    _, stored = service.ask("get_preferences", **ADA)
    for name in ("language", "time_zone", "version"):
        assert stored[name] == winner[name]


def test_a_change_that_loses_four_races_is_a_conflict(service, clock, monkeypatch):
    """Another writer comes after each read: 409, and nothing of the change is stored."""
    override = {"integration_type": "CLI", **ADA}
    service.ask("create_override", {"integration_type": "CLI"}, **ADA)
    get, reads = OverrideTable.get, []

    def read(table, user_id):
        stored = get(table, user_id)
        reads.append(user_id)
        cli = replace(stored.by_type["CLI"], updated_at=float(len(reads)))
        table.replace(user_id, "CLI", cli, version=stored.version, token=str(len(reads)))
        return stored

    with monkeypatch.context() as patch:
        patch.setattr(OverrideTable, "get", read)
        status, problem = service.ask("update_preferences", {"language": "de"}, **ADA)

    assert (status, len(reads)) == (409, 4)
    assert "try again" in problem["detail"]
    assert service.ask("get_override", **override)[0] == 200
    _, stored = service.ask("get_preferences", **ADA)
    assert stored["language"] is None


# Settings that cannot be read ---------------------------------------------------------------------


@pytest.fixture
def news(service, clock):
    """A category that Ada disabled; then it was locked, and a message of it is pending."""
    category(service, "news")
    prefer(service, categories={"news": {"enabled": False}})
    locked = {"locked": True, "reach_by": ["EMAIL"]}
    category(service, "news", **locked)
    _, sent = service.ask("send_message", {"content": "news", "category": "news"}, **ADA)
    [delivery] = sent["deliveries"]
    return delivery["delivery_id"]


def test_with_categories_out_of_reach_no_lock_is_guessed_and_nothing_is_lost(
    service, news, monkeypatch
):
    """Routes are 503 and store nothing, the worker's messages return; then all is delivered."""

    def fails(*_args, **_options):
        raise UnavailableError("rehearsed")

    doorbells = service.messages("DeliveryQueue")
    with monkeypatch.context() as patch:
        patch.setattr(PolicyTable, "read", fails)
        wiring.reset()
        body = {"content": "x", "category": "news"}
        asked = {
            "send_message": (body, ADA),
            "preview_message": (body, ADA),
            "get_preferences": (None, ADA),
            "update_preferences": ({"language": "de"}, ADA),
            "list_categories": (None, {}),
        }
        for function, (given, parts) in asked.items():
            assert service.ask(function, given, **parts)[0] == 503, function
        returned = service.invoke("deliver_messages", batch("DeliveryQueue", *doorbells))

        assert [*statuses(service).values()] == [("pending", None)]
        # Only messages with a category need it.
        assert service.ask("send_message", {"content": "no category"}, **ADA)[0] == 202
    failed = [one["itemIdentifier"] for one in returned["batchItemFailures"]]
    assert failed == [f"m-{number}" for number in range(len(doorbells))]

    wiring.reset()
    service.deliver(*doorbells)
    service.deliver()
    assert set(statuses(service).values()) == {("success", None)}
    assert Counter(mailbox(service)) == Counter(["news", "no category"])
    assert service.ask("get_preferences", **ADA)[1]["language"] is None


def test_with_an_invalid_default_zone_hours_are_not_guessed(service, clock, monkeypatch):
    """A user without a zone depends on it: 503 that names the variable, and messages return."""
    prefer(service, hours={"integrations": ["TEST"], "windows": BERLIN["hours"]["windows"]})
    clock("2026-11-27T12:00:00+00:00")
    service.ask("send_message", {"content": "x"}, **ADA)
    doorbells = service.messages("DeliveryQueue")
    with monkeypatch.context() as patch:
        patch.setenv("DEFAULT_TIME_ZONE", "Mars/Olympus")
        wiring.reset()
        status, problem = service.ask("send_message", {"content": "y"}, **ADA)
        returned = service.invoke("deliver_messages", batch("DeliveryQueue", *doorbells))

    assert status == 503
    assert "DEFAULT_TIME_ZONE" in problem["detail"]
    assert len(returned["batchItemFailures"]) == len(doorbells) == 1
    wiring.reset()
    assert [*statuses(service).values()] == [("pending", None)]
    service.deliver(*doorbells)
    assert mailbox(service) == ["x"]
