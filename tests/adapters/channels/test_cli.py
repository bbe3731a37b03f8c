"""CLI: items of the mailbox, fit for a terminal."""

from __future__ import annotations

import pytest

from channels.cli import channel
from dispatcher.delivery.outcomes import Delivered, Permanent
from dispatcher.integrations.integration import Address
from tests.adapters.channels.aws_peer import ON_AWS, AwsBench, peer_of
from tests.adapters.channels.contract import (
    DELIVERY,
    ChannelContract,
    Injection,
    Trouble,
    injections,
    message_for,
)

MAILBOX = Address("mailbox", "ada")
ENVIRON = {"DELIVERIES_TABLE": "DeliveriesTable"}
ESCAPES = Injection("c1", {"content": "\x9b2J\x1b]0;title\x07!"}, shown="2J]0;title!")


@pytest.fixture
def bench(receive):
    """The channel before a DynamoDB on loopback."""
    peer = peer_of("dynamodb", receive)
    return AwsBench(peer, channel(ENVIRON, peer.client), "CLI", MAILBOX)


class TestCli(ChannelContract):
    """The contract; the table is ours, so none of its refusals is the message's end."""

    integration_type = "CLI"
    troubles = tuple(one for one in ON_AWS if one not in {Trouble.PERMANENT, Trouble.GARBAGE})
    injections = (ESCAPES, *injections("content", "LOG/CLI"), *injections("subject", "LOG/CLI"))
    needs_address = False

    def assert_inert(self, bench, injection):  # noqa: ARG002 - as the contract has it
        """No control character is left to act on a terminal."""
        [received] = bench.received()

        assert received.replace("\n", "").isprintable()


def test_a_message_is_an_item_without_what_steers_a_terminal(dynamodb):
    """Kept for 30 days, named by its delivery, so that a second attempt overwrites the first."""
    message = message_for(
        "CLI", MAILBOX, subject="Ra\x9bin", content="Take\r\nan \x1b[31mumbrella", agent_id="\x85we"
    )

    outcome = channel(ENVIRON, lambda _: dynamodb).deliver(message)

    [row] = dynamodb.scan(TableName="DeliveriesTable")["Items"]
    assert outcome == Delivered(detail="recorded")
    assert row == {
        "user_id": {"S": "ada"},
        "sk": {"S": f"MAILBOX#CLI#{DELIVERY}"},
        "delivery_id": {"S": DELIVERY},
        "request_id": {"S": "r-1"},
        "agent_id": {"S": "we"},
        "subject": {"S": "Rain"},
        "content": {"S": "Take\nan [31mumbrella"},
        "created_at": {"N": "1800000000.125"},
        "ttl": {"N": str(1_800_000_000 + 30 * 86_400)},
    }


def test_a_table_that_refuses_is_tried_again(bench):
    """Nothing that DynamoDB says is the message's fault."""
    bench.prepare(Trouble.PERMANENT)

    outcome = bench.channel.deliver(bench.message())

    assert not isinstance(outcome, (Delivered, Permanent))
    assert outcome.detail == "the mailbox did not accept the message: InvalidParameter"
