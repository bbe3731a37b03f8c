"""The demo without a cloud: its receivers, its parameters and its failures."""

from __future__ import annotations

import io
import os
import pty
import smtplib
import socket
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import pytest
import requests
import time_machine
from rich.console import Console
from standardwebhooks import Webhook

from dispatcher.edges import routes
from dispatcher.messages.bodies import SendBody
from tools import demo
from tools.failure import ToolFailure
from tools.local_cloud import settle
from tools.mailbox import Mailbox, part
from tools.processes import LOOPBACK, free_port
from tools.receiver import Arrival, Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_receiver_follows_its_script_and_keeps_every_request():
    """The first responses are those of the script, all later ones 204."""
    began = time.time()
    with Receiver([(503, {"Retry-After": "2"}), (410, {})]) as receiver:
        responses = [
            requests.post(f"{receiver.url}?b=c", data=text, headers={"X-Try": text})
            for text in ("1", "2", "3", "4")
        ]

    assert [response.status_code for response in responses] == [503, 410, 204, 204]
    assert responses[0].headers["Retry-After"] == "2"
    assert [arrival.json for arrival in receiver.arrivals] == [1, 2, 3, 4]
    last = receiver.arrivals[-1]
    assert (last.method, last.path, last.headers["x-try"]) == ("POST", "/hook?b=c", "4")
    assert began <= last.at <= time.time()


def test_the_parameters_lead_to_the_receivers():
    """The template accepts each parameter, and wanted ones are added."""
    chosen = demo.parameters(8081, 8082, {"LogLevel": "DEBUG"})

    assert chosen["SmtpPort"] == "8081"
    assert chosen["SlackApiUrl"] == "http://127.0.0.1:8082/api/"
    assert settle(chosen).items() >= {**chosen, "LogLevel": "DEBUG"}.items()


def test_a_parameter_of_the_demo_cannot_be_overridden():
    """The demo needs its own parameters for its receivers."""
    with pytest.raises(ToolFailure, match="the demo sets SmsEnabled itself"):
        demo.parameters(8081, 8082, {"SmsEnabled": "false"})


@pytest.mark.parametrize("now", ["2026-11-27T09:00Z", "2026-11-27T23:30Z", "2026-11-29T12:00Z"])
def test_adas_hours_are_closed_today(now):
    """At any time of the day in her zone, so that the build is held until the next day."""
    with time_machine.travel(now, tick=False):
        [windows] = [
            body["hours"]["windows"]
            for step in demo.steps()
            for body in step.values()
            if isinstance(body, dict) and "hours" in body
        ]
        today = datetime.now(ZoneInfo("Europe/Berlin")).weekday()

    [window] = windows
    assert set(demo.DAYS) - set(window["days"]) == {demo.DAYS[today]}


def test_adas_steps_are_requests_that_the_service_has():
    """Each step is one route, or a report about the email of the message before it."""
    steps = [(what, body) for step in demo.steps() for what, body in step.items()]

    for place, (what, body) in enumerate(steps):
        if what == "bounce":
            sent = steps[place - 1][1]
            assert (sent["mode"], sent["integration_types"][0]) == ("first_success", "EMAIL")
            continue
        method, path = what.split()
        assert method in routes.allowed(f"/api/v1/{path}")
        if path.endswith("/deliveries"):
            SendBody.model_validate(body)


def test_the_bounce_is_about_the_email_of_the_message():
    """The delivery over EMAIL is the one that the report names."""
    deliveries = [
        {"integration_type": "EMAIL", "delivery_id": "one"},
        {"integration_type": "CLI", "delivery_id": "two"},
    ]

    assert demo.delivery_id({"deliveries": deliveries}, "EMAIL") == "one"


@pytest.mark.parametrize("typed", [b"\n", b"\x04"], ids=["Enter", "Ctrl-D"])
def test_a_person_ends_the_tour(monkeypatch, typed):
    """On a terminal the servers stay until the person ends the demo."""
    master, slave = pty.openpty()
    with os.fdopen(slave) as terminal, os.fdopen(master, "wb", buffering=0) as keyboard:
        monkeypatch.setattr(sys, "stdin", terminal)
        waiting = threading.Thread(target=demo.wait_for_person, daemon=True)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        keyboard.write(typed)
        waiting.join(10)

    assert not waiting.is_alive()


