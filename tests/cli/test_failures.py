"""Every error has a message, a next step, and the exit code of its kind."""

from __future__ import annotations

import json
import re

import pytest

from dispatch_cli.failures import NotAuthorizedFailure, UnreachableFailure
from dispatch_cli.service import Service
from dispatch_cli.settings import Settings
from dispatcher.access.policy import ANY, Caller, require
from dispatcher.edges.routes import ROUTES
from dispatcher.errors import ForbiddenError
from tests.cli.server import Gateway, always

USER = "auth0|ada"

PROBLEM = {"title": "Not now", "status": 503, "detail": "A \x1b[2Jtable did not respond."}


def problem(status, **fields):
    """Return the body of an error response."""
    return json.dumps({"title": "No", "status": status, **fields})


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 1), (404, 1), (409, 1), (422, 1), (401, 4), (403, 4), (429, 3), (500, 3), (503, 3)],
)
def test_each_kind_of_error_response_has_its_exit_code(alone, status, code):
    """1: change the request; 4: get a credential; 3: try again later."""
    with always(status, problem(status)) as gateway:
        result = alone("config", "ada", DISPATCH_URL=gateway.url)

    assert result.exit_code == code
    assert result.stderr.startswith(f"error: No ({status})")
    assert result.stdout == ""


SEND = ("send", "ada", "Hello")
SET = ("override", "set", "ada", "WEBHOOK")


@pytest.mark.parametrize(
    ("command", "pointer", "name"),
    [
        ((*SEND, "--email", "x"), "/recipient/email", "--email"),
        ((*SEND, "--phone-number", "x"), "/recipient/phone_number", "--phone-number"),
        ((*SEND, "--type", "CLI", "--type", "FAX"), "/integration_types/1", "--type FAX"),
        (("send", "ada", "Hello $a", "--var", "a=b"), "/template_variables/a", "--var a"),
        ((*SEND, "--deliver-at", "x"), "/deliver_at", "--deliver-at"),
        (SEND, "/content", "CONTENT"),
        (SEND, "/user_id", "USER"),
        (SEND, "", "request"),
        (SEND, "/new/field", "new.field"),
        ((*SET, "--url", "x"), "/config/url", "--url"),
        ((*SET, "--header", "X~Y/url: b"), "/config/headers/X~0Y~1url", "--header X~Y/url"),
        ((*SET, "--header", "url: b"), "/config/headers/url", "--header url"),
        ((*SET, "--config", "format=x"), "/config/format", "--config format"),
        ((*SET, "--priority", "0"), "/priority", "--priority"),
        (("test", "ada", "FAX"), "/integration_type", "TYPE"),
        (("history", "ada", "--limit", "0"), "/limit", "--limit"),
    ],
)
def test_a_field_error_has_the_name_of_the_option(alone, command, pointer, name):
    """The error names the option or argument as it was typed, without library words."""
    errors = [{"pointer": pointer, "detail": "Value error, must be different"}]

    def respond(method, path, _):
        return (200, {}, "{}") if path == "/health" else (status(method), {}, body)

    def status(method):
        # A missing override is created.
        return 404 if method == "GET" and command[0] == "override" else 422

    body = problem(422, detail="The request has 1 invalid field; see `errors`.", errors=errors)
    with Gateway(respond) as gateway:
        result = alone(*command, DISPATCH_URL=gateway.url)

    assert (result.exit_code, result.stderr) == (1, f"error: {name}: must be different\n")


def test_several_field_errors_are_a_list(alone):
    """Each rejected value has a separate line."""
    errors = [{"pointer": "/email", "detail": "must be short"}, {"detail": "is odd"}]
    with always(422, problem(422, errors=errors)) as gateway:
        result = alone(*SEND, DISPATCH_URL=gateway.url)

    assert result.stderr == (
        "error: 2 values are invalid.\n  --email: must be short\n  request: is odd\n"
    )


@pytest.mark.parametrize(
    ("detail", "text", "advice"),
    [
        (
            "This requires the scope dispatch:write.",
            "The API key is valid, but lacks the scope dispatch:write (403).",
            "Ask an operator for a credential with the scope dispatch:write.",
        ),
        (
            "This requires the scope dispatch:read or dispatch:send.",
            "The API key is valid, but lacks the scope dispatch:read or dispatch:send (403).",
            "Ask an operator for a credential with the scope dispatch:read or dispatch:send.",
        ),
        (
            "Access to another user requires the scope dispatch:admin.",
            (
                "The API key is valid, but belongs to another user: access to this one requires "
                "the scope dispatch:admin (403)."
            ),
            "Use a credential of this user, or one with the scope dispatch:admin.",
        ),
        (
            "The firewall refused the request.",
            "No (403): The firewall refused the request.",
            "The service, or a firewall before it, refuses this caller.",
        ),
    ],
)
def test_a_403_tells_a_missing_scope_from_another_user(alone, detail, text, advice):
    """The credential is valid, so its expiry is not suspected."""
    with always(403, problem(403, detail=detail)) as gateway:
        result = alone("config", "ada", DISPATCH_URL=gateway.url, DISPATCH_API_KEY="key")

    assert result.exit_code == 4
    assert " ".join(result.stderr.split()) == f"error: {text} {advice}"


