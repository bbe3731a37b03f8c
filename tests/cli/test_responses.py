"""Responses of a dispatcher are accepted; responses of other servers are recognized."""

from __future__ import annotations

import pytest

from dispatch_cli.responses import field_error

MAILBOX = ("api", "v1", "users", "ada", "messages")
MESSAGE = {
    "message_id": "m-1",
    "agent_id": None,
    "subject": None,
    "content": "Hello",
    "created_at": "2026-11-23T09:30:00.000Z",
}


@pytest.mark.parametrize(
    ("response", "pointer"),
    [
        ({"messages": [MESSAGE], "next_cursor": None, "new": 1}, None),
        ([], ""),
        (None, ""),
        ({"status": "UP"}, "/messages"),
        ({"messages": {}, "next_cursor": None}, "/messages"),
        ({"messages": [MESSAGE, 5], "next_cursor": None}, "/messages/1"),
        ({"messages": [{**MESSAGE, "content": None}], "next_cursor": None}, "/messages/0/content"),
    ],
)
def test_the_first_member_with_another_shape_is_named(response, pointer):
    """The first member that is missing or has another type is named; additional ones are fine."""
    assert field_error("GET", MAILBOX, response) == pointer


def test_a_response_may_name_any_integration():
    """An integration that this program does not know is accepted; its reason must be text."""
    path = ("api", "v1", "users", "ada", "integration-defaults")
    response = {
        "user_id": "ada",
        "user_overrides": {},
        "effective_configs": {},
        "disabled_integrations": {"FAX": "new", "TOOL": 5},
    }

    assert field_error("GET", path, response) == "/disabled_integrations/TOOL"
