"""The output of `make logs` for logged lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from dispatcher.adapters.event_log import embedded
from tools.local_cloud import LocalCloud
from tools.logs import Entry, entries, folders_by_name, has, lines_of, watch

AT = datetime(2026, 11, 23, 5, 40, 15, tzinfo=UTC)
CLOCK = f"{AT.astimezone():%H:%M:%S}"
ATTEMPTED = {
    "level": "INFO",
    "message": "delivery.attempted",
    "timestamp": "2026-11-23T05:40:15.807+00:00",
    "service": "integration-dispatcher",
    "function_name": "integration-dispatcher-local-DeliverMessagesFunction-x",
    "function_request_id": "f-1",
    "user_id": "ada",
    "outcome": "retry",
    "detail": "no answer\x1b[2J",
    "number": 1,
    "deliveries": {"d-1": "CLI"},
    "attempt_ms": 7,
    "stack": "s",
    "_aws": {"CloudWatchMetrics": [{"Metrics": [{"Name": "attempt_ms"}]}]},
}


def entry(text):
    """Return what a function logged."""
    return Entry(round(AT.timestamp() * 1000), "deliver_messages", text)


def test_an_event_is_one_readable_line():
    """When, which function, what, and the fields; not what serves searches and metrics alone."""
    shown = lines_of(entry(json.dumps(ATTEMPTED) + "\n"), everything=False)

    assert shown == [
        (
            f"{CLOCK} deliver_messages delivery.attempted user_id=ada outcome=retry "
            r'detail="no answer\u001b[2J" number=1 deliveries={"d-1":"CLI"}'
        )
    ]


def test_a_sweep_tells_how_late_the_latest_delivery_is():
    """The runbook sends people there."""
    swept = {
        **{name: ATTEMPTED[name] for name in ("level", "timestamp", "service")},
        "message": "sweep.finished",
        "rung": 1,
        "dead_letters": 0,
        "passed": 3,
        "faults": 0,
        "oldest_due_seconds": 7.5,
    }
    counted = embedded("sweep.finished", swept, stack="s", now=1.0)

    shown = lines_of(entry(json.dumps(swept | counted)), everything=False)

    told = "rung=1 dead_letters=0 passed=3 faults=0 oldest_due_seconds=7.5"
    assert shown == [f"{CLOCK} deliver_messages sweep.finished {told}"]


def test_a_line_that_somebody_should_look_at_says_so():
    """By its level."""
    shown = lines_of(entry(json.dumps({**ATTEMPTED, "level": "WARNING"})), everything=False)

    assert shown[0].startswith(f"{CLOCK} deliver_messages WARNING delivery.attempted ")


def test_what_is_no_event_is_shown_as_it_is():
    """A stack trace is worth finding."""
    shown = lines_of(entry("Traceback:\n\n  here\n"), everything=False)

    assert shown == [
        f"{CLOCK} deliver_messages | Traceback:",
        f"{CLOCK} deliver_messages |   here",
    ]


@pytest.mark.parametrize("word", ["START", "END", "REPORT"])
def test_what_lambda_writes_of_its_own_is_shown_if_asked(word):
    """It says nothing about the service."""
    line = f"{word} RequestId: f-1"

    assert lines_of(entry(line), everything=False) == []
    assert lines_of(entry(line), everything=True) == [f"deliver_messages | {line}"]


@pytest.mark.parametrize(("caller", "count"), [("anyone", 0), ("key:robot", 1)])
def test_a_caller_who_may_be_anyone_is_shown_if_asked(caller, count):
    """Without authentication each request has such a line, and it tells nothing."""
    known = {name: ATTEMPTED[name] for name in ("level", "timestamp", "service")}
    text = json.dumps({**known, "message": "caller.authenticated", "caller": caller})

    assert len(lines_of(entry(text), everything=False)) == count
    assert lines_of(entry(text), everything=True) == [f"deliver_messages | {text}"]


def test_a_text_that_is_nowhere_is_told(tmp_path, capsys):
    """Beside the output, so that silence differs from a log that cannot be read."""
    cloud = LocalCloud(tmp_path)
    cloud.cloud.log.parent.mkdir()
    cloud.cloud.log.write_text("an old line\n")

    watch(cloud, 20, wanted="OLD", everything=True, follow=False)
    found = capsys.readouterr()
    watch(cloud, 20, wanted="new", everything=True, follow=False)
    missed = capsys.readouterr()

    assert "cloud | an old line\n" in found.out
    assert found.err == ""
    assert missed.err == "(nothing that is logged has 'new' in it)\n"


def test_everything_is_shown_as_it_was_written():
    """With all that a readable line leaves out."""
    text = json.dumps(ATTEMPTED)

    assert lines_of(entry(text), everything=True) == [f"deliver_messages | {text}"]


def test_a_function_has_the_name_of_its_folder():
    """The documents use that name; a line of the service names the function of its stream."""
    ids = {"DeliverMessagesFunction": ATTEMPTED["function_name"], "SendMessageFunction": "s-x"}
    lines = [("1", "START"), ("1", json.dumps(ATTEMPTED)), ("1", "Traceback"), ("2", "Traceback")]
    events = [{"logStreamName": stream, "timestamp": 1, "message": text} for stream, text in lines]

    found = entries(events, folders_by_name(ids))

    assert [one.function for one in found] == [*["deliver_messages"] * 3, "a_function"]
    assert [one.text for one in found] == [text for _, text in lines]


def test_a_text_is_found_in_any_case():
    """And an empty one everywhere."""
    assert has("Deliver", "dELI")
    assert has("Deliver", "")
    assert not has("Deliver", "receive")
