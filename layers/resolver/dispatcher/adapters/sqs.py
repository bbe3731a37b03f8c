"""The queues in SQS: doorbells, dead letters and parked messages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.adapters.aws import unavailable_if_it_fails
from dispatcher.delivery.doorbells import encode

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from dispatcher.delivery.doorbells import DeadLetter, Doorbell

LONGEST_REASON = 500
"""Characters of a parked message's reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queues:
    """The URLs of the queues that are written to."""

    delivery: str
    """Empty in functions that accept no messages."""
    retry: str
    dead_letter: str
    parked: str


class SqsDoorbells:
    """Implements ``ports.Doorbells``.

    All queues are standard; the group ID makes them fair among users.
    """

    def __init__(self, sqs: SQSClient, queues: Queues) -> None:
        self._sqs = sqs
        self._queues = queues

    def ring_first(self, doorbell: Doorbell, *, delay: int = 0) -> None:
        """Ring for a new message."""
        self._send(self._queues.delivery, doorbell, delay)

    def ring(self, doorbell: Doorbell, *, delay: int = 0) -> None:
        """Ring on the queue of retries."""
        self._send(self._queues.retry, doorbell, delay)

    def send_dead_letter(self, dead_letter: DeadLetter) -> None:
        """Put a dead letter into the dead-letter queue."""
        self._send(self._queues.dead_letter, dead_letter, 0)

    def park(self, body: str, *, reason: str, source: str) -> None:
        """Put a message aside as it is, with reason and source queue as attributes."""
        text = {"reason": reason[:LONGEST_REASON], "source": source}
        with unavailable_if_it_fails():
            self._sqs.send_message(
                QueueUrl=self._queues.parked,
                MessageBody=body,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in text.items()
                },
            )

    def _send(self, queue: str, message: Doorbell | DeadLetter, delay: int) -> None:
        group = hashlib.sha256(message.user_id.encode()).hexdigest()[:32]
        with unavailable_if_it_fails():
            self._sqs.send_message(
                QueueUrl=queue,
                MessageBody=encode(message),
                DelaySeconds=delay,
                MessageGroupId=group,
            )
