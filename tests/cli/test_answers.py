"""What a dispatcher answers passes, and what another service answers does not."""

from __future__ import annotations

import pytest

from dispatch_cli.answers import field_error

PAGE = ("api", "v1", "users", "ada", "messages")
MESSAGE = {
    "message_id": "m-1",
    "agent_id": None,
    "subject": None,
    "content": "Hello",
    "created_at": "2026-11-23T09:30:00.000Z",
}


@pytest.mark.parametrize(
    ("answer", "where"),
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
def test_an_answer_has_what_is_read_of_it(answer, where):
    """The first place where it has not is named; what is more than that is welcome."""
    assert field_error("GET", PAGE, answer) == where


def test_any_integration_may_be_answered():
    """Which there are, the service knows."""
    path = ("api", "v1", "users", "ada", "integration-defaults")
    answer = {
        "user_id": "ada",
        "user_overrides": {},
        "effective_configs": {},
        "disabled_integrations": {"FAX": "new", "TOOL": 5},
    }

    assert field_error("GET", path, answer) == "/disabled_integrations/TOOL"
