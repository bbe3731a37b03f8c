"""Each printed command runs as it is printed, and reaches the same service."""

from __future__ import annotations

import json
import re
from shlex import split

import pytest

from dispatch_cli import words
from dispatch_cli.diagnosis import findings
from tests.cli.conftest import PROGRAM
from tests.cli.server import always
from tests.cli.test_diagnosis import ENABLED, HEALTHY, NOW, delivery
from tools.paths import ROOT

HINT = re.compile(r": (dispatch .*)$", re.MULTILINE)

TYPES = ("SLACK", "EMAIL", "WEBHOOK", "SMS", "TEST", "CLI", "TOOL")


def parse(command):
    """Parse a command as the program does, and return its global options and its context."""
    program, *arguments = split(command)
    assert program == "dispatch"
    group = PROGRAM
    context = group.make_context("dispatch", arguments)
    options = context.params
    rest = [*context._protected_args, *context.args]
    while hasattr(group, "commands"):
        name, group, rest = group.resolve_command(context, rest)
        context = group.make_context(name, rest, parent=context)
        rest = [*context._protected_args, *context.args]
    return options, context


def hints(text):
    """Return the commands in a text, and check that no line hides another one."""
    found = HINT.findall(text)
    for line in text.splitlines():
        assert line.count("dispatch ") <= 1 or HINT.search(line), line
    return found


HTTP = [f"http_{status}" for status in (400, 401, 404, 405, 413, 418, 503)]


@pytest.mark.parametrize("integration_type", TYPES)
@pytest.mark.parametrize("code", [*words.CODES, *words.SLACK, *HTTP, "smtp_421", "smtp_550"])
def test_the_next_step_of_each_error_code_runs(code, integration_type):
    """The advice for each code and integration is a complete command, without a placeholder."""
    advice = words.code(code).about("auth0|ada", integration_type).advice

    assert not re.search(r"…|\b(USER|TYPE)\b", advice)
    for command in hints(advice):
        parse(command)
    if integration_type not in words.ADDRESSES:
        assert "correct the address" not in advice


@pytest.mark.parametrize("integration_type", ["SLACK", "EMAIL", "SMS", "TOOL"])
@pytest.mark.parametrize("code", ["timeout", "dns_failed", "connection_failed", "http_503"])
def test_only_the_receiver_of_a_webhook_is_the_users(code, integration_type):
    """No user can correct the host of Slack, of the mail server or of AWS: an operator can."""
    about = words.code(code).about("ada", integration_type)

    assert about.advice == words.CHECK_PROVIDER


@pytest.mark.parametrize("configured", [True, False])
@pytest.mark.parametrize("reason", words.REASONS)
def test_the_next_step_of_each_reason_runs(reason, configured):
    """The advice for each reason is complete, alone and in a group."""
    health = {"integrations": {name: {"configured": configured} for name in TYPES}}
    configuration = {"disabled_integrations": dict.fromkeys(TYPES, reason), "user_overrides": {}}
    pages = [
        words.grouped("ada", words.disabled(configuration, health)),
        words.grouped("ada", {name: words.skipped(reason, name, health) for name in TYPES}),
    ]

    for page in pages:
        for _, (meaning, advice) in page:
            assert not re.search(r"…|\b(USER|TYPE)\b", meaning + advice)
            for command in hints(advice):
                parse(command)


@pytest.mark.parametrize("status", ["pending", "success", "failed", "skipped"])
def test_the_next_step_of_each_finding_runs(status):
    """The advice of a diagnosis is made of complete commands."""
    for code in (None, *words.CODES):
        found = findings("ada", ENABLED, [delivery(status, error_code=code)], HEALTHY, NOW)
        for command in hints("\n".join(finding.advice for finding in found)):
            parse(command)


COMMANDS = [
    "send auth0|ada Hello --type SMS --subject 'It is $ready' --var a=b",
    "send ada Hello --type TEST",
    "send ada Hello --type TEST --wait --timeout 0",
    "send ada Hello --type TEST --request-id -x",
    "test ada SLACK",
    "history grace",
    "history ada --limit 1",
    "history ada --limit 1 --status pending --type TEST",
    "request ada none",
    "request ada failed",
    "retry ada 00000000-0000-7000-8000-000000000001",
    "recover ada --since 2h",
    "recover ada --since yesterday",
    "config grace",
    "doctor grace",
    "doctor ada",
    "doctor ada --request none",
    "doctor skipped",
    "override list ada",
    "suppressions list ada",
    "suppressions clear ada",
    "suppressions clear ada EMAIL-9f86d081884c7d65",
    "override set ada CLI",
    "override unset ada TEST nothing",
    "override unset ada WEBHOOK",
    "override reset ada",
    "override rotate-secret ada",
    "dead-letters list",
    "dead-letters purge",
    "--profile none health",
    "login ftp://example.com",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_next_step_of_each_command_runs(dispatch, service, gateway, command):
    """Each hint is parsed by the program, and names the service as the user did."""
    for field in ("failure=permanent", "fail_attempts=9"):
        dispatch("override", "set", "ada", "TEST", "--config", field)
    dispatch("send", "ada", "Hello", "--request-id", "failed")
    dispatch("send", "ada", "Hello", "--type", "TEST")
    dispatch("send", "skipped", "Hello", "--type", "SMS", "--request-id", "other")
    service.deliver()
    dispatch("send", "ada", "Hello", "--request-id=-x", "--type", "TEST")
    url = ("--url", gateway.url) if not command.startswith(("--", "login")) else ()

    output = dispatch(*url, *split(command)).output

    for hint in hints(output):
        options, _ = parse(hint)
        assert options["url"] == (gateway.url if url else None), hint


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500, 503, 302])
@pytest.mark.parametrize("command", ["send ada Hello", "config ada", "test ada CLI --wait"])
def test_the_next_step_of_each_error_runs(alone, tmp_path, status, command):
    """Each hint of an error response is parsed, also with a profile."""
    with always(status, json.dumps({"title": "No", "status": status})) as gateway:
        file = tmp_path / ".config/dispatch/config.toml"
        with always(200, '{"default_integrations": {}}') as fine:
            alone("login", fine.url, "--profile", "my prod", typed="key\n")
        file.write_text(file.read_text().replace(fine.url, gateway.url))
        profile = alone("--profile", "my prod", *split(command)).stderr
        environment = alone(*split(command), DISPATCH_URL=gateway.url).stderr

    for hint in hints(profile):
        options, context = parse(hint)
        named = context.params.get("profile") or options["profile"]
        assert named == "my prod", hint
    for hint in hints(environment):
        parse(hint)


def test_the_commands_in_the_documentation_are_parsed():
    """Each command of the page is one that the program accepts."""
    text = (ROOT / "docs" / "command-line.md").read_text().partition("## Reference\n")[0]

    commands = re.findall(r"^dispatch .*$", text, re.MULTILINE)
    assert commands
    for command in commands:
        parse(command.partition(" | ")[0])
