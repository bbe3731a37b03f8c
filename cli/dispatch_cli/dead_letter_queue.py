"""The dead-letter queue: what is in it, starting it over, and throwing it away.

The only part of this program that speaks to AWS itself; the service has no route for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from dispatch_cli.failures import (
    Failure,
    NotAuthorizedFailure,
    RefusedFailure,
    UnreachableFailure,
    UsageFailure,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

BATCH = 10
"""Messages that SQS moves in one call."""

LOOKING = 30
"""Seconds that others do not see what is being looked at; less, if the look ends sooner."""

MOVING = 120
"""Seconds that others do not see what is being moved: longer than a batch takes."""

POLL = 2.0
"""Seconds between two looks at how far AWS is."""

DENIED = {"AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "ExpiredToken"}
UNKNOWN_ACTION = {"InvalidAction", "UnknownOperationException", "UnsupportedOperation"}


@dataclass(frozen=True)
class Ticket:
    """One message of the dead-letter queue."""

    message_id: str
    receipt: str
    body: str
    sent_at: float
    group: str | None

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """Return what it carries, nothing if it is none of ours."""
        try:
            fields = json.loads(self.body)
        except ValueError:
            return {}
        return fields if isinstance(fields, dict) else {}

    @property
    def sent(self) -> str:
        """Return when it was put there, as the service writes times."""
        return datetime.fromtimestamp(self.sent_at, UTC).isoformat(timespec="milliseconds")

    @property
    def is_readable(self) -> bool:
        """Tell whether it stands for a delivery."""
        names = [self.fields.get(name) for name in ("user_id", "delivery_id")]
        return all(isinstance(name, str) for name in names)


@dataclass(frozen=True)
class Place:
    """Where the queues are, and how to reach them."""

    dead_letters: str
    deliveries: str
    session: Any
    endpoint_url: str | None = None
    """Where a local cloud answers."""

    @cached_property
    def sqs(self) -> Any:
        """Return the client."""
        return _call(self.session.client, service_name="sqs", endpoint_url=self.endpoint_url)


def place_of_urls(environ: Mapping[str, str], dead_letters: str, deliveries: str) -> Place:
    """Take the queues as they were named."""
    return Place(dead_letters, deliveries, _session(environ))


def place_of_stack(environ: Mapping[str, str], stack: str) -> Place:
    """Ask CloudFormation where a stack's queues are."""
    session = _session(environ)
    cloudformation = _call(session.client, service_name="cloudformation")
    (described,) = _call(cloudformation.describe_stacks, StackName=stack)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}
    return _place(outputs, f"the stack {stack}", session)


def place_of_file(environ: Mapping[str, str], file: Path) -> Place:
    """Read where the queues of a local stack are, from the file that `make up` writes."""
    try:
        outputs = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        advice = "`make up` writes .local/stack.json."
        raise UsageFailure(f"{file} cannot be read: {error}", advice) from error
    local: dict[str, Any] = {
        # The local cloud takes these for the administrator's.
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",  # pragma: allowlist secret
        "region_name": "us-east-1",
    }
    endpoint_url = outputs.get("endpoint_url")
    return _place(outputs, str(file), _session(environ, **local), endpoint_url)


def _place(
    outputs: Mapping[str, str], where: str, session: Any, endpoint_url: str | None = None
) -> Place:
    try:
        queues = outputs["DeadLetterQueueUrl"], outputs["DeliveryQueueUrl"]
    except KeyError as missing:
        raise UsageFailure(
            f"{where} has no output {missing.args[0]}.", "Is it the stack of a dispatcher?"
        ) from missing
    return Place(*queues, session, endpoint_url)


def count(place: Place) -> int:
    """Return about how many tickets there are; SQS itself does not know better."""
    return int(_attribute(place, place.dead_letters, "ApproximateNumberOfMessages"))


def look(place: Place, limit: int) -> list[Ticket]:
    """Return up to so many tickets, and give them back at once."""
    found: list[Ticket] = []
    try:
        found += islice(_received(place, LOOKING), limit)
    finally:
        for ticket in found:
            _give_back(place, ticket)
    return found


def start_move(place: Place) -> bool:
    """Have SQS move all tickets to the delivery queue; return false where it cannot."""
    source, destination = _arn(place, place.dead_letters), _arn(place, place.deliveries)
    try:
        _call(place.sqs.start_message_move_task, SourceArn=source, DestinationArn=destination)
    except _UnknownActionError:
        return False
    return True


