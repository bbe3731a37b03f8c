"""The commands that read and change overrides."""

from __future__ import annotations

import io
import json

import pytest

from dispatch_cli.failures import RejectedFailure, UsageFailure
from dispatch_cli.run import Run
from tests.cli.server import always

HOOK = "https://hooks.example.com/x"


def stored(dispatch, integration_type="WEBHOOK"):
    """Return the user's override without its times."""
    overrides = json.loads(dispatch("override", "list", "ada", "-o", "json").stdout)["integrations"]
    hidden = ("integration_type", "created_at", "updated_at")
    return {
        override["integration_type"]: {
            name: value for name, value in override.items() if name not in hidden
        }
        for override in overrides
    }.get(integration_type)


def test_set_shows_the_signing_secret_only_once(dispatch):
    """Only the creation shows the signing secret; headers can come from a pipe."""
    created = dispatch(
        *("override", "set", "ada", "webhook", "--url", HOOK, "--method", "PUT"),
        *("--header", "X-A: b", "--header", "@-", "--priority", "1", "--retry-count", "3"),
        typed="Authorization: Bearer secret\n",
    )
    changed = dispatch("override", "set", "ada", "webhook", "--retry-count", "4")

    assert created.exit_code == changed.exit_code == 0
    assert "shown only once" in created.stdout
    assert "whsec_" in created.stdout
    assert "whsec_" not in changed.stdout
    assert "Bearer" not in created.output
    assert stored(dispatch) == {
        "enabled": True,
        "priority": 1,
        "retry_count": 4,
        "config": {
            "url": HOOK,
            "method": "PUT",
            "headers": {"X-A": "***", "Authorization": "***"},
        },
    }


def test_set_keeps_the_other_keys_of_a_config(dispatch):
    """Other keys are sent again with a PUT, and a *** keeps the stored secret."""
    dispatch("override", "set", "ada", "WEBHOOK", "--url", HOOK, "--header", "X-A: b")

    dispatch("override", "set", "ada", "WEBHOOK", "--header", "X-C: d", "--config", "method=PATCH")

    assert stored(dispatch) == {
        "enabled": True,
        "config": {"url": HOOK, "method": "PATCH", "headers": {"X-A": "***", "X-C": "***"}},
    }


def test_a_header_is_replaced_in_any_case(dispatch):
    """Header names are case-insensitive."""
    dispatch("override", "set", "ada", "WEBHOOK", "--url", HOOK, "--header", "X-Key: b")

    result = dispatch("override", "set", "ada", "WEBHOOK", "--header", "x-key: c")

    assert result.exit_code == 0
    assert stored(dispatch)["config"] == {"url": HOOK, "headers": {"x-key": "***"}}


@pytest.mark.parametrize(
    ("given", "headers"),
    [
        ((), "headers X-Key, X-Other are"),
        (("--header", "X-Other: d"), "header X-Key is"),
    ],
)
def test_a_secret_header_is_not_sent_to_another_receiver(dispatch, given, headers):
    """The error explains the rejected ***, which the user never wrote."""
    secrets = ("--header", "X-Key: b", "--header", "X-Other: c")
    dispatch("override", "set", "ada", "WEBHOOK", "--url", HOOK, *secrets)

    url = "https://elsewhere.example.com/x"
    result = dispatch("override", "set", "ada", "WEBHOOK", "--url", url, *given)

    assert result.exit_code == 1
    assert " ".join(result.stderr.split()).endswith(
        f"The address belongs to another receiver, so the secret {headers} not sent there. "
        f"To send the values there: dispatch override set ada WEBHOOK --url {url} "
        "--header 'X-Key: VALUE' --header 'X-Other: VALUE' "
        "To remove the stored ones first: dispatch override unset ada WEBHOOK headers"
    )
    assert "***" not in result.stderr
    assert stored(dispatch)["config"]["url"] == HOOK


def test_unset_restores_single_fields_or_deletes_the_override(dispatch):
    """Fields and config keys are restored; without any, the override is deleted."""
    dispatch(
        *("override", "set", "ada", "TEST", "--priority", "9", "--retry-count", "2"),
        *("--config", "fail_attempts=1", "--config", "latency_ms=5"),
    )

    unknown = dispatch("override", "unset", "ada", "TEST", "failure")
    some = dispatch("override", "unset", "ada", "TEST", "priority", "latency_ms")
    left = stored(dispatch, "TEST")
    rest = dispatch("override", "unset", "ada", "TEST")

    assert [result.exit_code for result in (unknown, some, rest)] == [1, 0, 0]
    assert left == {"enabled": True, "retry_count": 2, "config": {"fail_attempts": 1}}
    assert stored(dispatch, "TEST") is None


@pytest.mark.parametrize(
    ("words", "name", "setting"),
    [
        (("unset", "ada", "test"), "TEST", "--enable"),
        (("unset", "ada", "TEST", "priority"), "TEST", "--enable"),
        (("rotate-secret", "ada"), "WEBHOOK", "--url URL"),
    ],
)
def test_a_missing_override_is_explained_by_a_command(dispatch, words, name, setting):
    """The error names the command that creates the override, not the HTTP method."""
    result = dispatch("override", *words)

    assert (result.exit_code, result.stderr) == (
        1,
        (
            f"error: ada has no override for {name}.\n"
            f"To create one: dispatch override set ada {name} {setting}\n"
        ),
    )


def test_reset_needs_a_confirmation(dispatch):
    """Without a terminal and without --yes, nothing is deleted."""
    dispatch("override", "set", "ada", "TEST", "--priority", "9")

    unsure = dispatch("override", "reset", "ada", typed="y\n")
    remaining = stored(dispatch, "TEST")
    sure = dispatch("override", "reset", "ada", "--yes")

    assert (unsure.exit_code, remaining is not None) == (2, True)
    assert "To confirm it: dispatch override reset ada --yes\n" in unsure.stderr
    assert sure.exit_code == 0
    assert sure.stdout == "Deleted: TEST\n"
    assert stored(dispatch, "TEST") is None


class Terminal(io.StringIO):
    """A standard input that is a terminal."""

    def isatty(self):
        """Return true."""
        return True


@pytest.mark.parametrize(("typed", "sure"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_only_yes_confirms(monkeypatch, typed, sure):
    """Only y and yes confirm; with --no-input there is no question."""
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    run = Run(environ={})

    if sure:
        run.confirm("Really?", "", sure=False)
    else:
        with pytest.raises(RejectedFailure, match="nothing was changed"):
            run.confirm("Really?", "", sure=False)
    run.may_ask = False
    with pytest.raises(UsageFailure, match="There is no terminal"):
        run.confirm("Really?", "", sure=False)


def test_rotate_secret_shows_the_new_secret(dispatch):
    """The output has the new secret and the end of the previous secret's validity."""
    dispatch("override", "set", "ada", "WEBHOOK", "--url", HOOK)

    result = dispatch("override", "rotate-secret", "ada")

    assert result.exit_code == 0
    assert "whsec_" in result.stdout
    assert "The previous secret remains valid until 20" in result.stdout


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--config", "no-equals-sign"),
        ("--header", "no colon"),
        ("--header", "@/nowhere"),
    ],
)
def test_invalid_options_are_not_sent(alone, words):
    """Wrong usage has exit code 2, and no request is sent."""
    with always(200, "{}") as gateway:
        result = alone("override", "set", "ada", "WEBHOOK", *words, DISPATCH_URL=gateway.url)

    assert (result.exit_code, gateway.requests) == (2, [])
