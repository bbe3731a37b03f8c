"""The queue edge: which records of a batch come back."""

from __future__ import annotations

import threading

import pytest

from dispatcher import wiring
from dispatcher.edges import batch
from dispatcher.errors import BrokenSettingError, UnavailableError
from tests.fakes import MemoryEventLog

CONTEXT = object()
SOURCE = "arn:aws:sqs:eu-central-1:123456789012:stack-DeliveryQueue-1A2B"


@pytest.fixture
def event_log(monkeypatch):
    """Log lines of the edge."""
    kept = MemoryEventLog()
    monkeypatch.setattr(wiring, "event_log", lambda: kept)
    return kept


def sqs_event(*bodies):
    """Return an SQS event whose messages are called as their text."""
    return {
        "Records": [
            {"messageId": f"id-{body}", "body": body, "eventSourceARN": SOURCE} for body in bodies
        ]
    }


def failing_on(faults):
    """Return a handler of records that fails on some texts as scripted."""

    def answer(_use_case, record):
        if record.body in faults:
            raise faults[record.body]

    return answer


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"Records": None}])
def test_an_empty_batch_is_done(event):
    """Nothing is built for it."""

    def build():
        raise AssertionError

    answer = batch.each(event, CONTEXT, build, failing_on({}))

    assert answer == {"batchItemFailures": []}


def test_every_record_reaches_the_use_case(event_log):
    """With its text, the name of its queue and its ID."""
    seen = []

    answer = batch.each(
        sqs_event("a"), CONTEXT, lambda: seen, lambda use_case, one: use_case.append(one)
    )

    assert answer == {"batchItemFailures": []}
    assert seen == [batch.Record("a", "stack-DeliveryQueue-1A2B", "id-a")]


def test_only_what_failed_comes_back(event_log):
    """A fault that we know and one that we do not: each is its own record's."""
    faults = {"b": UnavailableError("Query failed: Throttled"), "c": ValueError("s3cret")}

    answer = batch.each(sqs_event("a", "b", "c", "d"), CONTEXT, lambda: None, failing_on(faults))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "id-b"}, {"itemIdentifier": "id-c"}]}


def test_what_failed_is_told_in_the_log(event_log):
    """A line for each, one for the batch; no text that we did not write."""
    faults = {"b": UnavailableError("Query failed: Throttled"), "c": ValueError("s3cret")}

    batch.each(sqs_event("a", "b", "c"), CONTEXT, lambda: None, failing_on(faults))

    assert event_log.invocation == (CONTEXT, {})
    (_, known), (_, unknown), (_, whole) = event_log.lines
    source = "stack-DeliveryQueue-1A2B"
    assert event_log.events() == ["message.returned", "message.returned", "batch.handled"]
    assert known == {
        "message_id": "id-b",
        "source": source,
        "error": "UnavailableError",
        "reason": "Query failed: Throttled",
    }
    assert unknown.pop("where")[-1].startswith("test_batch.py:")
    assert unknown == {"message_id": "id-c", "source": source, "error": "ValueError"}
    assert whole.pop("duration_ms") >= 0
    assert whole == {"source": source, "records": 3, "failed": 2}


def test_records_are_answered_side_by_side(event_log):
    """Each waits here until all have begun: one after the other would never end."""
    everybody = threading.Barrier(10, timeout=10)

    answer = batch.each(
        sqs_event(*map(str, range(10))),
        CONTEXT,
        lambda: everybody,
        lambda barrier, _: barrier.wait(),
    )

    assert answer == {"batchItemFailures": []}


def test_records_that_are_answered_at_once_share_a_thread(event_log, monkeypatch):
    """Python runs one at a time, so ten would only fight."""
    monkeypatch.setattr(batch, "LULL", 60)
    threads = set()

    batch.each(
        sqs_event(*map(str, range(10))),
        CONTEXT,
        lambda: threads,
        lambda seen, _: seen.add(threading.get_ident()),
    )

    assert len(threads) == 1


def test_the_use_case_is_built_once_for_all(event_log):
    """Not in the threads: clients are not made side by side."""
    built = []

    batch.each(sqs_event("a", "b", "c"), CONTEXT, lambda: built.append(1), failing_on({}))

    assert built == [1]


def test_a_broken_setting_leaves_the_batch_in_its_queue(event_log):
    """Nothing can be done until an operator has corrected it, and nothing is lost meanwhile."""

    def build():
        raise BrokenSettingError("RETENTION_DAYS", "is not set")

    answer = batch.each(sqs_event("a", "b"), CONTEXT, build, failing_on({}))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "id-a"}, {"itemIdentifier": "id-b"}]}
    assert [line.get("reason") for _, line in event_log.lines] == [
        "RETENTION_DAYS is not set",
        "RETENTION_DAYS is not set",
        None,
    ]


def test_a_crash_passes(event_log):
    """After all are handled: Lambda brings the whole batch back, and claims keep the others."""
    answered = []

    def answer(use_case, record):
        answered.append(record.body)
        failing_on({"a": SystemExit()})(use_case, record)

    with pytest.raises(SystemExit):
        batch.each(sqs_event("a", "b", "c"), CONTEXT, lambda: None, answer)
    assert answered == ["a", "b", "c"]


def test_a_record_without_an_id_is_answered_like_any_other(event_log):
    """AWS sends none; an event typed by hand may."""
    seen = []
    event = {"Records": [{"body": "a"}, {"messageId": "id-b"}]}

    answer = batch.each(
        event, CONTEXT, lambda: seen, lambda use_case, record: use_case.append(record)
    )

    assert answer == {"batchItemFailures": []}
    assert sorted(seen, key=lambda record: record.body) == [
        batch.Record("", "", "id-b"),
        batch.Record("a", "", ""),
    ]


def test_a_failed_record_without_an_id_brings_the_batch_back(event_log):
    """An empty ID in the response would delete the message in one place and not in another."""
    event = {"Records": [{"body": "a"}, *sqs_event("b")["Records"]]}

    with pytest.raises(batch.NamelessRecordError):
        batch.each(event, CONTEXT, lambda: None, failing_on({"a": ValueError()}))