@pytest.mark.parametrize(
    ("route", "scopes"),
    [(route.path, route.scopes) for route in ROUTES if route.scopes and route.scopes != ANY],
)
def test_the_scopes_of_the_service_are_recognized(route, scopes):
    """The text that the service's policy raises is the one that this program reads."""
    with pytest.raises(ForbiddenError) as forbidden:
        require(Caller("key:x", "ada", frozenset()), scopes, None)
    with (
        always(403, problem(403, detail=str(forbidden.value))) as gateway,
        pytest.raises(NotAuthorizedFailure, match=f"lacks the scope {' or '.join(scopes)}"),
    ):
        Service(Settings(gateway.url, origin="")).get("health")


def test_with_json_an_error_response_is_on_standard_output(alone):
    """The JSON of an error response is on standard output, the message on standard error."""
    with always(404, problem(404)) as gateway:
        result = alone("config", "ada", "--output", "json", DISPATCH_URL=gateway.url)

    assert json.loads(result.stdout) == {"title": "No", "status": 404}
    assert result.stderr == "error: No (404)\n"


def test_retry_after_is_shown(alone):
    """The error names the seconds of Retry-After, and control characters are escaped."""
    with always(503, json.dumps(PROBLEM), **{"Retry-After": "5"}) as gateway:
        result = alone("config", "ada", DISPATCH_URL=gateway.url)

    assert result.exit_code == 3
    assert result.stderr == (
        "error: Not now (503): A \\x1b[2Jtable did not respond.\n"
        "Try again in 5 s.\n"
        "To see the service's health: dispatch health\n"
    )


def test_an_unhealthy_service_is_shown(alone):
    """The report of an unhealthy service is shown, with exit code 1."""
    report = {
        "status": "unhealthy",
        "service": "s",
        "version": "1",
        "integrations": {},
        "detail": "cannot reach deliveries",
    }
    with always(503, json.dumps(report)) as gateway:
        result = alone("health", DISPATCH_URL=gateway.url)

    assert (result.exit_code, result.stdout) == (1, "s 1 is unhealthy\ncannot reach deliveries\n")


@pytest.mark.parametrize(
    "command",
    [
        ("history", USER),
        ("config", USER),
        ("doctor", USER),
        ("send", USER, "Hello", "--type", "SMS", "--type", "TEST"),
        ("override", "rotate-secret", USER),
        ("override", "unset", USER, "TEST", "priority"),
        ("request", USER, "none"),
    ],
    ids=lambda command: command[0],
)
def test_printed_commands_are_quoted(dispatch, command):
    """A user ID with a character that a shell interprets is quoted in the next step."""
    output = dispatch(*command).output

    hints = [line.partition("dispatch ")[2] for line in output.splitlines() if ": dispatch" in line]
    hints = [hint for hint in hints if not hint.startswith("health")]
    assert hints
    assert all("'auth0|ada'" in hint for hint in hints), output


