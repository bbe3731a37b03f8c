"""Suppressed addresses, as a caller sees them: over the real handlers and the real tables."""

from __future__ import annotations

import boto3
import pytest

from dispatcher import wiring
from dispatcher.access.policy import READ, SEND, WRITE, Caller
from dispatcher.configuration.suppressions import suppression_id

ADA = {"user_id": "ada"}
OLD, NEW = "ada@example.com", "ada@example.org"
IDENTITY = suppression_id("EMAIL", OLD)
DELIVERY_ID = "019ab2c4-7d10-7c3e-9b1f-2a6d8e4f5c01"


@pytest.fixture
def office(service, monkeypatch):
    """Only EMAIL reaches Ada."""
    monkeypatch.setenv("EMAIL_SENDER", "news@example.com")
    wiring.reset()
    return service


def bounce(address=OLD, at=1_795_800_000.0):
    """Suppress an address of Ada's, as the report of a bounce does."""
    return wiring.suppressions().add(
        "ada", "EMAIL", address, state="bounced", at=at, delivery_id=DELIVERY_ID, detail="550 5.1.1"
    )


def address(service, value):
    """Give Ada's EMAIL another address."""
    body = {"config": {"email_address": value}}
    status, _ = service.ask("create_override", {"integration_type": "EMAIL", **body}, **ADA)
    if status == 409:
        status, _ = service.ask("update_override", body, integration_type="EMAIL", **ADA)
    assert status in {200, 201}


def email(service):
    """Send over EMAIL; return the reason why it is skipped, ``None`` if it is not."""
    body = {"content": "x", "integration_types": ["EMAIL"]}
    status, answer = service.ask("send_message", body, **ADA)
    assert status == 202
    return answer["skipped"][0]["reason"] if answer["skipped"] else None


def rows():
    """Return the rows of the overrides table."""
    return boto3.client("dynamodb").scan(TableName="OverridesTable")["Items"]


def test_a_suppressed_address_is_skipped_until_it_changes_or_is_cleared(office):
    """A new address is used immediately, and the old one again once its suppression is deleted."""
    address(office, OLD)
    seen = [email(office)]
    bounce()
    seen.append(email(office))
    address(office, NEW)
    seen.append(email(office))
    address(office, OLD)
    seen.append(email(office))

    status, body = office.ask("delete_suppression", suppression_id=IDENTITY, **ADA)

    assert (status, body) == (204, None)
    assert [*seen, email(office)] == [None, "address_bounced", None, "address_bounced", None]


def test_the_list_shows_what_is_suppressed_and_why(service):
    """The address is shortened; a user without suppressions has an empty list."""
    bounce()

    answers = [service.ask("list_suppressions", user_id=user) for user in ("ada", "bob")]

    assert answers == [
        (
            200,
            {
                "user_id": "ada",
                "suppressions": [
                    {
                        "suppression_id": IDENTITY,
                        "integration_type": "EMAIL",
                        "state": "bounced",
                        "address": "a•••@example.com",
                        "at": "2026-11-27T17:20:00.000Z",
                        "delivery_id": DELIVERY_ID,
                        "detail": "550 5.1.1",
                    }
                ],
            },
        ),
        (200, {"user_id": "bob", "suppressions": []}),
    ]
    assert len(rows()) == 1


@pytest.mark.parametrize(
    "identity", [IDENTITY, "EMAIL-0", "email-9f86d081884c7d65", "!policy", "SMS#9f86d081884c7d65"]
)
def test_an_unknown_suppression_is_not_found(service, identity):
    """Nothing is written, whatever the ID."""
    status, problem = service.ask("delete_suppression", suppression_id=identity, **ADA)

    assert (status, problem["title"]) == (404, "Not found")
    assert rows() == []


def test_a_bounce_makes_a_row_of_a_user_without_one(service):
    """It holds that fact alone, the user still has the defaults, and deleting it leaves no row."""
    bounce()
    _, shown = service.ask("get_effective_configuration", **ADA)
    _, reset = service.ask("reset_overrides", **ADA)
    _, preferences = service.ask("get_preferences", **ADA)
    service.ask("delete_preferences", **ADA)
    [row] = rows()

    status, _ = service.ask("delete_suppression", suppression_id=IDENTITY, **ADA)

    assert shown["using_integration_defaults"] is True
    assert reset == {"user_id": "ada", "removed": [], "using_integration_defaults": True}
    assert preferences["updated_at"] is None
    assert f"!EMAIL#{IDENTITY.partition('-')[2]}" in row
    assert (status, rows()) == (204, [])


def test_a_bounce_does_not_change_the_tag_of_preferences(service):
    """``ETag`` is about the preferences alone."""
    before = service.ask("get_preferences", **ADA)[1]["version"]

    bounce()

    assert service.ask("get_preferences", **ADA)[1]["version"] == before


def test_preferences_show_a_suppressed_address(office):
    """No change of the preferences could have an effect."""
    address(office, OLD)
    bounce()

    _, shown = office.ask("get_preferences", **ADA)

    assert shown["effective"]["without_category"]["integrations"]["EMAIL"] == {
        "enabled": False,
        "reason": "address_bounced",
        "changeable": False,
    }


@pytest.mark.parametrize(
    ("function", "scope", "expected"),
    [
        ("list_suppressions", READ, 200),
        ("list_suppressions", SEND, 403),
        ("delete_suppression", READ, 403),
        ("delete_suppression", SEND, 403),
        ("delete_suppression", WRITE, 204),
    ],
)
def test_a_suppression_is_read_and_deleted_by_their_scopes(service, function, scope, expected):
    """Reading needs the scope to read, deleting the scope to write."""
    bounce()
    parts = {"suppression_id": IDENTITY} if function == "delete_suppression" else {}
    caller = Caller("token:ada", "ada", frozenset({scope}))

    status, _ = service.ask(function, caller=caller, **ADA, **parts)

    assert status == expected


def test_a_locked_category_turns_to_the_next_channel(office, monkeypatch):
    """EMAIL bounced, so a locked category reaches its user by SMS although that is disabled."""
    monkeypatch.setenv("SMS_ENABLED", "true")
    wiring.reset()
    locked = {"title": "Security", "locked": True, "reach_by": ["EMAIL", "SMS"]}
    office.ask("put_category", locked, category="security")
    address(office, OLD)
    office.ask("update_override", {"enabled": False}, integration_type="EMAIL", **ADA)
    phone = {"integration_type": "SMS", "config": {"phone_number": "+14155552671"}}
    office.ask("create_override", {**phone, "enabled": False}, **ADA)
    bounce()
    wiring.reset()

    _, answer = office.ask("preview_message", {"content": "x", "category": "security"}, **ADA)

    reaching = [one for one in answer["deliveries"] if one["locked"]]
    assert [one["integration_type"] for one in reaching] == ["SMS"]
