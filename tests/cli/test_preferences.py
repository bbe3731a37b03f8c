"""The commands for preferences and categories, and those that docs/preferences.md shows."""

from __future__ import annotations

import json
import re
from shlex import split

import pytest

from dispatcher import wiring
from tools.paths import ROOT

PAGE = (ROOT / "docs" / "preferences.md").read_text()


def stored(dispatch):
    """Return Ada's preferences."""
    return json.loads(dispatch("preferences", "show", "ada", "--json").stdout)


def test_every_command_of_the_page_runs_in_its_order(dispatch, clock):
    """A reader can paste the page from top to bottom, once the category is there."""
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    commands = [split(line)[1:] for block in blocks for line in block.splitlines()]

    assert len(commands) > 10
    for command in commands:
        result = dispatch(*command)
        assert result.exit_code == 0, (command, result.output)


def test_set_keeps_what_it_does_not_name(dispatch, clock):
    """Windows are replaced, the held integrations and other choices stay."""
    dispatch("categories", "set", "news", "--title", "News")
    dispatch("preferences", "set", "ada", "--hours", "mon-wed 08:00-18:00", "--hold", "EMAIL")
    dispatch("preferences", "set", "ada", "--category", "news.EMAIL=off")

    result = dispatch(
        *("preferences", "set", "ada", "--hours", "sat,sun 10:00-24:00"),
        *("--category", "news=on", "--language", "de"),
    )

    assert result.exit_code == 0, result.output
    preferences = stored(dispatch)
    window = {"days": ["sat", "sun"], "from": "10:00", "to": "24:00"}
    assert preferences["hours"] == {"windows": [window], "integrations": ["EMAIL"]}
    choice = {"enabled": True, "integrations": {"EMAIL": False}}
    assert (preferences["categories"], preferences["language"]) == ({"news": choice}, "de")


def test_a_mute_lasts_for_a_span_or_until_a_time(dispatch, clock):
    """``tomorrow`` is the next midnight; unmute ends it."""
    ends = []
    for option in (("--for", "90m"), ("--until", "tomorrow"), ("--until", "2026-11-25T08:00:00Z")):
        assert dispatch("preferences", "mute", "ada", *option).exit_code == 0
        ends.append(stored(dispatch)["muted_until"])
    dispatch("preferences", "unmute", "ada")

    assert ends == [
        "2026-11-23T11:00:00.000Z",
        "2026-11-24T00:00:00.000Z",
        "2026-11-25T08:00:00.000Z",
    ]
    assert stored(dispatch)["muted_until"] is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("mute", "ada"), "Give one of --for and --until."),
        (("mute", "ada", "--for", "1h", "--until", "tomorrow"), "Give one of"),
        (("mute", "ada", "--for", "soon"), "--for: 'soon' is not a duration."),
        (("set", "ada"), "No option is given."),
        (("set", "ada", "--hours", "8-18"), "--hours: '8-18' is not a window."),
        (("set", "ada", "--category", "news=maybe"), "--category: 'maybe' is not a switch."),
        (("set", "ada", "--time-zone", "Berlin"), "--time-zone: must be the name"),
        (("set", "ada", "--category", "none=off"), "is not a known category"),
    ],
)
def test_wrong_usage_is_explained(dispatch, clock, arguments, text):
    """The error names the option."""
    result = dispatch("preferences", *arguments)

    assert result.exit_code != 0
    assert text in " ".join(result.output.split())


def test_doctor_and_history_explain_holds_locks_and_ignored_settings(dispatch, clock, service):
    """Each of them is shown with its time or its category."""
    dispatch("categories", "set", "news", "--title", "News")
    dispatch("preferences", "set", "ada", "--category", "news=off", "--hold", "TEST")
    dispatch("categories", "set", "news", "--locked", "--reach-by", "EMAIL")
    wiring.reset()  # as if the copy of the categories were 30 s old
    dispatch("preferences", "mute", "ada", "--for", "2h")
    dispatch("send", "ada", "Hello")

    page = " ".join(dispatch("doctor", "ada").stdout.split())
    history = " ".join(dispatch("history", "ada").stdout.split())

    assert "TEST is held, due in 2 h: Muted until Mon 23 Nov 11:30 (UTC)." in page
    assert "dispatch preferences unmute ada" in page
    assert "The setting enabled for news has no effect: operators locked this category." in page
    assert "held until 2026-11-23 11:30:00 UTC" in history


def test_a_retry_can_ignore_a_mute(dispatch, clock, service):
    """``--now`` asks for a round that is not held."""
    dispatch(
        "override", "set", "ada", "TEST", "--retry-count", "0", "--config", "failure=permanent"
    )
    sent = json.loads(dispatch("send", "ada", "Hello", "--json").stdout)
    service.deliver()
    dispatch("preferences", "set", "ada", "--hold", "TEST")
    dispatch("preferences", "mute", "ada", "--for", "2h")

    delivery_id = sent["deliveries"][0]["delivery_id"]
    assert dispatch("retry", "ada", delivery_id, "--now").exit_code == 0
    history = json.loads(dispatch("history", "ada", delivery_id, "--json").stdout)

    assert (history["status"], history["held"]) == ("pending", None)


def test_doctor_explains_a_delivery_that_exists_only_because_of_a_lock(
    dispatch, clock, service, monkeypatch
):
    """The user disabled EMAIL, but the locked category still uses it."""
    monkeypatch.setenv("SMTP_HOST", "mail.example.com")
    wiring.reset()
    lock = ("--locked", "--reach-by", "EMAIL")
    dispatch("categories", "set", "security", "--title", "Security", *lock)
    dispatch("override", "set", "ada", "EMAIL", "--disable")
    sent = dispatch(
        *("send", "ada", "A new key", "--category", "security", "--email", "ada@example.com"),
        "--json",
    )

    page = " ".join(dispatch("doctor", "ada").stdout.split())

    [email] = [
        one for one in json.loads(sent.stdout)["deliveries"] if one["integration_type"] == "EMAIL"
    ]
    assert email["locked"] is True
    assert "EMAIL is used" in page
    reason = "the category security is locked, and nothing else reaches the user."
    assert f"although it is disabled: {reason}" in page
