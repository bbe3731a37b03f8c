"""Sending, waiting, and following."""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager
from threading import Thread

import pytest

from tests.cli.server import always


def history(dispatch, user="ada"):
    """Return the user's deliveries, newest first."""
    return json.loads(dispatch("history", user, "-o", "json").stdout)["deliveries"]


def mailbox(dispatch, user="ada"):
    """Return subject and content of what TEST delivered."""
    shown = dispatch("inbox", user, "--type", "TEST", "-o", "json")
    return [(one["subject"], one["content"]) for one in json.loads(shown.stdout)["messages"]]


def until_ctrl_c(*steps):
    """Return what takes one step at a time, and then presses Ctrl-C."""
    left = iter(steps)

    def meanwhile():
        step = next(left, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    return meanwhile


def test_a_message_comes_from_an_argument_a_pipe_or_a_file(dispatch, service, tmp_path):
    """As it is, with its variables filled in by the service."""
    file = tmp_path / "message.md"
    file.write_text("From a *file*, $name.\n")

    dispatch("send", "ada", "From an argument, ${name}.", "--var", "name=Ada=Lovelace")
    dispatch("send", "ada", "-", "--subject", "Piped", typed="From\na pipe.\n")
    dispatch("send", "ada", "--file", str(file))
    service.deliver()

    assert mailbox(dispatch) == [
        (None, "From an argument, Ada=Lovelace."),
        ("Piped", "From\na pipe.\n"),
        (None, "From a *file*, $name.\n"),
    ]


def test_a_variable_that_is_nowhere_is_told(dispatch):
    """Most likely the shell was faster; the message is sent all the same."""
    variables = ("--var", "name=Ada", "--var", "day=Monday", "--var", "na=x", "--var", "Lost=y")

    shown = dispatch("send", "ada", "Hello $name, $lost.", "--subject", "On ${day}", *variables)

    assert shown.exit_code == 0
    notes = [line for line in shown.stderr.splitlines() if line.startswith("$")]
    assert notes == [
        f"${name} is not in the message: did your shell fill it? Quote with '…'."
        for name in ("Lost", "na")
    ]


def test_every_option_of_send_reaches_the_service(dispatch, gateway):
    """And what is not given is not sent."""
    sent = dispatch(
        *("send", "ada", "Hello", "--request-id", "r-7", "--type", "test", "--type", "CLI"),
        *("--mode", "first_success", "--session-id", "s-1", "--agent-id", "a-1"),
        *("--deliver-at", "2026-11-23T09:00:00Z", "--expires-at", "2099-01-01T00:00:00Z"),
        *("--email", "ada@example.com", "--phone-number", "+4915112345678"),
        *("--slack-user-id", "U012AB3CD", "--slack-channel", "C012AB3CD", "--var", "a=b"),
    )
    dispatch("send", "ada", "Hello")

    assert sent.exit_code == 0
    assert [json.loads(body) for verb, *_, body in gateway.asked if verb == "POST"] == [
        {
            "request_id": "r-7",
            "session_id": "s-1",
            "agent_id": "a-1",
            "content": "Hello",
            "template_variables": {"a": "b"},
            "recipient": {
                "email": "ada@example.com",
                "phone_number": "+4915112345678",
                "slack_user_id": "U012AB3CD",
                "slack_channel": "C012AB3CD",
            },
            "integration_types": ["test", "CLI"],
            "mode": "first_success",
            "deliver_at": "2026-11-23T09:00:00Z",
            "expires_at": "2099-01-01T00:00:00Z",
        },
        {"request_id": "cli-1", "content": "Hello"},
    ]


def test_the_same_request_is_one_message(dispatch):
    """With a name of the caller's own."""
    first = dispatch("send", "ada", "Hello", "--request-id", "order-1", "-o", "json")
    again = dispatch("send", "ada", "Hello", "--request-id", "order-1", "-o", "json")

    assert first.stdout == again.stdout
    assert len(history(dispatch)) == 1


@pytest.mark.parametrize("words", [(), ("Hello", "--file", "x"), ("--file", "/nowhere")])
def test_a_message_that_is_not_there_is_not_sent(alone, words):
    """Wrong usage: 2."""
    with always(200, "{}") as gateway:
        shown = alone("send", "ada", *words, DISPATCH_URL=gateway.url)

    assert (shown.exit_code, gateway.asked) == (2, [])


def test_an_answer_that_is_lost_can_be_asked_for_again(alone):
    """Under the same name, so that nothing is sent twice."""
    with always(504, "") as gateway:
        shown = alone("send", "ada", "Hello", DISPATCH_URL=gateway.url)

    assert shown.exit_code == 3
    assert "It may have been accepted. To repeat it: --request-id cli-1\n" in shown.stderr


@contextmanager
def hanging_up():
    """Take one request, and close the connection without an answer."""

    def serve():
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_a_message_may_have_been_accepted_once_it_has_left(alone):
    """Where the connection is lost before the answer, nobody here knows."""
    with hanging_up() as url:
        shown = alone("send", "ada", "Hello", DISPATCH_URL=url)

    assert shown.exit_code == 3
    assert shown.stderr.splitlines()[:2] == [
        f"error: {url} does not answer: the connection was lost.",
        "It may have been accepted. To repeat it: --request-id cli-1",
    ]


def test_an_answer_that_takes_too_long_can_be_asked_for_again(alone, monkeypatch):
    """The service may have stored the message meanwhile."""
    monkeypatch.setattr("dispatch_cli.service.TIMEOUT", (5, 0.05))
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        shown = alone("send", "ada", "Hello", DISPATCH_URL=url)

    assert shown.stderr.splitlines()[:2] == [
        f"error: {url} does not answer: no answer in time.",
        "It may have been accepted. To repeat it: --request-id cli-1",
    ]


def test_a_message_that_never_left_was_not_accepted(alone, monkeypatch):
    """A connection that nobody takes, and a name that leads nowhere."""

    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    refused = alone("send", "ada", "Hello")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    unresolved = alone("send", "ada", "Hello", DISPATCH_URL="http://localhost:1")

    advice = "The address comes from DISPATCH_URL: see whether it is right.\n"
    assert refused.stderr == (
        f"error: http://127.0.0.1:1 does not answer: nobody takes the connection.\n"
        f"{advice}Or start the service on this machine: make up\n"
    )
    assert unresolved.stderr == (
        f"error: http://localhost:1 does not answer: its name cannot be resolved.\n{advice}"
    )


@pytest.mark.parametrize("status", [302, 429])
def test_an_answer_that_says_no_is_no_riddle(alone, status):
    """A redirect and a throttled request are not accepted."""
    with always(status, "", Location="http://elsewhere.example") as gateway:
        shown = alone("send", "ada", "Hello", DISPATCH_URL=gateway.url)

    assert shown.exit_code == 3
    assert "accepted" not in shown.stderr


def test_wait_ends_when_the_last_delivery_has_ended(dispatch, service):
    """And says that it succeeded."""
    dispatch.meanwhile = service.deliver

    shown = dispatch("send", "ada", "Hello", "--wait", "-o", "json")

    assert shown.exit_code == 0
    (delivery,) = json.loads(shown.stdout)["deliveries"]
    assert (delivery["status"], delivery["attempts"]) == ("success", 1)
    assert dispatch.pauses == [0.25]


def test_wait_fails_if_nothing_was_delivered(dispatch, service):
    """1, so that a script notices."""
    dispatch("override", "set", "ada", "TEST", "--config", "failure=permanent")
    dispatch("override", "set", "ada", "TEST", "--config", "fail_attempts=1")
    dispatch.meanwhile = service.deliver

    failed = dispatch("send", "ada", "Hello", "--wait")
    dispatch("override", "set", "ada", "TEST", "--disable")
    nothing = dispatch("send", "ada", "Hello", "--wait")

    assert failed.exit_code == nothing.exit_code == 1
    assert "rehearsed_failure: TEST was asked to fail" in failed.stdout
    assert "Nothing is sent" in nothing.stdout


def test_a_message_that_goes_nowhere_is_not_delivered(dispatch):
    """1 without waiting, too: nothing can become of it any more."""
    nothing = dispatch("send", "ada", "Hello", "--type", "SLACK")
    something = dispatch("send", "ada", "Hello", "--type", "SLACK", "--type", "TEST")

    assert (nothing.exit_code, something.exit_code) == (1, 0)
    assert "Nothing is sent: no integration takes it." in nothing.stdout


def test_a_test_message_goes_over_an_integration_that_is_off(dispatch, service):
    """And can be waited for, too."""
    dispatch("override", "set", "ada", "TEST", "--disable")
    dispatch.meanwhile = service.deliver

    shown = dispatch("test", "ada", "TEST", "--wait")

    assert shown.exit_code == 0
    assert len(mailbox(dispatch)) == 1


def test_following_the_history_shows_each_change_once(dispatch, service):
    """Pending, then ended; more and more rarely where nothing happens; until Ctrl-C."""
    dispatch("send", "ada", "Hello", "--request-id", "one")
    dispatch.meanwhile = until_ctrl_c(lambda: None, service.deliver, lambda: None, lambda: None)

    shown = dispatch("history", "ada", "--follow", "-o", "json")

    changes = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [(one["request_id"], one["status"]) for one in changes] == [
        ("one", "pending"),
        ("one", "success"),
    ]
    assert dispatch.pauses == [1.0, 2.0, 1.0, 2.0, 4.0]
    assert shown.exit_code == 0


def test_following_begins_with_the_newest_and_leaves_the_older_alone(dispatch):
    """The second look does not bring up what the first left out."""
    for content in ("One.", "Two.", "Three."):
        dispatch("send", "ada", content)
    dispatch.meanwhile = until_ctrl_c(lambda: None)

    shown = dispatch("history", "ada", "--follow", "--limit", "2")

    head, *rows = shown.stdout.splitlines()
    assert head.split() == ["TIME", "TYPE", "STATUS", "TRIES", "DELIVERY"]
    newest = [one["delivery_id"] for one in history(dispatch)]
    assert [row.split()[-1] for row in rows] == [newest[1], newest[0]]


def test_following_outlives_a_service_that_is_away(dispatch, gateway):
    """It is asked again later; Ctrl-C ends it all the same."""
    real, away = gateway.answer, lambda *_: (503, {"Retry-After": "7"}, "{}")
    dispatch.meanwhile = until_ctrl_c(
        lambda: setattr(gateway, "answer", away),
        lambda: setattr(gateway, "answer", real),
    )

    shown = dispatch("history", "ada", "--follow")

    assert dispatch.pauses == [2.0, 7.0, 8.0]
    assert "Trying again." in shown.stderr
    assert shown.exit_code == 0


@pytest.mark.parametrize("command", ["history", "inbox"])
@pytest.mark.parametrize("asked_for", ["86400", "9" * 400])
def test_following_waits_a_minute_at_most(dispatch, gateway, command, asked_for):
    """Whatever the service asks for: somebody sits before the terminal."""
    away = lambda *_: (503, {"Retry-After": asked_for}, "{}")  # noqa: E731 - it is an answer
    dispatch.meanwhile = until_ctrl_c(lambda: setattr(gateway, "answer", away))

    dispatch(command, "ada", "--follow")

    assert dispatch.pauses == [2.0, 60.0]


def test_whoever_follows_at_a_terminal_is_told_that_it_waits(dispatch):
    """An empty screen looks like a program that hangs; a pipe needs no such word."""
    dispatch.meanwhile = until_ctrl_c()

    seen = dispatch("inbox", "ada", "--follow", FORCE_COLOR="1", NO_COLOR="1")
    piped = dispatch("inbox", "ada", "--follow")

    assert "Waiting for messages; Ctrl-C ends it." in seen.stderr
    assert (seen.stdout, piped.output) == ("", "")


def test_following_the_mailbox_takes_out_what_it_shows(dispatch, service):
    """Each message once; with --ack, nobody else sees it again."""

    def send(content):
        dispatch("send", "ada", content)
        service.deliver()

    dispatch.meanwhile = until_ctrl_c(lambda: send("First."), lambda: send("Second."))

    shown = dispatch("inbox", "ada", "--type", "TEST", "--follow", "--ack", "-o", "json")

    contents = [json.loads(line)["content"] for line in shown.stdout.splitlines()]
    assert contents == ["First.", "Second."]
    assert mailbox(dispatch) == []


def test_a_mailbox_is_read_once_and_only_emptied_if_asked(dispatch, service):
    """Reading takes nothing out; --ack takes out what was shown."""
    for content in ("First.", "Second."):
        dispatch("send", "ada", content)
    service.deliver()

    box = ("inbox", "ada", "--type", "TEST", "--limit", "1", "-o", "json")
    first = [json.loads(dispatch(*box).stdout)["messages"][0]["content"] for _ in range(2)]
    taken = json.loads(dispatch(*box, "--ack").stdout)["messages"][0]["content"]

    assert [*first, taken] == ["First."] * 3
    assert mailbox(dispatch) == [(None, "Second.")]


def test_retry_and_cancel(dispatch, service):
    """One starts over what has failed, the other stops what is pending; neither does both."""
    dispatch("override", "set", "ada", "TEST", "--config", "failure=permanent")
    dispatch("override", "set", "ada", "TEST", "--config", "fail_attempts=1")
    dispatch("send", "ada", "Hello")
    service.deliver()
    delivery_id = history(dispatch)[0]["delivery_id"]

    not_now = dispatch("cancel", "ada", delivery_id)
    again = dispatch("retry", "ada", delivery_id)
    twice = dispatch("retry", "ada", delivery_id)
    off = dispatch("cancel", "ada", delivery_id)

    assert [one.exit_code for one in (not_now, again, twice, off)] == [1, 0, 1, 0]
    assert again.stdout == "Round 2 begins.\nTo watch it: dispatch history ada --follow\n"
    assert "Conflict (409)" in twice.stderr
    assert history(dispatch)[0]["status"] == "skipped"
