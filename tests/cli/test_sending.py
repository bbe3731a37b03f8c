"""The commands send, history, inbox, retry and cancel."""

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
    """Return subject and content of the messages that TEST delivered."""
    page = json.loads(dispatch("inbox", user, "--type", "TEST", "-o", "json").stdout)
    return [(message["subject"], message["content"]) for message in page["messages"]]


def until_ctrl_c(*steps):
    """Return a function that takes one step per call, and then raises Ctrl-C."""
    remaining = iter(steps)

    def meanwhile():
        step = next(remaining, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    return meanwhile


def test_a_message_comes_from_an_argument_a_pipe_or_a_file(dispatch, service, tmp_path):
    """The message is sent unchanged; the service replaces its variables."""
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


def test_an_unused_variable_is_reported(dispatch):
    """A --var without its $NAME is reported, because the shell may have replaced it."""
    variables = ("--var", "name=Ada", "--var", "day=Monday", "--var", "na=x", "--var", "Lost=y")

    result = dispatch("send", "ada", "Hello $name, $lost.", "--subject", "On ${day}", *variables)

    assert result.exit_code == 0
    notes = [line for line in result.stderr.splitlines() if line.startswith("--var")]
    assert notes == [f"--var: ${name} is not in the message." for name in ("Lost", "na")]


def test_every_option_of_send_reaches_the_service(dispatch, gateway):
    """Each option is a field of the body; options that are not given are not sent."""
    sent = dispatch(
        *("send", "ada", "Hello", "--request-id", "r-7", "--type", "test", "--type", "CLI"),
        *("--mode", "first_success", "--session-id", "s-1", "--agent-id", "a-1"),
        *("--deliver-at", "2026-11-23T09:00:00Z", "--expires-at", "2099-01-01T00:00:00Z"),
        *("--email", "ada@example.com", "--phone-number", "+4915112345678"),
        *("--slack-user-id", "U012AB3CD", "--slack-channel", "C012AB3CD", "--var", "a=b"),
    )
    dispatch("send", "ada", "Hello")

    assert sent.exit_code == 0
    assert [json.loads(body) for verb, *_, body in gateway.requests if verb == "POST"] == [
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


def test_a_repeated_request_is_one_message(dispatch, service, clock):
    """A repeated request says when it was sent, and shows its deliveries as they are now."""
    first = dispatch("send", "ada", "Hello", "--request-id", "order-1", "--json")
    service.deliver()
    clock(minutes=3)
    again = dispatch("send", "ada", "Hello", "--request-id", "order-1", "--json")
    shown = dispatch("send", "ada", "Hello", "--request-id", "order-1")

    note = (
        "Request order-1 was already sent at 2026-11-23 09:30:00 UTC (3 min ago): nothing is sent "
        "again."
    )
    assert first.stdout == again.stdout
    assert " ".join(again.stderr.split()) == note
    assert " ".join(shown.stderr.split()).startswith(note)
    assert "TEST     success" in shown.stdout
    assert len(history(dispatch)) == 1


def test_a_new_request_is_not_called_repeated(dispatch):
    """Only a response that the service marks as a replay is called one."""
    assert "already sent" not in dispatch("send", "ada", "Hello", "--request-id", "r-1").output


@pytest.mark.parametrize("words", [(), ("Hello", "--file", "x"), ("--file", "/nowhere")])
def test_a_missing_message_is_not_sent(alone, words):
    """No message, two messages and an unreadable file are wrong usage."""
    with always(200, "{}") as gateway:
        result = alone("send", "ada", *words, DISPATCH_URL=gateway.url)

    assert (result.exit_code, gateway.requests) == (2, [])


def test_after_an_error_of_a_gateway_the_request_can_be_repeated(alone):
    """The error names the request ID, so that a repeated request sends nothing twice."""
    with always(504, "") as gateway:
        result = alone("send", "ada", "Hello", DISPATCH_URL=gateway.url)

    assert result.exit_code == 3
    repeat = "To repeat the request safely: dispatch send ada Hello --request-id cli-1\n"
    assert repeat in result.stderr


@contextmanager
def hanging_up():
    """Accept one request, and close the connection without a response."""

    def serve():
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_a_lost_connection_may_follow_the_acceptance(alone):
    """If the connection is lost before the response, the message may have been accepted."""
    with hanging_up() as url:
        result = alone("send", "ada", "Hello", DISPATCH_URL=url)

    assert result.exit_code == 3
    assert result.stderr.splitlines()[:3] == [
        f"error: No response from {url}: the connection was lost.",
        "The message may have been accepted.",
        "To repeat the request safely: dispatch send ada Hello --request-id cli-1",
    ]


def test_a_timeout_may_follow_the_acceptance(alone, monkeypatch):
    """If the response times out, the message may have been accepted."""
    monkeypatch.setattr("dispatch_cli.service.TIMEOUT", (5, 0.05))
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        result = alone("send", "ada", "Hello", DISPATCH_URL=url)

    assert result.stderr.splitlines()[:3] == [
        f"error: No response from {url}: the response timed out.",
        "The message may have been accepted.",
        "To repeat the request safely: dispatch send ada Hello --request-id cli-1",
    ]


def test_without_a_connection_nothing_was_accepted(alone, monkeypatch):
    """After a refused connection or an unknown host, the error does not ask for a repetition."""

    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    refused = alone("send", "ada", "Hello")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    unresolved = alone("send", "ada", "Hello", DISPATCH_URL="http://localhost:1")

    advice = "Check the address: it comes from DISPATCH_URL.\n"
    assert refused.stderr == (
        f"error: No response from http://127.0.0.1:1: connection refused.\n"
        f"{advice}To start the service on this machine: make up\n"
    )
    assert unresolved.stderr == (
        f"error: No response from http://localhost:1: the host name cannot be resolved.\n{advice}"
    )


@pytest.mark.parametrize("status", [302, 429])
def test_a_redirect_or_a_throttled_request_was_not_accepted(alone, status):
    """After 302 and 429 the error does not ask for a repetition."""
    with always(status, "", Location="http://elsewhere.example") as gateway:
        result = alone("send", "ada", "Hello", DISPATCH_URL=gateway.url)

    assert result.exit_code == 3
    assert "accepted" not in result.stderr


def test_wait_ends_when_the_last_delivery_has_ended(dispatch, service):
    """With --wait, the response has the ended deliveries, and success is exit code 0."""
    dispatch.meanwhile = service.deliver

    result = dispatch("send", "ada", "Hello", "--wait", "-o", "json")

    assert result.exit_code == 0
    (delivery,) = json.loads(result.stdout)["deliveries"]
    assert (delivery["status"], delivery["attempts"]) == ("success", 1)
    assert dispatch.pauses == [0.25]


@pytest.mark.parametrize("output", [(), ("--json",)])
def test_the_request_id_is_printed_before_the_wait(dispatch, output):
    """Ctrl-C during the wait leaves the ID and the command that shows the deliveries."""
    dispatch.meanwhile = until_ctrl_c()

    result = dispatch("send", "ada", "Hello", "--wait", *output)

    assert result.exit_code == 130
    assert result.output.splitlines()[0] == "Request cli-1"
    assert result.stderr.splitlines()[-2:] == [
        "No longer waiting; the deliveries continue.",
        "To see the deliveries: dispatch request ada cli-1",
    ]


def test_ctrl_c_before_the_response_leaves_the_command_to_repeat(alone, monkeypatch):
    """Whether the message was accepted is unknown, so the command with its ID is printed."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("requests.Session.request", interrupted)
    result = alone("--url", "http://localhost:1", "send", "ada", "-", "--wait", typed="Hello")

    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.splitlines() == [
        "The message may have been accepted.",
        (
            "To repeat the request safely: "
            "dispatch --url http://localhost:1 send ada - --wait --request-id cli-1"
        ),
    ]


def test_wait_ends_after_the_timeout(dispatch):
    """Exit code 5 says that deliveries are pending; the JSON has their state."""
    command = ("send", "ada", "Hello", "--wait", "--timeout", "0")

    shown = dispatch(*command)
    json_ = dispatch(*command, "--json")

    assert (shown.exit_code, json_.exit_code) == (5, 5)
    assert [each["status"] for each in json.loads(json_.stdout)["deliveries"]] == ["pending"]
    assert shown.stderr.splitlines() == [
        "error: 1 of 1 deliveries are still pending after 0 s; they continue.",
        "To see the deliveries: dispatch request ada cli-1",
    ]


def test_the_last_pause_ends_with_the_timeout(dispatch):
    """The wait is not longer than the timeout, and polls once more at its end."""
    result = dispatch("test", "ada", "TEST", "--wait", "--timeout", "2")

    assert result.exit_code == 5
    assert dispatch.pauses == [0.25, 0.5, 1.0, 0.25]


def test_a_timeout_without_wait_is_wrong_usage(alone):
    """The option would have no effect, and nothing is sent."""
    with always(200, "{}") as gateway:
        results = [
            alone(*words, "--timeout", "5", DISPATCH_URL=gateway.url)
            for words in (("send", "ada", "Hello"), ("test", "ada", "CLI"))
        ]

    assert [result.exit_code for result in results] == [2, 2]
    assert gateway.requests == []


def test_an_outage_during_the_wait_leaves_the_request_id(dispatch, gateway):
    """The error has the command that shows the deliveries later."""
    away = lambda *_: (503, {}, "{}")  # noqa: E731 - a responder
    dispatch.meanwhile = lambda: setattr(gateway, "respond", away)

    result = dispatch("send", "ada", "Hello", "--wait")

    assert (result.exit_code, result.stdout) == (3, "Request cli-1\n")
    assert "To see the deliveries: dispatch request ada cli-1" in result.stderr


def test_a_test_message_needs_a_configured_integration(dispatch):
    """The error is about the system, not about the user's address; nothing is sent."""
    result = dispatch("test", "ada", "slack")

    assert (result.exit_code, result.stderr) == (
        1,
        (
            "error: SLACK is not configured on this system.\n"
            "An operator can configure it: docs/integrations.md\n"
        ),
    )
    assert history(dispatch) == []


def test_wait_fails_if_no_delivery_succeeds(dispatch, service):
    """With --wait, the exit code is 1 unless a delivery succeeds."""
    dispatch("override", "set", "ada", "TEST", "--config", "failure=permanent")
    dispatch("override", "set", "ada", "TEST", "--config", "fail_attempts=1")
    dispatch.meanwhile = service.deliver

    failed = dispatch("send", "ada", "Hello", "--wait")
    dispatch("override", "set", "ada", "TEST", "--disable")
    nothing = dispatch("send", "ada", "Hello", "--wait")

    assert failed.exit_code == nothing.exit_code == 1
    assert "rehearsed_failure: TEST is configured to fail" in failed.stdout
    assert "No deliveries: every integration was skipped." in nothing.stdout


def test_a_message_without_deliveries_is_a_failure(dispatch):
    """If every integration is skipped, the exit code is 1 even without --wait."""
    nothing = dispatch("send", "ada", "Hello", "--type", "SLACK")
    something = dispatch("send", "ada", "Hello", "--type", "SLACK", "--type", "TEST")

    assert (nothing.exit_code, something.exit_code) == (1, 0)
    assert "No deliveries: every integration was skipped." in nothing.stdout


def test_a_test_message_uses_a_disabled_integration(dispatch, service):
    """A test message is delivered over a disabled integration, and --wait waits for it."""
    dispatch("override", "set", "ada", "TEST", "--disable")
    dispatch.meanwhile = service.deliver

    result = dispatch("test", "ada", "TEST", "--wait")

    assert result.exit_code == 0
    assert len(mailbox(dispatch)) == 1


def receipt(state):
    """Return a receipt as the API has it."""
    return {"state": state, "at": "2026-11-23T09:25:00.000Z", "detail": "550 5.1.1 user unknown"}


def delivery(**fields):
    """Return a delivery as a page of the history has it."""
    return {
        "delivery_id": "00000000-0000-7000-8000-000000000001",
        "request_id": "r-1",
        "session_id": None,
        "subject": None,
        "integration_type": "EMAIL",
        "status": "success",
        "round": 1,
        "attempts": 1,
        "max_attempts": 4,
        "created_at": "2026-11-23T09:00:00.000Z",
        "last_attempt_at": "2026-11-23T09:20:00.000Z",
        "delivered_at": None,
        "next_attempt_at": None,
        "category": None,
        "locked": False,
        "held": None,
        "receipt": None,
        "error_code": None,
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "subject", "details"),
    [
        ({"subject": "Your laptop is ready"}, "Your laptop…", []),
        ({"attempts": 3, "subject": "failed"}, "failed", ["3 of 4 attempts"]),
        (
            {
                "status": "pending",
                "error_code": "timeout",
                "next_attempt_at": "2026-11-23T09:31:00.000Z",
            },
            "-",
            [
                "timeout: the receiver did not respond within 10 s; 1 of 4 attempts;",
                "next attempt in 1 min",
            ],
        ),
        (
            {"status": "failed", "attempts": 0, "error_code": "no_address"},
            "-",
            ["no_address: the user has no address for it"],
        ),
        ({"receipt": receipt("delayed")}, "-", ["the provider is still trying"]),
        (
            {"status": "failed", "error_code": "bounced", "receipt": receipt("bounced")},
            "-",
            ["bounced: the email bounced: its server rejects the address; 1 of 4", "attempts"],
        ),
        (
            {"status": "failed", "error_code": "undelivered", "receipt": receipt("bounced")},
            "-",
            ["undelivered: the provider could not deliver it; 1 of 4 attempts"],
        ),
        # The worker failed; the provider's report came nevertheless.
        (
            {"status": "failed", "error_code": "timeout", "receipt": receipt("bounced")},
            "-",
            [
                "timeout: the receiver did not respond within 10 s; it was not",
                "delivered; 1 of 4 attempts",
            ],
        ),
    ],
    ids=[
        *("subject", "retried", "pending", "never attempted"),
        *("delayed", "bounced", "undelivered", "bounced after a timeout"),
    ],
)
def test_a_row_of_the_history(alone, clock, fields, subject, details):
    """Below a row are its error, its attempts if a retry was needed, and the next attempt."""
    row = delivery(**fields)
    page = {"user_id": "ada", "deliveries": [row], "next_cursor": None}
    with always(200, json.dumps(page)) as gateway:
        result = alone("history", "ada", DISPATCH_URL=gateway.url)

    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "WHEN        TYPE     STATUS   DELIVERY                              SUBJECT",
        f"10 min ago  EMAIL    {row['status']:<7}  {row['delivery_id']}  {subject}",
        *(f"{'':12}{line}" for line in details),
    ]


