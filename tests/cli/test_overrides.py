"""Settings of a user's own."""

from __future__ import annotations

import io
import json

import pytest

from dispatch_cli.failures import RefusedFailure, UsageFailure
from dispatch_cli.run import Run
from tests.cli.server import always

HOOK = "https://hooks.example.com/x"


def stored(dispatch, integration_type="WEBHOOK"):
    """Return what the user has set, without its times."""
    shown = json.loads(dispatch("override", "list", "ada", "-o", "json").stdout)["integrations"]
    hidden = ("integration_type", "created_at", "updated_at")
    return {
        one["integration_type"]: {name: one[name] for name in one if name not in hidden}
        for one in shown
    }.get(integration_type)


def test_set_creates_and_shows_the_signing_secret_this_once(dispatch):
    """Headers can come from a pipe, where no list of processes shows them."""
    made = dispatch(
        *("override", "set", "ada", "webhook", "--url", HOOK, "--method", "PUT"),
        *("--header", "X-A: b", "--header", "@-", "--priority", "1", "--retry-count", "3"),
        typed="Authorization: Bearer secret\n",
    )
    changed = dispatch("override", "set", "ada", "webhook", "--retry-count", "4")

    assert made.exit_code == changed.exit_code == 0
    assert "shown only this once" in made.stdout
    assert "whsec_" in made.stdout
    assert "whsec_" not in changed.stdout
    assert "Bearer" not in made.output
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


def test_set_leaves_the_rest_of_a_config_as_it_is(dispatch):
    """Though a PUT replaces it whole: what is read back as *** stays what it is."""
    dispatch("override", "set", "ada", "WEBHOOK", "--url", HOOK, "--header", "X-A: b")

    dispatch("override", "set", "ada", "WEBHOOK", "--header", "X-C: d", "--config", "method=PATCH")

    assert stored(dispatch) == {
        "enabled": True,
        "config": {"url": HOOK, "method": "PATCH", "headers": {"X-A": "***", "X-C": "***"}},
    }


def test_a_header_is_written_over_in_any_spelling(dispatch):
    """To the network it is one name."""
    dispatch("override", "set", "ada", "WEBHOOK", "--url", HOOK, "--header", "X-Key: b")

    shown = dispatch("override", "set", "ada", "WEBHOOK", "--header", "x-key: c")

    assert shown.exit_code == 0
    assert stored(dispatch)["config"] == {"url": HOOK, "headers": {"x-key": "***"}}


@pytest.mark.parametrize(
    ("given", "told", "again"),
    [
        ((), "headers X-Key, X-Other are", "--header 'X-Key: …' --header 'X-Other: …'"),
        (("--header", "x-other: d"), "header X-Key is", "--header 'X-Key: …'"),
    ],
)
def test_a_secret_header_does_not_follow_to_another_receiver(dispatch, given, told, again):
    """The person never wrote the *** that the service speaks of."""
    headers = ("--header", "X-Key: b", "--header", "X-Other: c")
    dispatch("override", "set", "ada", "WEBHOOK", "--url", HOOK, *headers)

    url = "https://elsewhere.example.com/x"
    shown = dispatch("override", "set", "ada", "WEBHOOK", "--url", url, *given)

    assert shown.exit_code == 1
    assert " ".join(shown.stderr.split()).endswith(
        f"The address is another receiver's, so the secret {told} not sent there by itself. "
        f"Give it again: {again} "
        "Or drop it first: dispatch override unset ada WEBHOOK headers"
    )
    assert "***" not in shown.stderr
    assert stored(dispatch)["config"]["url"] == HOOK


def test_unset_gives_single_settings_back_and_then_all(dispatch):
    """Fields and keys of config; without any, the override is gone."""
    dispatch(
        *("override", "set", "ada", "TEST", "--priority", "9", "--retry-count", "2"),
        *("--config", "fail_attempts=1", "--config", "latency_ms=5"),
    )

    unknown = dispatch("override", "unset", "ada", "TEST", "failure")
    some = dispatch("override", "unset", "ada", "TEST", "priority", "latency_ms")
    left = stored(dispatch, "TEST")
    rest = dispatch("override", "unset", "ada", "TEST")

    assert [one.exit_code for one in (unknown, some, rest)] == [1, 0, 0]
    assert left == {"enabled": True, "retry_count": 2, "config": {"fail_attempts": 1}}
    assert stored(dispatch, "TEST") is None


@pytest.mark.parametrize(
    ("words", "name", "setting"),
    [
        (("unset", "ada", "test"), "TEST", "--enable"),
        (("unset", "ada", "TEST", "priority"), "TEST", "--enable"),
        (("rotate-secret", "ada"), "WEBHOOK", "--url https://…"),
    ],
)
def test_what_is_not_set_is_told_with_the_command_that_sets_it(dispatch, words, name, setting):
    """And not with the verb of HTTP."""
    shown = dispatch("override", *words)

    assert (shown.exit_code, shown.stderr) == (
        1,
        (
            f"error: ada has set nothing for {name}.\n"
            f"To set something: dispatch override set ada {name} {setting}\n"
        ),
    )


def test_reset_asks_first_and_where_nobody_can_be_asked_does_nothing(dispatch):
    """--yes is the answer of a script."""
    dispatch("override", "set", "ada", "TEST", "--priority", "9")

    unsure = dispatch("override", "reset", "ada", typed="y\n")
    kept = stored(dispatch, "TEST")
    sure = dispatch("override", "reset", "ada", "--yes")

    assert (unsure.exit_code, kept is not None) == (2, True)
    assert "add --yes" in unsure.stderr
    assert sure.exit_code == 0
    assert sure.stdout == "ada has the defaults. Removed: TEST\n"
    assert stored(dispatch, "TEST") is None


class Terminal(io.StringIO):
    """Somebody sits there."""

    def isatty(self):
        """Say so."""
        return True


@pytest.mark.parametrize(("typed", "sure"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_whoever_is_asked_decides(monkeypatch, typed, sure):
    """Only yes is yes; and with --no-input nobody is asked."""
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    run = Run(environ={})

    if sure:
        run.confirm("Really?", sure=False)
    else:
        with pytest.raises(RefusedFailure, match="Nothing was done"):
            run.confirm("Really?", sure=False)
    run.may_ask = False
    with pytest.raises(UsageFailure, match="Nobody can be asked"):
        run.confirm("Really?", sure=False)


def test_a_rotated_secret_is_shown(dispatch):
    """With the time until which the one before is good."""
    dispatch("override", "set", "ada", "WEBHOOK", "--url", HOOK)

    shown = dispatch("override", "rotate-secret", "ada")

    assert shown.exit_code == 0
    assert "whsec_" in shown.stdout
    assert "The one before is good until 20" in shown.stdout


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--config", "no-equals-sign"),
        ("--header", "no colon"),
        ("--header", "@/nowhere"),
    ],
)
def test_what_cannot_be_read_is_not_sent(alone, words):
    """Wrong usage: 2, and the service is not asked."""
    with always(200, "{}") as gateway:
        shown = alone("override", "set", "ada", "WEBHOOK", *words, DISPATCH_URL=gateway.url)

    assert (shown.exit_code, gateway.asked) == (2, [])
