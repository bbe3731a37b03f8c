"""Time, randomness, the watchdog and the event log."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
import uuid
from types import SimpleNamespace

import pytest
from aws_lambda_powertools import Logger

from dispatcher import wiring
from dispatcher.adapters.event_log import StructuredEventLog
from dispatcher.adapters.system import SystemClock, SystemIdGenerator, ThreadWatchdog
from dispatcher.delivery.outcomes import Delivered
from dispatcher.delivery.rows import delivery_id, message_id_of, place_of
from dispatcher.identifiers import DELIVERY_ID


def test_the_clock_agrees_with_the_machine():
    """Seconds since 1970 to the millisecond, and seconds that only grow."""
    clock = SystemClock()

    before, now, after = time.time() - 0.001, clock.now(), time.time() + 0.001

    assert before <= now <= after
    assert now == round(now, 3)
    assert clock.monotonic() <= clock.monotonic()


def test_message_ids_are_uuids_of_version_7_that_sort_as_made():
    """Within one millisecond, beyond its 4,096 places, and when the clock is set back, too."""
    id_generator = SystemIdGenerator()

    made = [id_generator.message_id(1_800_000_000.125) for _ in range(5_000)]
    made.append(id_generator.message_id(1_700_000_000.0))

    assert made == sorted(set(made))
    assert {(uuid.UUID(name).version, uuid.UUID(name).variant) for name in made} == {
        (7, uuid.RFC_4122)
    }
    assert int(made[0].replace("-", "")[:12], 16) == 1_800_000_000_125


def test_message_ids_leave_room_for_their_deliveries():
    """The last two digits are 00; a delivery has its place + 1 there."""
    message_id = SystemIdGenerator().message_id(1_800_000_000.125)

    names = [message_id, delivery_id(message_id, 0), delivery_id(message_id, 6)]
    assert [name[-2:] for name in names] == ["00", "01", "07"]
    assert all(DELIVERY_ID.fullmatch(name) for name in names)
    assert {message_id_of(name) for name in names} == {message_id}
    assert [place_of(name) for name in names] == [-1, 0, 6]


def test_message_ids_of_two_processes_differ():
    """54 random bits, as two processes may count the same millisecond alike."""
    made = [SystemIdGenerator().message_id(1_800_000_000.125) for _ in range(100)]

    assert len({name[19:] for name in made}) == 100


def test_tokens_revisions_and_random_bytes_differ():
    """A token has 64 bits, a revision 8 bytes; other random bytes are as many as asked for."""
    id_generator = SystemIdGenerator()

    tokens = {id_generator.token() for _ in range(100)}
    revisions = {id_generator.rev() for _ in range(100)}

    assert ({len(token) for token in tokens}, len(tokens)) == ({16}, 100)
    assert ({len(rev) for rev in revisions}, len(revisions)) == ({8}, 100)
    assert len({id_generator.random(32) for _ in range(10)}) == 10


def test_the_watchdog_returns_what_the_work_returns():
    """In time, nothing changes."""
    outcome = Delivered({"id": "x"})

    returned = ThreadWatchdog().within(5, lambda: outcome)

    assert returned is outcome


def test_the_watchdog_raises_what_the_work_raises():
    """A mistake is the caller's to see."""
    with pytest.raises(ZeroDivisionError):
        ThreadWatchdog().within(5, lambda: 1 / 0)


def test_the_watchdog_leaves_work_behind_that_takes_too_long():
    """The caller goes on while the work still waits."""
    release = threading.Event()

    def stuck():
        release.wait(30)
        return Delivered()

    returned = ThreadWatchdog().within(0.01, stuck)

    release.set()
    assert returned is None


def test_a_thread_of_the_watchdog_serves_again():
    """A thread for each attempt would cost more than most attempts."""
    watchdog = ThreadWatchdog()

    first = watchdog.within(5, threading.get_ident)
    second = watchdog.within(5, threading.get_ident)

    assert first == second != threading.get_ident()


def test_work_that_hangs_holds_up_no_other():
    """Its thread is lost until it ends; the next work gets another one."""
    release = threading.Event()
    watchdog = ThreadWatchdog()

    returned = [watchdog.within(0.01, lambda: release.wait(30)) for _ in range(3)]
    after = watchdog.within(5, lambda: "next")

    release.set()
    assert (returned, after) == ([None, None, None], "next")


def test_a_time_limit_of_the_work_itself_is_the_works():
    """Python has one name for both."""

    def work():
        raise TimeoutError("of a socket")

    with pytest.raises(TimeoutError, match="of a socket"):
        ThreadWatchdog().within(5, work)


def test_a_process_ends_although_work_hangs():
    """Lambda's runtime would wait for it, and bill that."""
    hanging = (
        "import threading\n"
        "from dispatcher.adapters.system import ThreadWatchdog\n"
        "ThreadWatchdog().within(0.01, threading.Event().wait)\n"
    )

    ended = subprocess.run([sys.executable, "-c", hanging], timeout=30, check=False)

    assert ended.returncode == 0


def test_a_note_is_one_structured_line():
    """The event is the message, its fields are beside it, and trouble is a warning."""
    written = io.StringIO()
    logger = Logger(service="test", stream=written, level="INFO")
    event_log = StructuredEventLog(logger, stack="test")

    event_log.emit("round.opened", status="success")
    event_log.emit("doorbell.lost", user_id="ada")

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [(line["level"], line["message"]) for line in lines] == [
        ("INFO", "round.opened"),
        ("WARNING", "doorbell.lost"),
    ]
    assert (lines[0]["status"], lines[1]["user_id"]) == ("success", "ada")


def test_every_line_names_its_invocation():
    """Which call of which function wrote it, until the next one begins."""

    def context(call):
        return SimpleNamespace(function_name="stack-SendMessageFunction-x", aws_request_id=call)

    written = io.StringIO()
    logger = Logger(service="invocations", stream=written, level="INFO")
    event_log = StructuredEventLog(logger, stack="test")

    event_log.begin(context("call-1"), api_request_id="request-1")
    event_log.emit("doorbell.lost", user_id="ada")
    event_log.begin(context("call-2"))
    event_log.emit("doorbell.lost", user_id="ada")
    event_log.begin(None)
    event_log.emit("doorbell.lost", user_id="ada")

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    names = ("function_name", "function_request_id", "api_request_id")
    assert [tuple(map(line.get, names)) for line in lines] == [
        ("stack-SendMessageFunction-x", "call-1", "request-1"),
        ("stack-SendMessageFunction-x", "call-2", None),
        (None, None, None),
    ]


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("DEBUG", ["batch.handled", "doorbell.lost"]),
        ("INFO", ["batch.handled", "doorbell.lost"]),
        ("WARNING", ["doorbell.lost"]),
        ("ERROR", []),
        ("", ["batch.handled", "doorbell.lost"]),
    ],
)
def test_the_log_level_is_the_templates(monkeypatch, capsys, level, told):
    """Lines below it are left out, except those that carry metrics."""
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", level)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"levels-{level}")
    monkeypatch.setenv("STACK_NAME", "dispatcher-eu")
    wiring.reset()

    for event in ("batch.handled", "doorbell.lost"):
        wiring.event_log().emit(event)
    wiring.event_log().emit("record.lost")

    *lines, counted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    wiring.reset()
    assert [line["message"] for line in lines] == told
    assert (counted["message"], counted["stack"]) == ("record.lost", "dispatcher-eu")
