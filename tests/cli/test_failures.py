"""What goes wrong is told in words, with what to do next, and an exit code that says which kind."""

from __future__ import annotations

import json

import pytest

from dispatch_cli.failures import UnreachableFailure
from dispatch_cli.service import Service
from dispatch_cli.settings import Settings
from tests.cli.server import always

PROBLEM = {"title": "Not now", "status": 503, "detail": "A \x1b[2Jtable did not answer."}


def problem(status, **fields):
    """Return the text of an error's answer."""
    return json.dumps({"title": "No", "status": status, **fields})


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 1), (404, 1), (409, 1), (422, 1), (401, 4), (403, 4), (429, 3), (500, 3), (503, 3)],
)
def test_each_kind_of_refusal_has_its_exit_code(alone, status, code):
    """1: change the request; 4: get a credential; 3: try later."""
    with always(status, problem(status)) as gateway:
        shown = alone("config", "ada", DISPATCH_URL=gateway.url)

    assert shown.exit_code == code
    assert shown.stderr.startswith(f"error: No ({status})")
    assert shown.stdout == ""


def test_a_refusal_shows_each_wrong_value_with_its_place(alone):
    """As a table of the service's own words."""
    errors = [{"pointer": "/priority", "detail": "must be at most 100"}, {"detail": "odd"}]
    with always(422, problem(422, errors=errors)) as gateway:
        shown = alone("config", "ada", DISPATCH_URL=gateway.url)

    lines = [line.strip() for line in shown.stderr.splitlines()]
    assert lines == ["error: No (422)", "/priority: must be at most 100", "body: odd"]


def test_with_json_the_answer_is_on_standard_output_whatever_it_is(alone):
    """A refusal is the API's answer, too; the words stay on standard error."""
    with always(404, problem(404)) as gateway:
        shown = alone("config", "ada", "--output", "json", DISPATCH_URL=gateway.url)

    assert json.loads(shown.stdout) == {"title": "No", "status": 404}
    assert shown.stderr == "error: No (404)\n"


def test_a_busy_service_says_when_to_come_again(alone):
    """And cannot play with the terminal in what it says."""
    with always(503, json.dumps(PROBLEM), **{"Retry-After": "5"}) as gateway:
        shown = alone("config", "ada", DISPATCH_URL=gateway.url)

    assert shown.exit_code == 3
    assert shown.stderr == (
        "error: Not now (503): A \\x1b[2Jtable did not answer.\n"
        "Try again in 5 s. How the service is: dispatch health\n"
    )


def test_an_unhealthy_service_is_shown_and_told(alone):
    """1 with the whole report: it did answer."""
    report = {
        "status": "unhealthy",
        "service": "s",
        "version": "1",
        "integrations": {},
        "detail": "cannot reach deliveries",
    }
    with always(503, json.dumps(report)) as gateway:
        shown = alone("health", DISPATCH_URL=gateway.url)

    assert (shown.exit_code, shown.stdout) == (1, "s 1 is unhealthy\ncannot reach deliveries\n")