def watch_move(place: Place, moved: Callable[[int], None], sleep: Callable[[float], None]) -> int:
    """Tell how many were moved so far, until the newest task has ended; return the number."""
    source = _arn(place, place.dead_letters)
    while True:
        tasks = _call(place.sqs.list_message_move_tasks, SourceArn=source, MaxResults=1)
        (task,) = tasks["Results"]
        number = int(task.get("ApproximateNumberOfMessagesMoved", 0))
        moved(number)
        if task["Status"] == "COMPLETED":
            return number
        if task["Status"] != "RUNNING":
            why = task.get("FailureReason") or task["Status"]
            advice = "What was moved stays moved; redriving again is safe."
            raise RefusedFailure(f"SQS has stopped after {number} tickets: {why}", advice)
        sleep(POLL)


def move(place: Place, moved: Callable[[int], None]) -> int:
    """Move by hand: receive, send, and only then delete; return how many.

    What comes meanwhile stays: else a delivery that fails at once would go round for ever.
    """
    number = 0
    rounds: dict[object, object] = {}
    # Counted before the first is moved: what comes later is not.
    for ticket in islice(_received(place, MOVING), count(place)):
        name = ticket.fields.get("delivery_id")
        if rounds.setdefault(name, ticket.fields.get("round")) != ticket.fields.get("round"):
            _give_back(place, ticket)
            continue
        group = {"MessageGroupId": ticket.group} if ticket.group else {}
        _call(place.sqs.send_message, QueueUrl=place.deliveries, MessageBody=ticket.body, **group)
        _call(place.sqs.delete_message, QueueUrl=place.dead_letters, ReceiptHandle=ticket.receipt)
        number += 1
        moved(number)
    return number


def purge(place: Place) -> None:
    """Throw all tickets away; SQS takes up to a minute."""
    _call(place.sqs.purge_queue, QueueUrl=place.dead_letters)


def _received(place: Place, hidden: int) -> Iterator[Ticket]:
    """Receive until nothing new comes."""
    names: set[str] = set()
    while True:
        answer = _call(
            place.sqs.receive_message,
            QueueUrl=place.dead_letters,
            MaxNumberOfMessages=BATCH,
            VisibilityTimeout=hidden,
            WaitTimeSeconds=1,
            AttributeNames=["SentTimestamp", "MessageGroupId"],
        )
        fresh = [each for each in answer.get("Messages", []) if each["MessageId"] not in names]
        if not fresh:
            return
        for each in fresh:
            names.add(each["MessageId"])
            attributes = each.get("Attributes", {})
            yield Ticket(
                message_id=each["MessageId"],
                receipt=each["ReceiptHandle"],
                body=each["Body"],
                sent_at=int(attributes.get("SentTimestamp", 0)) / 1000,
                group=attributes.get("MessageGroupId"),
            )


def _give_back(place: Place, ticket: Ticket) -> None:
    _call(
        place.sqs.change_message_visibility,
        QueueUrl=place.dead_letters,
        ReceiptHandle=ticket.receipt,
        VisibilityTimeout=0,
    )


def _attribute(place: Place, url: str, name: str) -> str:
    answer = _call(place.sqs.get_queue_attributes, QueueUrl=url, AttributeNames=[name])
    return str(answer["Attributes"][name])


def _arn(place: Place, url: str) -> str:
    return _attribute(place, url, "QueueArn")


def _session(environ: Mapping[str, str], **options: Any) -> Any:
    try:
        import boto3  # noqa: PLC0415 - only these commands need it, and it may be missing
    except ImportError as error:
        advice = "Install it: pip install 'integration-dispatcher-cli[aws]'"
        raise UsageFailure("Dead letters need boto3.", advice) from error
    from botocore.exceptions import ProfileNotFound  # noqa: PLC0415 - see above

    # Boto3 does not read it, as the AWS CLI does and people expect.
    region = {"region_name": environ["AWS_REGION"]} if environ.get("AWS_REGION") else {}
    try:
        return boto3.Session(**region | options)
    except ProfileNotFound as error:
        raise UsageFailure(f"{error}.", f"AWS_PROFILE is {environ.get('AWS_PROFILE')}.") from error


class _UnknownActionError(Failure):
    """Whoever answers does not know the action."""


def _call(function: Callable[..., Any], **parameters: object) -> Any:
    """Call AWS, and put what goes wrong in words."""
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
            "There are no AWS credentials.", "Set AWS_PROFILE, or log in with the AWS CLI."
        ) from error
    except BotoCoreError as error:
        advice = "See AWS_REGION and AWS_ENDPOINT_URL."
        raise UnreachableFailure(f"AWS does not answer: {error}", advice) from error
    except ClientError as error:
        told = error.response["Error"]
        name = str(told.get("Code", ""))
        text = f"AWS says {name}: {told.get('Message', '')}"
        if name.rpartition(".")[2] in UNKNOWN_ACTION:
            raise _UnknownActionError(text) from error
        if name in DENIED:
            raise NotAuthorizedFailure(text, "See AWS_PROFILE, and what it may do.") from error
        raise RefusedFailure(text) from error
