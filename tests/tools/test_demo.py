"""The demo without a cloud: its receiver, its fake servers, its checks, and its failures."""

from __future__ import annotations

import io
import smtplib
import socket
import time
from datetime import UTC, datetime

import pytest
import requests
from rich.console import Console
from standardwebhooks import Webhook

from tools import demo
from tools.demo_servers import EMAIL, SLACK_USER, Ports, merged, workspace
from tools.demo_seven import SEVEN, body_of, only, restricted
from tools.failure import ToolFailure
from tools.fake_servers.slack_server import TOKEN
from tools.fake_servers.smtp_server import FakeSmtpServer
from tools.local_cloud import settle
from tools.narrator import CheckFailedError, Narrator, terminal
from tools.processes import LOOPBACK, free_port
from tools.receiver import Arrival, Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def narrator():
    """Return a narrator that is told to a file, and the file."""
    page = io.StringIO()
    return Narrator(Console(file=page, width=120)), page


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


# The fake servers ---------------------------------------------------------------------------------


def test_the_parameters_lead_to_the_ports_beside_the_service():
    """The template has each, and two demos of one service find the same: nothing is deployed."""
    parameters = Ports.beside(8080).parameters()

    assert parameters["SmtpPort"] == "8081"
    assert parameters["SlackApiUrl"] == "http://127.0.0.1:8082/api/"
    assert parameters == Ports.beside(8080).parameters()
    assert settle(parameters).items() >= parameters.items()


def test_plain_up_uses_no_fake_server():
    """The local profile has neither SLACK nor EMAIL nor SMS."""
    plain = settle({})

    assert (plain["SlackBotTokenSecret"], plain["SmtpHost"], plain["SmsEnabled"]) == (
        "",
        "",
        "false",
    )


def test_without_room_for_two_more_ports_it_says_so():
    """The highest port has no neighbours."""
    with pytest.raises(ToolFailure, match=r"PORT=65534: the demo needs the next two"):
        Ports.beside(65534)


@pytest.mark.parametrize(("name", "what"), [("smtp", "mail server"), ("slack", "Slack")])
def test_a_held_port_is_named_with_what_needs_it(name, what):
    """With a command that gets around it."""
    with socket.create_server((LOOPBACK, 0)) as server:
        held = server.getsockname()[1]
        ports = Ports(**{"smtp": free_port(), "slack": free_port(), name: held})

        with pytest.raises(ToolFailure) as refusal:
            ports.require_free(8080)

    assert f"Port {held} is in use by " in str(refusal.value)
    assert f"the demo's {what} listens there" in str(refusal.value)
    assert str(refusal.value).endswith("make demo PORT=8090")


def test_parameters_of_the_person_are_added():
    """They choose what the demo does not need."""
    assert merged({"SmsEnabled": "true"}, {"LogLevel": "DEBUG"}) == {
        "SmsEnabled": "true",
        "LogLevel": "DEBUG",
    }
    with pytest.raises(ToolFailure, match="the demo itself sets SmsEnabled"):
        merged({"SmsEnabled": "true"}, {"SmsEnabled": "false"})


def test_the_workspace_listens_where_it_is_told_again_and_again():
    """It knows the one person, at a port that the last one has left."""
    port = free_port()
    for _ in range(2):
        with workspace(port) as slack:
            answer = requests.post(
                f"http://{LOOPBACK}:{port}/api/users.lookupByEmail",
                data={"email": EMAIL},
                headers={"Authorization": f"Bearer {TOKEN}"},
            )

            assert answer.json() == {"ok": True, "user": {"id": SLACK_USER}}
            assert slack.url == f"http://{LOOPBACK}:{port}/api/"


def test_the_mail_server_listens_where_it_is_told_again_and_again():
    """It takes mail, at a port that the last one has left."""
    port = free_port()
    for _ in range(2):
        with FakeSmtpServer(port=port) as server:
            with smtplib.SMTP(LOOPBACK, port) as session:
                session.sendmail("a@company.com", [EMAIL], b"Subject: x\r\n\r\nHello")

            (mail,) = server.mails
            assert (mail.recipients, mail.text) == ((EMAIL,), "Hello")


@pytest.mark.parametrize("found", [[], [1, 2]], ids=["none", "two"])
def test_one_message_is_neither_none_nor_two(found):
    """What did not come, and what came twice, fails the demo."""
    with pytest.raises(CheckFailedError, match=f"one mail\n +expected: 1\n +came: +{len(found)}"):
        only("one mail", found)


def test_the_html_is_shown_without_its_page():
    """A person looks at what was written, not at the frame."""
    assert body_of('<html><body class="x">\n<p>Hello</p>\n</body></html>') == "<p>Hello</p>"