COMMANDS = [
    ("config", "ada"),
    ("defaults",),
    ("doctor", "ada"),
    ("health",),
    ("history", "ada"),
    ("history", "ada", "d-1"),
    ("history", "ada", "--follow"),
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
def test_something_else_at_the_address_is_noticed(alone, command):
    """Not every server is a dispatcher: whatever is asked of it."""
    with always(200, "<html>Welcome</html>") as gateway:
        shown = alone(*command, "-o", "json", DISPATCH_URL=gateway.url)

    assert (shown.exit_code, shown.stdout) == (3, "")
    assert "is no integration dispatcher" in " ".join(shown.stderr.split())


@pytest.mark.parametrize("output", ["table", "json"])
@pytest.mark.parametrize(
    "text",
    ["", "[]", '"ok"', "5", "null", '{"status": "UP"}', pytest.param("[" * 100_000, id="deep")],
)
def test_other_json_is_no_answer_either(alone, text, output):
    """However it is to be shown: a script must not take it for the service's."""
    with always(200, text) as gateway:
        shown = alone("config", "ada", "-o", output, DISPATCH_URL=gateway.url)

    assert (shown.exit_code, shown.stdout) == (3, "")
    assert "is no integration dispatcher" in " ".join(shown.stderr.split())


def test_what_answers_instead_is_told(alone):
    """A web page of a proxy, by its kind; and what to look at."""
    with always(200, "<html>", **{"Content-Type": "text/html"}) as gateway:
        shown = alone("health", DISPATCH_URL=gateway.url)

    assert " ".join(shown.stderr.split()) == (
        f"error: What answers at {gateway.url} is no integration dispatcher, or one of another "
        "version: it sends text/html, and no JSON. "
        "The address comes from DISPATCH_URL: see whether it is right."
    )


def test_a_web_page_that_says_no_is_somebody_elses(alone):
    """The service would say it in JSON."""
    with always(404, "<html>") as gateway:
        shown = alone("health", DISPATCH_URL=gateway.url)

    assert (shown.exit_code, shown.stderr) == (
        1,
        "error: Not Found (404)\nThe address comes from DISPATCH_URL: see whether it is right.\n",
    )


@pytest.mark.parametrize("status", [404, 501])
def test_another_web_server_is_no_dispatcher(alone, status):
    """Its page says so: to try again later would not help."""
    with always(status, "<html>", **{"Content-Type": "text/html;charset=utf-8"}) as gateway:
        shown = alone("send", "ada", "Hello", DISPATCH_URL=gateway.url)

    told = " ".join(shown.stderr.split())
    assert shown.exit_code == 3
    assert told.endswith(
        f"({status}): what answers at {gateway.url} is no integration dispatcher, it sends "
        "text/html;charset=utf-8. The address comes from DISPATCH_URL: see whether it is right."
    )


def test_an_address_that_goes_on_too_far_is_told(alone):
    """The service knows every path that this program asks for."""
    with always(404, problem(404, detail="There is no such path.")) as gateway:
        shown = alone("config", "ada", DISPATCH_URL=f"{gateway.url}/api/v1")

    assert (shown.exit_code, shown.stderr) == (
        1,
        (
            "error: No (404): There is no such path.\n"
            "The address comes from DISPATCH_URL: see whether it is right.\n"
        ),
    )


def test_nobody_at_the_address(alone):
    """It says where the address comes from."""
    with always(200) as gateway:
        url = gateway.url

    shown = alone("health", DISPATCH_URL=url)

    assert shown.exit_code == 3
    assert shown.stderr == (
        f"error: {url} does not answer: nobody takes the connection.\n"
        "The address comes from DISPATCH_URL: see whether it is right.\n"
        "Or start the service on this machine: make up\n"
    )


def test_nobody_there_and_nothing_configured():
    """It says how to start the service here, and how to say where it is."""
    with always(200) as gateway:
        url = gateway.url

    with pytest.raises(UnreachableFailure) as failure:
        Service(Settings(url, origin="")).get("health")

    assert "`make up`" in failure.value.advice
    assert "export DISPATCH_URL=" in failure.value.advice


def test_a_redirect_is_not_followed(alone):
    """It could lead the credential to somebody else."""
    with (
        always(200, "{}") as elsewhere,
        always(302, "", Location=elsewhere.url) as gateway,
    ):
        shown = alone("health", DISPATCH_URL=gateway.url, DISPATCH_TOKEN="secret")

    assert shown.exit_code == 3
    assert f"redirects to {elsewhere.url}" in shown.stderr
    assert elsewhere.asked == []


@pytest.mark.parametrize("user", ["", ".", ".."])
def test_a_name_that_would_lead_to_another_route_is_refused(alone, user):
    """Dots climb in a path."""
    with always(200, "{}") as gateway:
        shown = alone("override", "reset", user, "--yes", DISPATCH_URL=gateway.url)

    assert (shown.exit_code, gateway.asked) == (2, [])


def test_a_name_with_a_slash_stays_one_name(dispatch, gateway):
    """And is refused by the service as no user."""
    shown = dispatch("config", "a/../b?c")

    assert shown.exit_code == 1
    assert gateway.asked[0][1] == "/api/v1/users/a%2F..%2Fb%3Fc/integration-defaults"
