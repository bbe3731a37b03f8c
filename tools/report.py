"""Put a provider's recorded report into FeedbackQueue: `python -m tools.report NAME USER DELIVERY`.

The local cloud has no SES events and no carrier. NAME is one of the recorded events in
`tests/data/provider_events.json`; the report then is about the named delivery.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import boto3

from tests.feedback import EVENTS, event
from tools.cloud import home
from tools.failure import ToolFailure, reported
from tools.local_cloud import STACK, LocalCloud


def body(
    name: str, user_id: str, delivery_id: str, number: int, stack: str, address: str | None
) -> str:
    """Return the body of a queue message with a recorded event about a delivery."""
    if name not in EVENTS:
        raise ToolFailure(f"{name} is not a recorded event; recorded: {', '.join(EVENTS)}")
    return json.dumps(
        event(name, user_id, delivery_id, number=number, stack=stack, address=address)
    )


def local_queue(folder: Path) -> tuple[Any, str]:
    """Return a client of a running local cloud, and the URL of its FeedbackQueue."""
    cloud = LocalCloud.last_of(folder)
    if not cloud.stack_file.exists():
        raise ToolFailure("no service runs on this machine: start it with make up, or name --queue")
    stack = json.loads(cloud.stack_file.read_text())
    return cloud.session.client("sqs"), stack["FeedbackQueueUrl"]


@reported
def main() -> int:
    """Read the command line, and send the message."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help=", ".join(EVENTS))
    parser.add_argument("user")
    parser.add_argument("delivery")
    parser.add_argument("--round", type=int, default=1, dest="number")
    parser.add_argument("--address", help="recipient of the email; by default as recorded")
    parser.add_argument("--queue", help="URL of another stack's queue, with your AWS credentials")
    parser.add_argument("--stack", default=STACK, help="name of that stack")
    given = parser.parse_args()
    text = body(given.name, given.user, given.delivery, given.number, given.stack, given.address)
    own = (boto3.client("sqs"), given.queue) if given.queue else None
    sqs, url = own or local_queue(home())
    sqs.send_message(QueueUrl=url, MessageBody=text)
    print(f"Sent: {given.name} for delivery {given.delivery} of {given.user}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