def test_a_delivery_is_shown_with_its_receipt(alone, clock):
    """With the provider's time and words."""
    detail = delivery(
        user_id="ada",
        priority=2,
        first_attempt_at=None,
        error_message=None,
        metadata={},
        attempt_log=[],
        receipt=receipt("complained"),
    )
    with always(200, json.dumps(detail)) as gateway:
        result = alone("history", "ada", detail["delivery_id"], DISPATCH_URL=gateway.url)

    text = " ".join(result.stdout.split())
    told = "receipt complained at 2026-11-23 09:25:00 UTC (5 min ago): 550 5.1.1 user unknown"
    assert told in text


def test_the_next_page_is_a_complete_command(alone):
    """The hint repeats the filters of the page."""
    page = {"user_id": "ada", "deliveries": [delivery()], "next_cursor": "c-1"}
    filters = ("--limit", "1", "--status", "success", "--type", "EMAIL", "--request-id", "a&b")
    with always(200, json.dumps(page)) as gateway:
        result = alone("history", "ada", *filters, DISPATCH_URL=gateway.url)

    assert result.stderr == (
        "To see older deliveries: dispatch history ada --limit 1 --status success --type EMAIL "
        "--request-id 'a&b' --cursor c-1\n"
    )


def test_follow_shows_each_change_of_the_history_once(dispatch, service):
    """Each change is one line of JSON; pauses grow while nothing changes; Ctrl-C ends it."""
    dispatch("send", "ada", "Hello", "--request-id", "r-1")
    dispatch.meanwhile = until_ctrl_c(lambda: None, service.deliver, lambda: None, lambda: None)

    result = dispatch("history", "ada", "--follow", "-o", "json")

    changes = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(change["request_id"], change["status"]) for change in changes] == [
        ("r-1", "pending"),
        ("r-1", "success"),
    ]
    assert dispatch.pauses == [1.0, 2.0, 1.0, 2.0, 4.0]
    assert result.exit_code == 0


