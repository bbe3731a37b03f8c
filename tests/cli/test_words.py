"""Every code and reason of the service has words, and the words are about something."""

from __future__ import annotations

import re

import pytest

from dispatch_cli import words
from dispatch_cli.words import CODES, REASONS
from dispatcher.configuration import resolution
from tests.documents import rows


def test_every_code_that_the_documents_name_has_words():
    """And no other has."""
    told = {
        code
        for cells in rows("docs/operations.md", "Error codes")
        for code in re.findall(r"`(\w+)`", cells[0])
    }

    assert told - {"http_NNN"} == CODES.keys()


def test_every_reason_has_words():
    """Those of the effective configuration, and of what a send skips."""
    names = {
        resolution.DISABLED_BY_DEFAULT,
        resolution.DISABLED_BY_USER,
        resolution.DISABLED_BY_RECEIVER,
        resolution.NOT_CONFIGURED,
        "no_address",
    }

    assert names == REASONS.keys()


def test_a_status_of_http_is_put_in_words():
    """Known ones, families, and what only a newer service knows."""
    assert [words.code(name).meaning for name in ("http_503", "http_410", "http_418", "new")] == [
        "the receiver is in trouble (HTTP 503)",
        "the receiver is gone for good (HTTP 410)",
        "the receiver refused it (HTTP 418)",
        "new",
    ]


def test_what_has_the_same_reason_is_told_together():
    """A single one by its name, so that its command can be copied."""
    off, new = words.reason("disabled_by_default"), words.reason("new")
    asked = "To ask for it: dispatch override set ada"

    told = words.together("ada", {"SMS": off, "EMAIL": new, "TOOL": off})
    alone = words.together("ada", {"SMS": off})

    assert told == [
        ("SMS, TOOL", (off.meaning, f"{asked} TYPE --enable")),
        ("EMAIL", ("new", "")),
    ]
    assert alone == [("SMS", (off.meaning, f"{asked} SMS --enable"))]


def unused(reasons, overrides=None, *, configured=True):
    """Return the commands that are told for integrations which are off."""
    configuration = {"disabled_integrations": reasons, "user_overrides": overrides or {}}
    health = {"integrations": {name: {"configured": configured} for name in reasons}}
    told = words.together("ada", words.unused(configuration, health))
    return [(types, meaning, advice.partition(": ")[2]) for types, (meaning, advice) in told]


@pytest.mark.parametrize("reason", ["disabled_by_default", "disabled_by_user"])
def test_a_webhook_without_an_address_is_switched_on_with_one(reason):
    """The service refuses to enable it without; one that has an address keeps it."""
    command = "dispatch override set ada WEBHOOK --enable"

    fresh = unused({"WEBHOOK": reason})
    known = unused({"WEBHOOK": reason}, {"WEBHOOK": {"config": {"url": "https://example.com"}}})

    meaning = words.reason(reason).meaning
    assert fresh == [("WEBHOOK", meaning, f"{command} --url https://…")]
    assert known == [("WEBHOOK", meaning, command)]


def test_what_nobody_configured_is_told_so_whatever_its_default():
    """No user can switch it on; an opt-out is the user's own and stays one."""
    reasons = {"SMS": "disabled_by_default", "EMAIL": "not_configured", "SLACK": "disabled_by_user"}

    told = unused(reasons, configured=False)

    assert told == [
        ("SMS, EMAIL", "not configured on this system", ""),
        ("SLACK", "the user has opted out", "dispatch override set ada SLACK --enable"),
    ]


@pytest.mark.parametrize(
    ("configured", "meaning"),
    [(False, "not configured on this system"), (True, "off unless a user asks for it")],
)
def test_a_skipped_integration_is_told_as_the_configuration_tells_it(configured, meaning):
    """One reason, wherever it is asked for."""
    health = {"integrations": {"SMS": {"configured": configured}}}

    assert words.skipped("disabled_by_default", "SMS", health).meaning == meaning


@pytest.mark.parametrize(
    ("integration_type", "address"),
    [("WEBHOOK", "--url https://…"), ("EMAIL", "--config email_address=…")],
)
def test_a_wrong_address_is_corrected_by_a_whole_command(integration_type, address):
    """With the option that takes it."""
    advice = words.code("invalid_address").about("ada", integration_type).advice

    assert advice == f"Correct the address: dispatch override set ada {integration_type} {address}"
