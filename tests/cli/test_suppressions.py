"""The commands for suppressed addresses."""

from __future__ import annotations

import json

import pytest

from dispatcher import wiring
from dispatcher.configuration.suppressions import suppression_id

DELIVERY_ID = "019ab2c4-7d10-7c3e-9b1f-2a6d8e4f5c01"
EMAIL, NUMBER = "ada@example.com", "+14155552671"
IDS = [suppression_id("SMS", NUMBER), suppression_id("EMAIL", EMAIL)]


@pytest.fixture
def suppressed(dispatch, clock):
    """Two addresses of Ada: her email bounced, and she opted out of text messages."""
    for name, address, state, at in (
        ("EMAIL", EMAIL, "bounced", 1_763_888_400.0),
        ("SMS", NUMBER, "opted_out", 1_763_889_000.0),
    ):
        wiring.suppressions().add(
            *("ada", name, address),
            state=state,
            at=at,
            delivery_id=DELIVERY_ID,
            detail="550 5.1.1 user unknown" if state == "bounced" else "",
        )
    return dispatch


def listed(dispatch):
    """Return the IDs of Ada's suppressions, newest first."""
    found = json.loads(dispatch("suppressions", "list", "ada", "--json").stdout)
    return [one["suppression_id"] for one in found["suppressions"]]


def test_the_list_shows_address_reason_and_time(suppressed):
    """The newest first; the addresses are shortened."""
    result = suppressed("suppressions", "list", "ada", COLUMNS="200")

    rows = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 0, result.output
    assert rows[0] == ["ID", "ADDRESS", "REASON", "SINCE", "DETAIL"]
    assert rows[1][:4] == [IDS[0], "+14•••71", "opted", "out"]
    assert rows[2][:3] == [IDS[1], "a•••@example.com", "bounced"]
    assert result.stdout.splitlines()[2].endswith("550 5.1.1 user unknown")
    assert listed(suppressed) == IDS


def test_one_suppression_is_cleared(suppressed):
    """The other stays; the account list of SES is named for an email address alone."""
    first = suppressed("suppressions", "clear", "ada", IDS[1])
    second = suppressed("suppressions", "clear", "ada", IDS[0])

    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    assert first.stdout == f"Cleared: {IDS[1]}\n"
    assert "aws sesv2 delete-suppressed-destination --email-address" in first.stderr
    assert "sesv2" not in second.output
    assert listed(suppressed) == []


def test_all_suppressions_are_cleared_after_a_confirmation(suppressed):
    """Without --yes the program asks."""
    refused = suppressed("suppressions", "clear", "ada", typed="n\n")
    kept = listed(suppressed)

    result = suppressed("suppressions", "clear", "ada", "--yes", "--json")

    assert refused.exit_code != 0
    assert kept == IDS
    assert json.loads(result.stdout) == {"user_id": "ada", "cleared": IDS}
    assert listed(suppressed) == []


def test_a_user_without_suppressions_is_told_so(dispatch):
    """Neither command fails."""
    results = [
        dispatch("suppressions", "list", "ada"),
        dispatch("suppressions", "clear", "ada", "--yes"),
    ]

    assert {one.stdout for one in results} == {"No address of ada is suppressed.\n"}
    assert {one.exit_code for one in results} == {0}


def test_an_unknown_suppression_is_rejected(suppressed):
    """The exit code tells a script."""
    result = suppressed("suppressions", "clear", "ada", "EMAIL-0000000000000000")

    assert result.exit_code == 1
    assert listed(suppressed) == IDS


def test_the_doctor_explains_a_suppressed_address(suppressed, monkeypatch):
    """With its time; a former address, beside one that is used, explains nothing."""
    monkeypatch.setenv("EMAIL_SENDER", "news@example.com")
    wiring.reset()
    suppressed("override", "set", "ada", "EMAIL", "--config", f"email_address={EMAIL}")
    texts = []
    for address in (EMAIL, "ada@example.org"):
        suppressed("override", "set", "ada", "EMAIL", "--config", f"email_address={address}")
        texts.append(suppressed("doctor", "ada", COLUMNS="200").stdout)

    finding = "EMAIL to a•••@example.com is suppressed, bounced "
    assert [finding in text for text in texts] == [True, False]
    assert "dispatch suppressions list ada" in texts[0]


def test_a_skipped_delivery_leads_to_its_suppression(suppressed, monkeypatch):
    """The reason of a skipped integration names the next step."""
    monkeypatch.setenv("EMAIL_SENDER", "news@example.com")
    wiring.reset()
    suppressed("override", "set", "ada", "EMAIL", "--config", f"email_address={EMAIL}")

    result = suppressed("send", "ada", "Hello", "--type", "EMAIL")

    assert "a message to the address bounced" in result.output
    assert "dispatch suppressions list ada" in result.output