@pytest.mark.parametrize(
    ("used", "expected"),
    [(["TEST"], {}), (list(SEVEN), {}), (["CLI", "NTFY"], {"integration_types": list(SEVEN)})],
)
def test_the_demo_sends_only_where_it_has_a_receiver(used, expected):
    """An integration that was added and is enabled for every user gets no message of the demo."""
    assert restricted({"effective_configs": {name: {} for name in used}}) == expected


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


def test_a_check_that_holds_is_told_and_counted(narrator):
    """The reader sees the rule, the end counts it."""
    told, page = narrator

    told.check("all is well", came=1, expected=1, log="make logs")

    assert told.checks == 1
    assert page.getvalue() == "   ✓ all is well\n"


def test_a_check_that_fails_says_what_was_expected_what_came_and_where_to_look(narrator):
    """Nobody has to read the code of the demo to know what is wrong."""
    told, page = narrator

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
    told = Narrator(console)

    told.scene("A title")
    told.rows(("name", "value"), [("[red]", "1")])
    with told.waiting("delivering", 3) as show:
        show(1, "waiting for TEST")

    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert printed.splitlines()[1] == "1  A title"
    assert "[red]" in printed
    assert printed.splitlines()[-1] == "   delivering …"


def test_a_long_cell_is_shown_whole(narrator):
    """What arrived is never cut: its lines stay, and those that are too long are folded."""
    told, page = narrator

    told.rows(("where", "what"), [("SMS", "one\n" + "x" * 200), ("CLI", "two")], long=True)

    shown = page.getvalue()
    assert shown.count("x") == 200
    assert "…" not in shown
    assert [line.split()[0] for line in shown.splitlines() if line.split()[0].isupper()] == [
        "SMS",
        "CLI",
    ]


def test_a_terminal_shows_progress():
    """On a terminal a bar moves while the demo waits."""
    page = io.StringIO()
    told = Narrator(Console(file=page, force_terminal=True, width=100))

    with told.waiting("delivering", 3) as show:
        show(1, "waiting for TEST")

    assert "waiting for TEST" in page.getvalue()


def test_what_is_not_used_is_told_by_reason(narrator):
    """One reason stands for all integrations that have it."""
    told, page = narrator
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


def test_a_wrong_parameter_is_told_before_anything_happens(monkeypatch, capsys):
    """Nothing is started, built or deployed."""
    monkeypatch.setenv("PARAMETERS", "LogLevle=DEBUG")

    assert demo.main() == 1

    assert "no parameter LogLevle. Did you mean LogLevel?" in capsys.readouterr().err


def test_a_service_that_does_not_answer_ends_it(narrator):
    """A stopped service is a failed check with a place to look."""
    told, _ = narrator
    stack = {"api_url": "http://127.0.0.1:9", "endpoint_url": "http://x"}

    with (
        Receiver() as receiver,
        pytest.raises(CheckFailedError, match=r"GET /health\n.*an answer\n(.*\n)*.*make status"),
    ):
        demo.DemoContext(stack, told, receiver, "demo-1").ask("GET", "/health", log="get_health")


def test_a_failed_check_ends_the_demo_with_1(monkeypatch, capsys):
    """Told like all the rest; no traceback."""

    def fail(_):
        raise CheckFailedError("all is well", expected=1, came=2, log="make logs")

    monkeypatch.setattr(demo, "perform_all", fail)

    assert demo.main() == 1
    assert "✗ all is well" in capsys.readouterr().out


def test_an_answer_with_another_status_ends_it(narrator):
    """The whole answer is shown: it says what is wrong."""
    told, _ = narrator
    with Receiver(refusals=1, refusal=422) as receiver:
        context = demo.DemoContext({"api_url": receiver.url}, told, receiver, "demo-1")
        with pytest.raises(CheckFailedError, match=r"expected: status 201\n.*came: +422"):
            context.ask("POST", "/x", {}, status=201, log="create_override")


def test_an_answer_of_another_shape_is_a_failed_check(narrator):
    """What a scene cannot read is told like every other failure."""
    told, _ = narrator
    scene = demo.Scene("broken", lambda context: context.before["effective_configs"])

    with Receiver() as receiver:
        context = demo.DemoContext({}, told, receiver, "demo-1")
        with pytest.raises(CheckFailedError, match="KeyError: 'effective_configs'"):
            demo.perform(scene, context)


def test_the_log_to_read_is_a_command(monkeypatch):
    """It can be pasted, for a second cloud too."""
    monkeypatch.delenv("CLOUD_HOME", raising=False)
    assert demo.log_of("send_message") == "make logs FOLLOW=0 GREP=send_message"

    monkeypatch.setenv("CLOUD_HOME", "/tmp/second")
    assert (
        demo.log_of("send_message") == "make logs FOLLOW=0 GREP=send_message CLOUD_HOME=/tmp/second"
    )