def test_follow_starts_with_the_newest_deliveries(dispatch):
    """Deliveries that --limit excluded from the first page are not shown later."""
    for content in ("One.", "Two.", "Three."):
        dispatch("send", "ada", content)
    dispatch.meanwhile = until_ctrl_c(lambda: None)

    result = dispatch("history", "ada", "--follow", "--limit", "2")

    head, *rows = result.stdout.splitlines()
    assert head.split() == ["TIME", "TYPE", "STATUS", "DELIVERY", "SUBJECT"]
    newest = [delivery["delivery_id"] for delivery in history(dispatch)]
    assert [row.split()[3] for row in rows] == [newest[1], newest[0]]


def test_follow_continues_after_an_outage(dispatch, gateway):
    """An unreachable service is polled again; Ctrl-C ends it with exit code 0."""
    real, away = gateway.respond, lambda *_: (503, {"Retry-After": "7"}, "{}")
    dispatch.meanwhile = until_ctrl_c(
        lambda: setattr(gateway, "respond", away),
        lambda: setattr(gateway, "respond", real),
    )

    result = dispatch("history", "ada", "--follow")

    assert dispatch.pauses == [2.0, 7.0, 8.0]
    assert "Trying again." in result.stderr
    assert result.exit_code == 0


@pytest.mark.parametrize("command", ["history", "inbox"])
@pytest.mark.parametrize("retry_after", ["86400", "9" * 400])
def test_follow_waits_at_most_a_minute(dispatch, gateway, command, retry_after):
    """A larger Retry-After is limited to 60 s."""
    away = lambda *_: (503, {"Retry-After": retry_after}, "{}")  # noqa: E731 - a responder
    dispatch.meanwhile = until_ctrl_c(lambda: setattr(gateway, "respond", away))

    dispatch(command, "ada", "--follow")

    assert dispatch.pauses == [2.0, 60.0]


