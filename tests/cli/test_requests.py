"""The command request, with the service's response and with the service."""

from __future__ import annotations

import json
from shlex import split

import pytest

from dispatch_cli import words
from tests.cli.server import always
from tests.cli.test_sending import delivery

REQUEST = {
    "request_id": "order/42",
    "user_id": "ada",
    "session_id": "s-1",
    "agent_id": "it",
    "subject": "Your laptop is ready",
    "created_at": "2026-11-23T09:00:00.000Z",
    "deliver_at": "2026-11-23T09:10:00.000Z",
    "expires_at": None,
    "mode": "first_success",
    "deliveries": [
        delivery(integration_type="SLACK", status="failed", error_code="http_503", attempts=4),
        delivery(integration_type="EMAIL", status="pending", attempts=0, last_attempt_at=None),
    ],
    "skipped": [{"integration_type": "SMS", "reason": "no_address"}],
}


def test_a_request_is_shown_with_deliveries_and_skipped_integrations(alone, clock):
    """All fields that are set are shown, each delivery as in the history, each skip explained."""
    with always(200, json.dumps(REQUEST)) as gateway:
        result = alone("request", "ada", "order/42", DISPATCH_URL=gateway.url)

    assert result.exit_code == 0
    assert [line.rstrip() for line in result.output.splitlines()] == [
        "Request order/42 to ada",
        "  session ID       s-1",
        "  agent ID         it",
        "  subject          Your laptop is ready",
        "  mode             first_success",
        "  created at       2026-11-23 09:00:00 UTC (30 min ago)",
        "  deliver at       2026-11-23 09:10:00 UTC (20 min ago)",
        "",
        "WHEN        TYPE     STATUS   DELIVERY",
        "10 min ago  SLACK    failed   00000000-0000-7000-8000-000000000001",
        "            http_503: the receiver has a server error (HTTP 503); 4 of 4",
        "            attempts",
        "30 min ago  EMAIL    pending  00000000-0000-7000-8000-000000000001",
        "",
        "Skipped",
        "• SMS: the user has no address for it",
        "  To set one: dispatch override set ada SMS --config phone_number=NUMBER",
        ("To find out why a delivery failed: dispatch doctor ada --request order/42"),
    ]


def test_json_is_the_response(alone):
    """--output json prints the response of the service unchanged."""
    with always(200, json.dumps(REQUEST)) as gateway:
        result = alone("request", "ada", "order/42", "-o", "json", DISPATCH_URL=gateway.url)

    assert (result.exit_code, json.loads(result.stdout)) == (0, REQUEST)


def test_the_request_id_is_percent_encoded(alone):
    """Every visible ASCII character of a request ID reaches the service."""
    with always(200, json.dumps(REQUEST)) as gateway:
        alone("request", "auth0|ada", "a/../b?c=%d#e&'", DISPATCH_URL=gateway.url)

    assert gateway.requests[0][1] == (
        "/api/v1/users/auth0%7Cada/requests/a%2F..%2Fb%3Fc%3D%25d%23e%26%27"
    )


def test_an_unknown_request_is_explained(alone):
    """A 404 names the likely causes and the command that shows the IDs of requests."""
    problem = {"title": "Not found", "status": 404, "detail": "ada has no request r-9."}
    with always(404, json.dumps(problem)) as gateway:
        result = alone("request", "ada", "r-9", DISPATCH_URL=gateway.url)

    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        (
            "error: Not found (404): ada has no request r-9.\n"
            "The ID is misspelled, belongs to another user, or is no longer stored.\n"
            "To see the IDs of recent requests: dispatch history ada --json\n"
        ),
    )


def test_an_accepted_request_can_be_looked_up(dispatch, service):
    """A sent request is found under its ID, before and after its delivery."""
    sent = dispatch("send", "ada", "Hello", "--subject", "Hi", "--request-id", "order/42")
    service.deliver()

    command = sent.stderr.splitlines()[-1].removeprefix("To see the deliveries: dispatch ")
    request = json.loads(dispatch(*split(command), "-o", "json").stdout)

    assert (request["request_id"], request["subject"]) == ("order/42", "Hi")
    assert [each["status"] for each in request["deliveries"]] == ["success"]


def test_a_request_without_deliveries_can_be_looked_up(dispatch):
    """A request whose integrations were all skipped is found, with the reasons."""
    dispatch("send", "ada", "Hello", "--type", "SMS", "--request-id", "r-1")

    request = json.loads(dispatch("request", "ada", "r-1", "-o", "json").stdout)

    assert (request["deliveries"], request["skipped"]) == (
        [],
        [{"integration_type": "SMS", "reason": "disabled_by_default"}],
    )


def test_an_unknown_request_is_rejected(dispatch):
    """The service's 404 has the next step of this program, not that of a wrong address."""
    result = dispatch("request", "ada", "none")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "To see the IDs of recent requests: dispatch history ada --json"
    )


@pytest.mark.parametrize("request_id", ["order-42", "-x", "a b", "$HOME;'", "--help"])
def test_the_printed_command_finds_the_request(alone, request_id):
    """The command is quoted for a shell, also for an ID that looks like an option."""
    command = split(words.request_command("auth0|ada", request_id))
    with always(404, "{}") as gateway:
        alone(*command[1:], DISPATCH_URL=gateway.url)

    assert command[-2:] == ["auth0|ada", request_id]
    assert len(gateway.requests) == 1
