"""Test messages: one integration with the user's settings, whether it is enabled or not."""

from __future__ import annotations

import pytest

from dispatcher.delivery.doorbells import Doorbell
from dispatcher.delivery.outcomes import Permanent
from dispatcher.delivery.rows import message_id_of
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Recipient
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
SENT = [
    name
    for name, one in catalogue().items()
    if one.address(ADDRESSES.get(name, {}), Recipient(), USER, CONFIGURED)
]
"""The integrations that an address is known of."""


@pytest.fixture
def configured(world):
    """A service with the operator's settings for every integration that needs any."""
    world.environ.update(CONFIGURED)
    return world


@pytest.mark.parametrize("name", SENT)
def test_a_test_message_is_sent_over_any_integration(configured, name):
    """The user's own settings apply, except ``enabled``."""
    settings = {"enabled": False, "retry_count": 4, "config": ADDRESSES.get(name, {})}
    configured.override(name, **settings)

    accepted = configured.acceptance.test(USER, name)

    [delivery] = accepted.response["deliveries"]
    row = configured.row(delivery["delivery_id"])
    request = configured.table.request(USER, row.request_id)
    assert accepted.response == {
        "request_id": row.request_id,
        "user_id": USER,
        "category": None,
        "deliveries": [
            {
                "delivery_id": delivery["delivery_id"],
                "integration_type": name,
                "priority": catalogue()[name].priority,
                "status": "pending",
                "locked": False,
                "held": None,
            }
        ],
        "skipped": [],
    }
    assert (request.forced, row.forced, accepted.replayed) == (True, True, False)
    assert row.deliveries[0].max_attempts == 5
    doorbell = Doorbell(
        USER, message_id_of(delivery["delivery_id"]), row.request_id, row.created_at
    )
    assert configured.doorbells.rung == [("delivery", doorbell, 0)]


@pytest.mark.parametrize("name", SENT)
def test_a_test_message_says_that_it_is_a_test(configured, name):
    """The receiver sees that no reaction is expected."""
    configured.override(name, enabled=False, config=ADDRESSES.get(name, {}))
    configured.acceptance.test(USER, name)

    configured.run()

    [message] = configured.channels[name].messages
    assert message.subject == f"Test of {name}"
    assert message.content == f"This is a test of whether {name} reaches you."
    assert message.config == {**catalogue()[name].config, **ADDRESSES.get(name, {})}


def test_a_test_without_an_address_is_skipped(configured):
    """The response names the key to set, as for any message."""
    response = configured.acceptance.test(USER, "WEBHOOK").response

    assert (response["deliveries"], response["skipped"]) == (
        [],
        [
            {
                "integration_type": "WEBHOOK",
                "reason": "no_address",
                "detail": "no address is known: set config.url in the user's WEBHOOK override",
            }
        ],
    )


def test_a_test_of_an_integration_that_is_not_configured_fails(world):
    """The history says that an operator has to configure it first."""
    accepted = world.acceptance.test(USER, "SLACK")

    world.run()

    delivery = world.delivery(accepted.response["deliveries"][0]["delivery_id"])
    assert (delivery.status, delivery.error_code, delivery.attempts) == (
        "failed",
        "not_configured",
        0,
    )


def test_a_repeated_test_is_one_test(configured):
    """The header Idempotency-Key makes a test repeatable, as for any message."""
    first = configured.acceptance.test(USER, "CLI", "key-1")
    again = configured.acceptance.test(USER, "CLI", '"key-1"')

    assert (again.response, again.replayed) == (first.response, True)


def test_a_failed_test_can_be_retried(configured):
    """The new round ignores ``enabled``, as the first one did."""
    configured.override("CLI", enabled=False)
    configured.channels["CLI"].outcomes = [Permanent("refused", "no")]
    name = configured.acceptance.test(USER, "CLI").response["deliveries"][0]["delivery_id"]
    configured.run()

    configured.rounds.retry(USER, name)
    configured.run()

    delivery = configured.delivery(name)
    assert (delivery.status, delivery.round) == ("success", 2)
