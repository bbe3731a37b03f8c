"""The dead-letter queue: reading, redriving and purging it.

This is the only module that calls AWS directly; the service has no route for the queue.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from dispatch_cli.failures import (
    Failure,
    NotAuthorizedFailure,
    RejectedFailure,
    UnreachableFailure,
    UsageFailure,
    cause,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

BATCH = 10
"""Messages that one SQS call receives."""

LIST_SECONDS = 30
"""Visibility timeout while messages are listed; afterwards it is reset to 0."""

MOVE_SECONDS = 120
"""Visibility timeout while messages are moved; longer than moving a batch takes."""

POLL_SECONDS = 2.0
"""Pause between two polls of a move task's progress."""

WRITTEN_BY = "To write .local/stack.json: make up"

DENIED = {"AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "ExpiredToken"}
UNKNOWN_ACTION = {"InvalidAction", "UnknownOperationException", "UnsupportedOperation"}

_USER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+|:-]{0,127}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class DeadLetter:
    """The content of a dead letter; redriven, it starts round ``round`` of the delivery."""

    kind: ClassVar = "redrive"
    user_id: str
    delivery_id: str
    round: int


@dataclass(frozen=True)
class Doorbell:
    """The content of a doorbell, which is in this queue if its worker crashed ten times."""

    kind: ClassVar = "message"
    user_id: str
    message_id: str
    request_id: str


@dataclass(frozen=True)
class QueueMessage:
    """A message of the dead-letter queue."""

    id: str
    receipt: str
    body: str
    sent_at: float
    group: str | None

    @property
    def sent(self) -> str:
        """The time when it was sent, in RFC 3339."""
        return datetime.fromtimestamp(self.sent_at, UTC).isoformat(timespec="milliseconds")

    @cached_property
    def content(self) -> DeadLetter | Doorbell | None:
        """The parsed body; ``None`` if the message is not the service's or is malformed."""
        try:
            fields = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        match fields:
            case {
                "v": 2,
                "kind": DeadLetter.kind,
                "user_id": str(user_id),
                "delivery_id": str(delivery_id),
                "round": int(number),
            } if _USER_ID.fullmatch(user_id) and _UUID.fullmatch(delivery_id):
                return DeadLetter(user_id, delivery_id, number)
            case {
                "v": 2,
                "kind": Doorbell.kind,
                "user_id": str(user_id),
                "message_id": str(message_id),
                "request_id": str(request_id),
                "due_at": int() | float(),
            } if _USER_ID.fullmatch(user_id) and _UUID.fullmatch(message_id):
                return Doorbell(user_id, message_id, request_id)
        return None


@dataclass(frozen=True)
class Queues:
    """The URLs of the queues, and how to call SQS."""

    dead_letters: str
    deliveries: str
    session: Any
    endpoint_url: str | None = None
    """The address of a local cloud."""

    @cached_property
    def sqs(self) -> Any:
        """The SQS client."""
        return _call(self.session.client, service_name="sqs", endpoint_url=self.endpoint_url)


def queues_of_urls(environ: Mapping[str, str], dead_letters: str, deliveries: str) -> Queues:
    """Return the queues with these URLs."""
    return Queues(dead_letters, deliveries, _session(environ))


def queues_of_stack(environ: Mapping[str, str], stack: str) -> Queues:
    """Return the queues of a CloudFormation stack."""
    session = _session(environ)
    cloudformation = _call(session.client, service_name="cloudformation")
    (description,) = _call(cloudformation.describe_stacks, StackName=stack)["Stacks"]
    outputs = {
        output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])
    }
    return _queues_of_outputs(outputs, f"The stack {stack}", session)


