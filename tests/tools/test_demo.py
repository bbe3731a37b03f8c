"""The demo without a cloud: its receiver, its checks, and what it says when something is wrong."""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime

import pytest
import requests
from rich.console import Console
from standardwebhooks import Webhook

from tools import demo
from tools.receiver import Arrival, Receiver
from tools.story import CheckFailedError, Story, terminal

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def story():
    """Return a story that is told to a file, and the file."""
    page = io.StringIO()
    return Story(Console(file=page, width=120)), page


# The receiver -------------------------------------------------------------------------------------


def test_the_receiver_refuses_as_often_as_told_then_accepts():
    """Two refusals, then 200 for good; every request is kept whole."""
    with Receiver(refusals=2) as receiver:
        statuses = [
            requests.post(
                f"{receiver.url}/hooks?a=b", data=text, headers={"X-Try": text}
            ).status_code
            for text in ("one", "two", "three", "four")
        ]

    assert statuses == [503, 503, 200, 200]
    assert [arrival.body for arrival in receiver.arrivals] == [b"one", b"two", b"three", b"four"]
    last = receiver.arrivals[-1]
    assert (last.method, last.path, last.headers["x-try"]) == ("POST", "/hooks?a=b", "four")


def test_the_receiver_notes_both_times_before_it_answers():
    """A sender that waits after the answer is never thought to have waited shorter than it did."""
    with Receiver() as receiver:
        before = time.monotonic()
        requests.put(receiver.url, data="x")
        after = time.monotonic()

    (arrival,) = receiver.arrivals
    assert before <= arrival.arrived_at <= arrival.answered_at <= after


# The checks ---------------------------------------------------------------------------------------


def arrival(body: bytes, secret: str = SECRET) -> Arrival:
    """Return a request as the service signs it now."""
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", now, body.decode()),
    }
    return Arrival("POST", "/", headers, body, 200, 0.0, 0.0)


def test_a_good_signature_has_no_fault():
    """What the user's secret signed is accepted."""
    assert demo.signature_fault(arrival(b'{"a":1}'), SECRET) is None


def test_another_secret_and_a_missing_header_are_faults():
    """A signature by another secret, and a request without one, are told as faults."""
    foreign = arrival(b"{}", "whsec_" + "A" * 32)
    unsigned = Arrival("POST", "/", {}, b"{}", 200, 0.0, 0.0)

    assert demo.signature_fault(foreign, SECRET) == "No matching signature found"
    assert demo.signature_fault(unsigned, SECRET) == "Missing required headers"


def test_waits_are_counted_from_the_end_of_an_attempt():
    """The delay of a retry begins when the attempt before it has ended."""
    attempts = [
        {"started_at": "2026-11-22T10:00:00.000Z", "duration_ms": 250},
        {"started_at": "2026-11-22T10:00:02.250Z", "duration_ms": 1000},
        {"started_at": "2026-11-22T10:00:05.250Z", "duration_ms": 5},
    ]

    assert demo.waits_between(attempts) == pytest.approx([2.0, 2.0], abs=1e-6)


@pytest.mark.parametrize(
    ("waits", "holds"),
    [((2.0, 2.4), True), ((1.999,), True), ((2.1, 1.99), False), ((), True)],
    ids=["later", "rounding", "early", "no retry"],
)
def test_early_is_what_is_short_of_the_delay(waits, holds):
    """Two roundings to the millisecond are forgiven, no more."""
    assert demo.never_early(waits, 2) is holds


def test_a_check_that_holds_is_told_and_counted(story):
    """The reader sees the rule, the end counts it."""
    told, page = story

    told.check("all is well", came=1, expected=1, log="make logs")

    assert told.checks == 1
    assert page.getvalue() == "   ✓ all is well\n"


def test_a_check_that_fails_says_what_was_expected_what_came_and_where_to_look(story):
    """Nobody has to read the code of the demo to know what is wrong."""
    told, page = story

    with pytest.raises(CheckFailedError) as failure:
        told.check(
            "refused twice, then taken", came=[200], expected=[503, 503, 200], log="make logs"
        )
    told.failed(failure.value)

    assert page.getvalue().splitlines() == [
        "   ✗ refused twice, then taken",
        "     expected: [503, 503, 200]",
        "     came:     [200]",
        "     log:      make logs",
    ]


