"""The queue edge: which records of a batch come back."""

from __future__ import annotations

import threading

import pytest

from dispatcher import queue, wiring
from dispatcher.errors import BrokenSettingError, UnavailableError
from tests.fakes import MemoryJournal

CONTEXT = object()
SOURCE = "arn:aws:sqs:eu-central-1:123456789012:stack-DeliveryQueue-1A2B"


@pytest.fixture
def journal(monkeypatch):
    """What the edge logs."""
    kept = MemoryJournal()
    monkeypatch.setattr(wiring, "journal", lambda: kept)
    return kept


def batch(*bodies):
    """Return an SQS event whose messages are called as their text."""
    return {
        "Records": [
            {"messageId": f"id-{body}", "body": body, "eventSourceARN": SOURCE} for body in bodies
        ]
    }


def failing_on(faults):
    """Return what answers records, but fails as told on some texts."""

    def answer(_use_case, record):
        if record.body in faults:
            raise faults[record.body]

    return answer


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"Records": None}])
def test_an_empty_batch_is_done(event):
    """Nothing is built for it."""

    def build():
        raise AssertionError

    answer = queue.each(event, CONTEXT, build, failing_on({}))

    assert answer == {"batchItemFailures": []}


def test_every_record_reaches_the_use_case(journal):
    """With its text, the name of its queue and its id."""
    seen = []

    answer = queue.each(
        batch("a"), CONTEXT, lambda: seen, lambda use_case, one: use_case.append(one)
    )

    assert answer == {"batchItemFailures": []}
    assert seen == [queue.Record("a", "stack-DeliveryQueue-1A2B", "id-a")]


def test_only_what_failed_comes_back(journal):
    """A fault that we know and one that we do not: each is its own record's."""
    faults = {"b": UnavailableError("Query failed: Throttled"), "c": ValueError("s3cret")}

    answer = queue.each(batch("a", "b", "c", "d"), CONTEXT, lambda: None, failing_on(faults))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "id-b"}, {"itemIdentifier": "id-c"}]}


def test_what_failed_is_told_in_the_log(journal):
    """A line for each, one for the batch; no text that we did not write."""
    faults = {"b": UnavailableError("Query failed: Throttled"), "c": ValueError("s3cret")}

    queue.each(batch("a", "b", "c"), CONTEXT, lambda: None, failing_on(faults))

    assert journal.invocation == (CONTEXT, {})
    (_, known), (_, unknown), (_, whole) = journal.lines
    source = "stack-DeliveryQueue-1A2B"
    assert journal.events() == ["message.returned", "message.returned", "batch.answered"]
    assert known == {
        "message_id": "id-b",
        "source": source,
        "error": "UnavailableError",
        "reason": "Query failed: Throttled",
    }
    assert unknown.pop("where")[-1].startswith("test_queue.py:")
    assert unknown == {"message_id": "id-c", "source": source, "error": "ValueError"}
    assert whole.pop("duration_ms") >= 0
    assert whole == {"source": source, "records": 3, "failed": 2}


def test_records_are_answered_side_by_side(journal):
    """Each waits here until all have begun: one after the other would never end."""
    everybody = threading.Barrier(10, timeout=10)

    answer = queue.each(
        batch(*map(str, range(10))), CONTEXT, lambda: everybody, lambda barrier, _: barrier.wait()
    )

    assert answer == {"batchItemFailures": []}


def test_records_that_are_answered_at_once_share_a_thread(journal, monkeypatch):
    """Python runs one at a time, so ten would only fight."""
    monkeypatch.setattr(queue, "LULL", 60)
    threads = set()

    queue.each(
        batch(*map(str, range(10))),
        CONTEXT,
        lambda: threads,
        lambda seen, _: seen.add(threading.get_ident()),
    )

    assert len(threads) == 1


def test_the_use_case_is_built_once_for_all(journal):
    """Not in the threads: clients are not made side by side."""
    built = []

    queue.each(batch("a", "b", "c"), CONTEXT, lambda: built.append(1), failing_on({}))

    assert built == [1]


def test_a_broken_setting_leaves_the_batch_in_its_queue(journal):
    """Nothing can be done until an operator has corrected it, and nothing is lost meanwhile."""

    def build():
        raise BrokenSettingError("RETENTION_DAYS", "is not set")

    answer = queue.each(batch("a", "b"), CONTEXT, build, failing_on({}))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "id-a"}, {"itemIdentifier": "id-b"}]}
    assert [line.get("reason") for _, line in journal.lines] == [
        "RETENTION_DAYS is not set",
        "RETENTION_DAYS is not set",
        None,
    ]


def test_a_crash_passes(journal):
    """Once all are answered: Lambda brings the whole batch back, and claims keep the others."""
    answered = []

    def answer(use_case, record):
        answered.append(record.body)
        failing_on({"a": SystemExit()})(use_case, record)

    with pytest.raises(SystemExit):
        queue.each(batch("a", "b", "c"), CONTEXT, lambda: None, answer)
    assert answered == ["a", "b", "c"]


def test_a_record_without_an_id_is_answered_like_any_other(journal):
    """AWS sends none; an event typed by hand may."""
    seen = []
    event = {"Records": [{"body": "a"}, {"messageId": "id-b"}]}

    answer = queue.each(
        event, CONTEXT, lambda: seen, lambda use_case, record: use_case.append(record)
    )

    assert answer == {"batchItemFailures": []}
    assert sorted(seen, key=lambda record: record.body) == [
        queue.Record("", "", "id-b"),
        queue.Record("a", "", ""),
    ]


def test_a_failed_record_without_an_id_brings_the_batch_back(journal):
    """An empty id in the answer would delete the message in one place and not in another."""
    event = {"Records": [{"body": "a"}, *batch("b")["Records"]]}

    with pytest.raises(queue.NamelessRecordError):
        queue.each(event, CONTEXT, lambda: None, failing_on({"a": ValueError()}))