def queues_of_file(environ: Mapping[str, str], file: Path) -> Queues:
    """Return the queues of a local stack, from the file that ``make up`` writes."""
    try:
        outputs = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(outputs, dict):
            raise UsageFailure(f"--stack-file: {file} holds no JSON object.", WRITTEN_BY)
    except json.JSONDecodeError as error:
        raise UsageFailure(f"--stack-file: {file} is not JSON.", WRITTEN_BY) from error
    except (OSError, UnicodeError) as error:
        text = f"--stack-file: {file} cannot be read: {cause(error)}."
        raise UsageFailure(text, WRITTEN_BY) from error
    local: dict[str, Any] = {
        # The credentials of the local cloud's administrator.
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",  # pragma: allowlist secret
        "region_name": "us-east-1",
    }
    endpoint_url = outputs.get("endpoint_url")
    return _queues_of_outputs(outputs, str(file), _session(environ, **local), endpoint_url)


def _queues_of_outputs(
    outputs: Mapping[str, str], source: str, session: Any, endpoint_url: str | None = None
) -> Queues:
    try:
        urls = outputs["DeadLetterQueueUrl"], outputs["DeliveryQueueUrl"]
    except KeyError as missing:
        raise UsageFailure(
            f"{source} has no output {missing.args[0]}.",
            "Check that it belongs to an integration dispatcher.",
        ) from missing
    return Queues(*urls, session, endpoint_url)


def count(queues: Queues) -> int:
    """Return the approximate number of messages; SQS has no exact one."""
    return int(_attribute(queues, queues.dead_letters, "ApproximateNumberOfMessages"))


def peek(queues: Queues, limit: int) -> list[QueueMessage]:
    """Return up to ``limit`` messages and make them visible to other readers again."""
    messages: list[QueueMessage] = []
    try:
        messages += islice(_received(queues, LIST_SECONDS), limit)
    finally:
        for message in messages:
            _give_back(queues, message)
    return messages


def start_move(queues: Queues) -> bool:
    """Start an SQS task that moves all messages to the delivery queue; false if SQS has none."""
    source, destination = _arn(queues, queues.dead_letters), _arn(queues, queues.deliveries)
    try:
        _call(queues.sqs.start_message_move_task, SourceArn=source, DestinationArn=destination)
    except _UnknownActionError:
        return False
    return True


def watch_move(
    queues: Queues, report: Callable[[int], None], sleep: Callable[[float], None]
) -> int:
    """Report the progress of the newest move task until it ends; return the number of messages."""
    source = _arn(queues, queues.dead_letters)
    while True:
        tasks = _call(queues.sqs.list_message_move_tasks, SourceArn=source, MaxResults=1)
        (task,) = tasks["Results"]
        number = int(task.get("ApproximateNumberOfMessagesMoved", 0))
        report(number)
        if task["Status"] == "COMPLETED":
            return number
        if task["Status"] != "RUNNING":
            reason = task.get("FailureReason") or task["Status"]
            raise RejectedFailure(
                f"SQS stopped the redrive after {number} dead letters: {reason}",
                "It is safe to redrive again.",
            )
        sleep(POLL_SECONDS)


def move(queues: Queues, report: Callable[[int], None]) -> int:
    """Receive, send and then delete each message; return the number of messages.

    Dead letters that arrive meanwhile stay: otherwise a delivery that fails immediately would be
    redriven endlessly.
    """
    number = 0
    rounds: dict[str, int] = {}
    # Counted before the first one is moved, so that later ones are not included.
    for message in islice(_received(queues, MOVE_SECONDS), count(queues)):
        letter = message.content
        if (
            isinstance(letter, DeadLetter)
            and rounds.setdefault(letter.delivery_id, letter.round) != letter.round
        ):
            _give_back(queues, message)
            continue
        group = {"MessageGroupId": message.group} if message.group else {}
        _call(
            queues.sqs.send_message, QueueUrl=queues.deliveries, MessageBody=message.body, **group
        )
        _call(
            queues.sqs.delete_message, QueueUrl=queues.dead_letters, ReceiptHandle=message.receipt
        )
        number += 1
        report(number)
    return number