# How it is told -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environ", [{"NO_COLOR": "1", "TERM": "xterm"}, {}], ids=["NO_COLOR", "no terminal"]
)
def test_plain_output_holds_no_escape_codes(environ, capsys):
    """Into a file or a pipe, and with NO_COLOR, go plain lines alone."""
    console = terminal(environ)
    told = Story(console)

    told.scene("A title")
    told.rows(("name", "value"), [("[red]", "1")])
    with told.waiting("delivering", 3) as show:
        show(1, "waiting for TEST")

    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert printed.splitlines()[1] == "1  A title"
    assert "[red]" in printed
    assert printed.splitlines()[-1] == "   delivering …"


def test_a_terminal_shows_progress():
    """On a terminal a bar moves while the demo waits."""
    page = io.StringIO()
    told = Story(Console(file=page, force_terminal=True, width=100))

    with told.waiting("delivering", 3) as show:
        show(1, "waiting for TEST")

    assert "waiting for TEST" in page.getvalue()


def test_what_is_not_used_is_told_by_reason(story):
    """One reason stands for all integrations that have it."""
    told, page = story
    resolved = {
        "effective_configs": {"TEST": {"priority": 5}},
        "disabled_integrations": {
            "SLACK": "not_configured",
            "WEBHOOK": "disabled_by_default",
            "EMAIL": "not_configured",
        },
    }

    demo.tell_effective(told, resolved)

    assert page.getvalue().splitlines() == [
        "   a message would go by TEST (priority 5)",
        "   and not by SLACK, EMAIL (not_configured); WEBHOOK (disabled_by_default)",
    ]


# When something is wrong --------------------------------------------------------------------------


def test_without_a_stack_it_says_what_to_do(tmp_path, capsys):
    """Whoever runs it too early learns which command comes first."""
    assert demo.main([str(tmp_path / "stack.json")]) == 1

    assert "start the service first (make up)" in capsys.readouterr().err


def test_a_service_that_does_not_answer_ends_it(tmp_path, capsys):
    """A stopped service is a failed check with a place to look, not a traceback."""
    stack = tmp_path / "stack.json"
    stack.write_text(json.dumps({"api_url": "http://127.0.0.1:9", "endpoint_url": "http://x"}))

    assert demo.main([str(stack)]) == 1

    told = capsys.readouterr().out
    assert "✗ GET /health" in told
    assert "expected: an answer" in told
    assert "make status" in told


def test_an_answer_with_another_status_ends_it(story):
    """The whole answer is shown: it says what is wrong."""
    told, _ = story
    with Receiver(refusals=1, refusal=422) as receiver:
        stage = demo.Stage({"api_url": receiver.url}, told, receiver, "demo-1")
        with pytest.raises(CheckFailedError, match=r"expected: status 201\n.*came: +422"):
            stage.ask("POST", "/x", {}, status=201, log="CreateOverride")


def test_an_answer_of_another_shape_is_a_failed_check(story):
    """What a scene cannot read is told like every other failure."""
    told, _ = story
    scene = demo.Scene("broken", lambda stage: stage.before["effective_configs"])

    with Receiver() as receiver:
        stage = demo.Stage({}, told, receiver, "demo-1")
        with pytest.raises(CheckFailedError, match="KeyError: 'effective_configs'"):
            demo.perform(scene, stage)


def test_the_log_to_read_is_a_command(monkeypatch):
    """It can be pasted, for a second cloud too."""
    monkeypatch.delenv("CLOUD_HOME", raising=False)
    assert demo.log_of("SendMessage") == "make logs FOLLOW=0 | grep SendMessage"

    monkeypatch.setenv("CLOUD_HOME", "/tmp/second")
    assert (
        demo.log_of("SendMessage") == "make logs FOLLOW=0 CLOUD_HOME=/tmp/second | grep SendMessage"
    )
