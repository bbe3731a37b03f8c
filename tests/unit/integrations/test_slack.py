"""SLACK: what an override may hold, and where a message goes."""

from __future__ import annotations

import pytest

from dispatcher.configuration.bodies import override_config
from dispatcher.errors import InvalidInputError
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Address, Recipient

SLACK = catalogue()["SLACK"]
GOOD = {
    "user_email": "ada@example.com",
    "channel_id": "C024BE91L",
    "slack_user_id": "U024BE7LH",
    "thread_replies": True,
    "mention_user": False,
    "include_agent_info": False,
}


def test_a_config_holds_six_keys():
    """All of them optional."""
    assert override_config(SLACK, GOOD, {}) == GOOD
    assert override_config(SLACK, {}, {}) == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("user_email", "ada"),
        ("user_email", 5),
        ("channel_id", "general"),
        ("channel_id", "#general"),
        ("channel_id", "U024BE7LH"),
        ("channel_id", "c024be91l"),
        ("channel_id", "C12345"),
        ("channel_id", "C" + "1" * 21),
        ("slack_user_id", "C024BE91L"),
        ("slack_user_id", "<@U024BE7LH>"),
        ("thread_replies", "true"),
        ("mention_user", 1),
        ("include_agent_info", None),
        ("channel", "C024BE91L"),
        ("bot_token", "xoxb-1"),
    ],
)
def test_each_key_has_its_rule(key, value):
    """A field_error is reported at the key."""
    with pytest.raises(InvalidInputError) as caught:
        override_config(SLACK, {key: value}, {})

    assert [field_error.pointer for field_error in caught.value.field_errors] == [f"/config/{key}"]


@pytest.mark.parametrize(
    "value", ["C024BE91L", "G024BE91L", "D024BE91L", "C123456", "C" + "1" * 20]
)
def test_a_channel_is_public_private_or_direct(value):
    """C, G or D, then 6 to 20 letters and digits."""
    assert override_config(SLACK, {"channel_id": value}, {}) == {"channel_id": value}


@pytest.mark.parametrize("value", ["U024BE7LH", "W024BE7LH"])
def test_a_user_is_one_of_the_workspace_or_of_the_enterprise(value):
    """U or W."""
    assert override_config(SLACK, {"slack_user_id": value}, {}) == {"slack_user_id": value}


CHAIN = [
    ("channel", "C1"),
    ("slack_user", "U1"),
    ("email", "config@example.com"),
    ("channel", "C2"),
    ("slack_user", "U2"),
    ("email", "recipient@example.com"),
    ("email", "ada@corp.example"),
]


@pytest.mark.parametrize("known", range(8))
def test_the_first_address_that_is_known_counts(known):
    """The override's, then the recipient's, then what the user ID stands for."""
    values = [value if index >= known else None for index, (_, value) in enumerate(CHAIN)]
    keys = ("channel_id", "slack_user_id", "user_email")
    config = {key: value for key, value in zip(keys, values[:3], strict=True) if value}
    recipient = Recipient(slack_channel=values[3], slack_user_id=values[4], email=values[5])
    environ = {"DEFAULT_EMAIL_DOMAIN": "corp.example" if values[6] else ""}

    address = SLACK.address(config, recipient, "ada", environ)

    assert address == (Address(*CHAIN[known]) if known < 7 else None)


@pytest.mark.parametrize(
    ("environ", "configured"),
    [({}, False), ({"SLACK_BOT_TOKEN_SECRET": ""}, False), ({"SLACK_BOT_TOKEN_SECRET": "s"}, True)],
)
def test_slack_is_configured_where_a_token_is_named(environ, configured):
    """Whether it works is the probe's matter."""
    assert SLACK.configured(environ) is configured
