"""Every error code and reason of the service has words and a next step."""

from __future__ import annotations

import re

import pytest

from dispatch_cli import words
from dispatch_cli.words import CODES, REASONS
from dispatcher.configuration import resolution, selection
from tests.documents import rows


def test_every_documented_error_code_has_words():
    """The error codes are exactly those of the operator's handbook."""
    documented = {
        code
        for cells in rows("docs/operations.md", "Error codes")
        for code in re.findall(r"`(\w+)`", cells[0])
    }

    assert documented - {"http_NNN"} == CODES.keys()


def test_every_reason_has_words():
    """The reasons are those of the effective configuration, of categories and of holds."""
    names = {
        resolution.DISABLED_BY_DEFAULT,
        resolution.DISABLED_BY_USER,
        resolution.DISABLED_BY_RECEIVER,
        resolution.DISABLED_AFTER_FAILURES,
        resolution.NOT_CONFIGURED,
        selection.CATEGORY_DISABLED_BY_USER,
        selection.CATEGORY_DISABLED_BY_DEFAULT,
        *selection.ADDRESS_REASONS,
        selection.EXPIRES_WHILE_HELD,
    }

    assert names == REASONS.keys()


def test_every_http_status_has_words():
    """Known statuses, other statuses, and the codes of a newer service have a meaning."""
    assert [words.code(name).meaning for name in ("http_503", "http_410", "http_418", "new")] == [
        "the receiver has a server error (HTTP 503)",
        "the receiver is gone permanently (HTTP 410)",
        "the receiver rejected it (HTTP 418)",
        "new",
    ]


def test_integrations_with_the_same_reason_are_grouped():
    """A group has one command for each of its integrations."""
    default, new = words.reason("disabled_by_default"), words.reason("new")
    command = "To enable it: dispatch override set ada"

    grouped = words.grouped("ada", {"SMS": default, "EMAIL": new, "TOOL": default})
    single = words.grouped("ada", {"SMS": default})

    assert grouped == [
        ("SMS, TOOL", (default.meaning, f"{command} SMS --enable\n{command} TOOL --enable")),
        ("EMAIL", ("new", "")),
    ]
    assert single == [("SMS", (default.meaning, f"{command} SMS --enable"))]


def disabled(reasons, overrides=None, *, configured=True):
    """Return types, meaning and command of each group of disabled integrations."""
    configuration = {"disabled_integrations": reasons, "user_overrides": overrides or {}}
    health = {"integrations": {name: {"configured": configured} for name in reasons}}
    grouped = words.grouped("ada", words.disabled(configuration, health))
    return [(types, meaning, advice.partition(": ")[2]) for types, (meaning, advice) in grouped]


@pytest.mark.parametrize("reason", ["disabled_by_default", "disabled_by_user"])
def test_a_webhook_without_a_url_is_enabled_with_one(reason):
    """The service rejects an enabled webhook without a URL; a stored URL is kept."""
    command = "dispatch override set ada WEBHOOK --enable"

    without_url = disabled({"WEBHOOK": reason})
    with_url = disabled(
        {"WEBHOOK": reason}, {"WEBHOOK": {"config": {"url": "https://example.com"}}}
    )

    meaning = words.reason(reason).meaning
    assert without_url == [("WEBHOOK", meaning, f"{command} --url URL")]
    assert with_url == [("WEBHOOK", meaning, command)]


def test_not_configured_precedes_disabled_by_default():
    """No user can enable an integration that is not configured; an opt-out stays an opt-out."""
    reasons = {"SMS": "disabled_by_default", "EMAIL": "not_configured", "SLACK": "disabled_by_user"}

    assert disabled(reasons, configured=False) == [
        ("SMS, EMAIL", "not configured on this system", "docs/integrations.md"),
        ("SLACK", "the user has opted out", "dispatch override set ada SLACK --enable"),
    ]


@pytest.mark.parametrize(
    ("configured", "meaning"),
    [(False, "not configured on this system"), (True, "disabled by default")],
)
def test_a_skipped_integration_has_the_words_of_the_configuration(configured, meaning):
    """A skip reason and a configuration reason have the same words."""
    health = {"integrations": {"SMS": {"configured": configured}}}

    assert words.skipped("disabled_by_default", "SMS", health).meaning == meaning


@pytest.mark.parametrize(
    ("integration_type", "address"),
    [("WEBHOOK", "--url URL"), ("EMAIL", "--config email_address=ADDRESS")],
)
def test_the_address_is_corrected_by_a_complete_command(integration_type, address):
    """The command has the option that sets the address of this type."""
    advice = words.code("invalid_address").about("ada", integration_type).advice

    assert (
        advice == f"To correct the address: dispatch override set ada {integration_type} {address}"
    )