COMMANDS = [
    ("config", "ada"),
    ("defaults",),
    ("doctor", "ada"),
    ("health",),
    ("history", "ada"),
    ("history", "ada", "d-1"),
    ("history", "ada", "--follow"),
    ("request", "ada", "r-1"),
    ("inbox", "ada"),
    ("inbox", "ada", "--follow"),
    ("send", "ada", "Hello", "--wait"),
    ("test", "ada", "CLI"),
    ("retry", "ada", "d-1"),
    ("cancel", "ada", "d-1"),
    ("override", "list", "ada"),
    ("override", "set", "ada", "CLI", "--enable"),
    ("override", "unset", "ada", "CLI"),
    ("override", "reset", "ada", "--yes"),
    ("override", "rotate-secret", "ada"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_server_that_is_no_dispatcher_is_recognized(alone, command):
    """Every command recognizes a web page in place of the service's response."""
    with always(200, "<html>Welcome</html>") as gateway:
        result = alone(*command, "-o", "json", DISPATCH_URL=gateway.url)

    assert (result.exit_code, result.stdout) == (3, "")
    assert "is not an integration dispatcher" in " ".join(result.stderr.split())


@pytest.mark.parametrize("output", ["table", "json"])
@pytest.mark.parametrize(
    "text",
    ["", "[]", '"ok"', "5", "null", '{"status": "UP"}', pytest.param("[" * 100_000, id="deep")],
)
def test_json_of_another_shape_is_rejected(alone, text, output):
    """JSON that is not the service's is never printed, so that no script reads it."""
    with always(200, text) as gateway:
        result = alone("config", "ada", "-o", output, DISPATCH_URL=gateway.url)

    assert (result.exit_code, result.stdout) == (3, "")
    assert "is not an integration dispatcher" in " ".join(result.stderr.split())


def test_the_content_type_of_another_server_is_named(alone):
    """The error names the content type and where the address comes from."""
    with always(200, "<html>", **{"Content-Type": "text/html"}) as gateway:
        result = alone("health", DISPATCH_URL=gateway.url)

    assert " ".join(result.stderr.split()) == (
        f"error: The server at {gateway.url} is not an integration dispatcher, or has another "
        "version: its response is text/html, not JSON. "
        "Check the address: it comes from DISPATCH_URL."
    )


def test_an_error_that_is_not_json_comes_from_another_server(alone):
    """The service rejects in JSON; after any other 404 the address is to be checked."""
    with always(404, "<html>") as gateway:
        result = alone("health", DISPATCH_URL=gateway.url)

    assert (result.exit_code, result.stderr) == (
        1,
        "error: Not Found (404)\nCheck the address: it comes from DISPATCH_URL.\n",
    )


@pytest.mark.parametrize("status", [404, 501])
def test_an_html_error_page_comes_from_another_server(alone, status):
    """An HTML page with 404 or 501 means that the server is not a dispatcher."""
    with always(status, "<html>", **{"Content-Type": "text/html;charset=utf-8"}) as gateway:
        result = alone("send", "ada", "Hello", DISPATCH_URL=gateway.url)

    text = " ".join(result.stderr.split())
    assert result.exit_code == 3
    assert text.endswith(
        f"({status}): the server at {gateway.url} is not an integration dispatcher, its response "
        "is text/html;charset=utf-8. Check the address: it comes from DISPATCH_URL."
    )


def test_an_unknown_path_means_a_wrong_address(alone):
    """The service has a route for every path of this program, so the address is to be checked."""
    with always(404, problem(404, detail="There is no such path.")) as gateway:
        result = alone("config", "ada", DISPATCH_URL=f"{gateway.url}/api/v1")

    assert (result.exit_code, result.stderr) == (
        1,
        (
            "error: No (404): There is no such path.\n"
            "Check the address: it comes from DISPATCH_URL.\n"
        ),
    )


def test_a_refused_connection_on_this_machine(alone):
    """The error names the origin of the address and the command that starts the service."""
    with always(200) as gateway:
        url = gateway.url

    result = alone("health", DISPATCH_URL=url)

    assert result.exit_code == 3
    assert result.stderr == (
        f"error: No response from {url}: connection refused.\n"
        "Check the address: it comes from DISPATCH_URL.\n"
        "To start the service on this machine: make up\n"
    )


def test_a_refused_connection_without_configuration():
    """The error names the default address, how to start the service, and how to use another."""
    with always(200) as gateway:
        url = gateway.url

    with pytest.raises(UnreachableFailure) as failure:
        Service(Settings(url, origin="")).get("health")

    assert failure.value.advice == (
        f"No address is configured, so the default is used: {url}.\n"
        "To start the service on this machine: make up\n"
        "To use another one: dispatch login URL"
    )


def test_a_redirect_is_not_followed(alone):
    """A redirect could send the credential to another server."""
    with (
        always(200, "{}") as elsewhere,
        always(302, "", Location=elsewhere.url) as gateway,
    ):
        result = alone("health", DISPATCH_URL=gateway.url, DISPATCH_TOKEN="secret")

    assert result.exit_code == 3
    assert f"redirects to {elsewhere.url}" in result.stderr
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("words", "text", "command"),
    [
        (("send",), "USER: a value is required.", "send"),
        (("send", "ada", "x", "--mode", "y"), "'y' is not one of 'all', 'first_success'.", "send"),
        (("send", "ada", "x", "--timeout", "soon"), "--timeout: must be a number.", "send"),
        (("history", "ada", "--limit", "x"), "--limit: must be a whole number.", "history"),
        (
            ("dead-letters", "list", "--limit", "0"),
            "--limit: must be greater than or equal to 1.",
            "dead-letters list",
        ),
        (("override", "set", "ada", "CLI", "--nope"), "No such option: --nope.", "override set"),
        (("histry",), "No such command 'histry'. Did you mean 'history'?", ""),
        (("--nope",), "No such option: --nope (Possible options: --no-input).", ""),
        (("send", "ada", "x", "y"), "Got unexpected extra argument(s) (y).", "send"),
    ],
)
def test_wrong_usage_is_explained_in_words(alone, words, text, command):
    """The error has the form of all others, without library text, and names the help."""
    result = alone(*words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert text in " ".join(result.stderr.split())
    assert not re.search("Value error|Input should|unable to parse", result.stderr)
    program = " ".join(filter(None, ("dispatch", command, "--help")))
    assert result.stderr.splitlines()[-1] == f"To see the options: {program}"


@pytest.mark.parametrize("user", ["", ".", ".."])
def test_an_id_that_leads_to_another_route_is_rejected(alone, user):
    """Dots and empty segments are not sent: servers resolve them to another path."""
    with always(200, "{}") as gateway:
        result = alone("override", "reset", user, "--yes", DISPATCH_URL=gateway.url)

    assert (result.exit_code, gateway.requests) == (2, [])


def test_a_slash_in_an_id_is_encoded(dispatch, gateway):
    """The service gets the ID as one segment, and rejects it."""
    result = dispatch("config", "a/../b?c")

    assert result.exit_code == 1
    assert gateway.requests[0][1] == "/api/v1/users/a%2F..%2Fb%3Fc/integration-defaults"
