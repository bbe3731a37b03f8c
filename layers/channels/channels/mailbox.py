"""The users' mailboxes: rows beside the deliveries, read by the API and deleted by time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from channels.aws_errors import AwsError, named
from dispatcher.delivery.outcomes import Delivered, Outcome, Retry
from dispatcher.delivery.rows import MAILBOX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from channels import ClientFactory
    from dispatcher.delivery.ports import Message

TTL = 30 * 86_400
"""Seconds that a message stays in a mailbox."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Puts messages into ``MAILBOX#<TYPE>#<delivery_id>`` rows.

    Their key order is the order in which they were sent.
    """

    dynamodb: DynamoDBClient
    table: str

    @classmethod
    def of(cls, environ: Mapping[str, str], aws: ClientFactory) -> Mailbox:
        """Open the mailboxes in the table of deliveries."""
        return cls(aws("dynamodb"), environ["DELIVERIES_TABLE"])

    def put(self, message: Message) -> Outcome:
        """Write the message.

        A repeated attempt of the same delivery overwrites its row, so it creates no duplicate.
        """
        fields = {
            "user_id": message.user_id,
            "sk": f"{MAILBOX}{message.integration_type}#{message.delivery_id}",
            "delivery_id": message.delivery_id,
            "request_id": message.request_id,
            "session_id": message.session_id,
            "agent_id": message.agent_id if message.shows_agent else None,
            "subject": message.subject,
            "content": message.content,
        }
        item: dict[str, Any] = {
            name: {"S": value} for name, value in fields.items() if value is not None
        }
        item["created_at"] = {"N": repr(message.attempted_at)}
        item["ttl"] = {"N": str(int(message.attempted_at) + TTL)}
        try:
            self.dynamodb.put_item(TableName=self.table, Item=item)
        except AwsError as error:
            return Retry("unavailable", f"the mailbox did not accept the message: {named(error)}")
        return Delivered(detail="recorded")