def test_a_program_does_not_wait(monkeypatch, capsys):
    """Without a terminal the demo ends after the last step."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    demo.wait_for_person()

    assert capsys.readouterr().out == ""


def test_plain_up_uses_no_fake_server():
    """The local profile has neither SLACK nor EMAIL nor SMS."""
    plain = settle({})

    assert {plain["SlackBotTokenSecret"], plain["SmtpHost"]} == {""}
    assert plain["SmsEnabled"] == "false"


def test_a_webhook_is_verified_with_the_users_secret():
    """A signature by another secret and a missing one are reported as such."""
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, "{}"),
    }

    arrival = Arrival(0, "POST", "/hook", headers, b"{}", 204)

    assert demo.signature(arrival, SECRET) == "valid"
    assert demo.signature(arrival, "whsec_" + "A" * 32) == "No matching signature found"
    assert demo.signature(replace(arrival, headers={}), SECRET) == "Missing required headers"


def test_the_html_is_shown_without_its_page():
    """The content of the body is shown, without the frame of the page."""
    assert demo.body_of('<html><body class="x">\n<p>Hello</p>\n</body></html>') == "<p>Hello</p>"


def test_the_mailbox_keeps_every_email():
    """An email is kept with both of its texts."""
    message = EmailMessage()
    message["Subject"] = "Grüße"
    message.set_content("Hello")
    message.add_alternative("<p>Hello</p>", subtype="html")

    with Mailbox(port := free_port()) as mailbox, smtplib.SMTP(LOOPBACK, port) as client:
        client.send_message(message, "a@example.com", ["b@example.com"])

    [kept] = mailbox.emails
    assert (kept["Subject"], part(kept, "plain"), part(kept, "html")) == (
        "Grüße",
        "Hello",
        "<p>Hello</p>",
    )


def test_a_slack_message_is_shown_without_its_blocks():
    """The parts of a message are shown on separate lines, the words of a part on one."""
    section = {
        "type": "rich_text_section",
        "elements": [
            {"type": "user", "user_id": "U1"},
            {"type": "text", "text": " 42 ", "style": {"bold": True}},
            {"type": "link", "text": "tickets", "url": "https://example.com"},
        ],
    }
    listed = {"type": "rich_text_list", "elements": [section, section]}
    context = {"type": "context", "elements": [{"type": "plain_text", "text": "from a tool"}]}

    shown = demo.read_aloud({"elements": [{"type": "rich_text", "elements": [listed]}, context]})

    assert shown == "U1 42 tickets\nU1 42 tickets\nfrom a tool"


def test_a_failed_request_ends_the_demo_with_its_response():
    """The message of the failure holds the response, which says what is wrong."""
    with Receiver([(422, {})]) as receiver:
        shown = demo.Demo({"api_url": receiver.url}, None, None, None, Console(file=io.StringIO()))
        with pytest.raises(ToolFailure, match=r"POST /x failed \(422 .*See: make logs"):
            shown.ask("POST", "/x", {"content": "Hello"})


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PARAMETERS", "LogLevle=DEBUG", "no parameter LogLevle. Did you mean LogLevel?"),
        ("PORT", "{held}", "Choose another port: make demo PORT="),
    ],
)
def test_wrong_settings_are_reported_before_anything_starts(
    variable, value, message, monkeypatch, capsys, tmp_path
):
    """Nothing is started, built or deployed."""
    with socket.create_server((LOOPBACK, 0)) as server:
        held = server.getsockname()[1]
        monkeypatch.setenv("CLOUD_HOME", str(tmp_path))
        monkeypatch.setenv(variable, value.format(held=held - 1))

        assert demo.main() == 1

    assert message.lower() in capsys.readouterr().err.lower()
    assert not (tmp_path / "logs").exists()