def purge(queues: Queues) -> None:
    """Delete all messages; SQS takes up to a minute."""
    _call(queues.sqs.purge_queue, QueueUrl=queues.dead_letters)


def _received(queues: Queues, hidden_seconds: int) -> Iterator[QueueMessage]:
    """Receive messages until SQS returns no new one."""
    seen: set[str] = set()
    while True:
        response = _call(
            queues.sqs.receive_message,
            QueueUrl=queues.dead_letters,
            MaxNumberOfMessages=BATCH,
            VisibilityTimeout=hidden_seconds,
            WaitTimeSeconds=1,
            AttributeNames=["SentTimestamp", "MessageGroupId"],
        )
        messages = response.get("Messages", [])
        unseen = [message for message in messages if message["MessageId"] not in seen]
        if not unseen:
            return
        for message in unseen:
            seen.add(message["MessageId"])
            attributes = message.get("Attributes", {})
            yield QueueMessage(
                id=message["MessageId"],
                receipt=message["ReceiptHandle"],
                body=message["Body"],
                sent_at=int(attributes.get("SentTimestamp", 0)) / 1000,
                group=attributes.get("MessageGroupId"),
            )


def _give_back(queues: Queues, message: QueueMessage) -> None:
    _call(
        queues.sqs.change_message_visibility,
        QueueUrl=queues.dead_letters,
        ReceiptHandle=message.receipt,
        VisibilityTimeout=0,
    )


def _attribute(queues: Queues, url: str, name: str) -> str:
    response = _call(queues.sqs.get_queue_attributes, QueueUrl=url, AttributeNames=[name])
    return str(response["Attributes"][name])


def _arn(queues: Queues, url: str) -> str:
    return _attribute(queues, url, "QueueArn")


def _session(environ: Mapping[str, str], **options: Any) -> Any:
    try:
        import boto3  # noqa: PLC0415 - only these commands need it, and it may be missing
    except ImportError as error:
        advice = "To install it: pip install 'integration-dispatcher-cli[aws]'"
        raise UsageFailure("dispatch dead-letters needs boto3.", advice) from error
    from botocore.exceptions import ProfileNotFound  # noqa: PLC0415 - see above

    # Boto3 ignores this variable, which the AWS CLI reads.
    region = {"region_name": environ["AWS_REGION"]} if environ.get("AWS_REGION") else {}
    try:
        return boto3.Session(**region | options)
    except ProfileNotFound as error:
        advice = f"Check AWS_PROFILE: it is {environ.get('AWS_PROFILE')}."
        raise UsageFailure(f"{error}.", advice) from error


class _UnknownActionError(Failure):
    """The endpoint does not support the action."""


def _call(function: Callable[..., Any], **parameters: object) -> Any:
    """Call AWS; raise a failure with a message and the next step."""
    from botocore.exceptions import (  # noqa: PLC0415 - only these commands need it
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        NoRegionError,
    )

    try:
        return function(**parameters)
    except NoRegionError as error:
        raise UsageFailure("No AWS region is configured.", "Set AWS_REGION.") from error
    except NoCredentialsError as error:
        raise NotAuthorizedFailure(
            "No AWS credentials are configured.", "Set AWS_PROFILE, or log in with the AWS CLI."
        ) from error
    except BotoCoreError as error:
        advice = "Check AWS_REGION and AWS_ENDPOINT_URL."
        raise UnreachableFailure(f"No response from AWS: {error}", advice) from error
    except ClientError as error:
        details = error.response["Error"]
        code = str(details.get("Code", ""))
        text = f"AWS returned {code}: {details.get('Message', '')}"
        if code.rpartition(".")[2] in UNKNOWN_ACTION:
            raise _UnknownActionError(text) from error
        if code in DENIED:
            raise NotAuthorizedFailure(text, "Check the permissions of AWS_PROFILE.") from error
        raise RejectedFailure(text) from error