def test_follow_announces_that_it_waits(dispatch):
    """On a terminal, --follow of an empty mailbox prints a hint; a pipe gets none."""
    dispatch.meanwhile = until_ctrl_c()

    seen = dispatch("inbox", "ada", "--follow")
    piped = dispatch("inbox", "ada", "--follow", TTY_COMPATIBLE="")

    assert "Waiting for messages. To stop: Ctrl-C" in seen.stderr
    assert (seen.stdout, piped.output) == ("", "")


def test_follow_with_ack_removes_each_message(dispatch, service):
    """Each message is shown once; with --ack it is removed from the mailbox."""

    def send(content):
        dispatch("send", "ada", content)
        service.deliver()

    dispatch.meanwhile = until_ctrl_c(lambda: send("First."), lambda: send("Second."))

    result = dispatch("inbox", "ada", "--type", "TEST", "--follow", "--ack", "-o", "json")

    contents = [json.loads(line)["content"] for line in result.stdout.splitlines()]
    assert contents == ["First.", "Second."]
    assert mailbox(dispatch) == []


def test_the_mailbox_is_only_emptied_with_ack(dispatch, service):
    """Reading removes nothing; --ack removes the messages of the page."""
    for content in ("First.", "Second."):
        dispatch("send", "ada", content)
    service.deliver()

    box = ("inbox", "ada", "--type", "TEST", "--limit", "1", "-o", "json")
    first = [json.loads(dispatch(*box).stdout)["messages"][0]["content"] for _ in range(2)]
    acknowledged = json.loads(dispatch(*box, "--ack").stdout)["messages"][0]["content"]

    assert [*first, acknowledged] == ["First."] * 3
    assert mailbox(dispatch) == [(None, "Second.")]


def test_retry_and_cancel(dispatch, service):
    """A failed delivery can be retried, a pending one cancelled, and neither is both."""
    dispatch("override", "set", "ada", "TEST", "--config", "failure=permanent")
    dispatch("override", "set", "ada", "TEST", "--config", "fail_attempts=1")
    dispatch("send", "ada", "Hello")
    service.deliver()
    delivery_id = history(dispatch)[0]["delivery_id"]

    too_late = dispatch("cancel", "ada", delivery_id)
    again = dispatch("retry", "ada", delivery_id)
    twice = dispatch("retry", "ada", delivery_id)
    cancelled = dispatch("cancel", "ada", delivery_id)

    assert [result.exit_code for result in (too_late, again, twice, cancelled)] == [1, 0, 1, 0]
    assert again.stdout == "Round 2 starts.\nTo follow it: dispatch history ada --follow\n"
    assert "Conflict (409)" in twice.stderr
    assert history(dispatch)[0]["status"] == "skipped"
