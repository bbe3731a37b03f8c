"""Test messages: one integration, with the user's settings, enabled or not."""

from __future__ import annotations

import pytest

from dispatcher.delivery.doorbells import RequestBell
from dispatcher.delivery.outcomes import Permanent
from dispatcher.integrations import catalogue
from tests.world import USER

ADDRESSES = {
    "SLACK": {"channel_id": "C024BE91L"},
    "EMAIL": {"email_address": "ada@example.com"},
    "WEBHOOK": {"url": "https://hooks.example.com/x"},
    "SMS": {"phone_number": "+14155552671"},
}
CONFIGURED = {
    "SLACK_BOT_TOKEN_SECRET": "slack",
    "EMAIL_SENDER": "news@example.com",
    "SMS_ENABLED": "true",
    "TOOL_BUS_NAME": "tools",
}


@pytest.fixture
def configured(world):
    """A service with all seven integrations."""
    world.environ.update(CONFIGURED)
    return world


@pytest.mark.parametrize("name", list(catalogue()))
def test_a_test_message_goes_over_any_integration_that_is_off(configured, name):
    """The user's own settings count, but for ``enabled``."""
    settings = {"enabled": False, "retry_count": 4, "config": ADDRESSES.get(name, {})}
    configured.override(name, **settings)

    taken = configured.acceptance.test(USER, name)

    [delivery] = taken.answer["deliveries"]
    row = configured.row(delivery["delivery_id"])
    assert taken.answer == {
        "request_id": taken.answer["request_id"],
        "user_id": USER,
        "deliveries": [
            {
                "delivery_id": delivery["delivery_id"],
                "integration_type": name,
                "priority": catalogue()[name].priority,
                "status": "pending",
            }
        ],
        "skipped": [],
    }
    assert (row.forced, row.max_attempts, taken.replayed) == (True, 5, False)
    bell = RequestBell(USER, taken.answer["request_id"])
    assert configured.doorbells.rung == [("delivery", bell, 0)]


@pytest.mark.parametrize("name", list(catalogue()))
def test_a_test_message_says_what_it_is(configured, name):
    """Whoever gets it knows that nobody wants anything of them."""
    configured.override(name, enabled=False, config=ADDRESSES.get(name, {}))
    configured.acceptance.test(USER, name)

    configured.run()

    [message] = configured.channels[name].messages
    assert message.subject == f"Test of {name}"
    assert message.content == f"This is a test: somebody asked whether {name} reaches you."
    assert message.config == {**catalogue()[name].config, **ADDRESSES.get(name, {})}


def test_where_no_address_is_known_there_is_nothing_to_test(configured):
    """The answer says which key to set, as for any message."""
    answer = configured.acceptance.test(USER, "WEBHOOK").answer

    detail = "no address is known: set config.url in the user's WEBHOOK override"
    assert answer["deliveries"] == []
    assert [one["reason"] for one in answer["skipped"]] == ["no_address"]
    assert [one["detail"] for one in answer["skipped"]] == [detail]


def test_what_is_not_configured_fails_at_once(world):
    """An operator has to do something first, and the history says so."""
    taken = world.acceptance.test(USER, "SLACK")

    world.run()

    row = world.row(taken.answer["deliveries"][0]["delivery_id"])
    assert (row.status, row.error_code, row.attempts) == ("failed", "not_configured", 0)


def test_the_same_test_again_is_one_test(configured):
    """A key makes it repeatable, as for any message."""
    first = configured.acceptance.test(USER, "CLI", "key-1")
    again = configured.acceptance.test(USER, "CLI", "key-1")

    assert (again.answer, again.replayed) == (first.answer, True)


def test_a_test_that_failed_can_be_tried_again(configured):
    """The fresh round is sent as the first one was, whatever ``enabled`` says."""
    configured.override("CLI", enabled=False)
    configured.channels["CLI"].outcomes = [Permanent("refused", "no")]
    name = configured.acceptance.test(USER, "CLI").answer["deliveries"][0]["delivery_id"]
    configured.run()

    configured.rounds.retry(USER, name)
    configured.run()

    assert (configured.row(name).status, configured.row(name).round) == ("success", 2)
