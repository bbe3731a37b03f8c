"""The commands for dead letters, with SQS's move task and without it."""

from __future__ import annotations

import json

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
)

from dispatch_cli import dead_letter_queue
from dispatch_cli.failures import (
    NotAuthorizedFailure,
    RejectedFailure,
    UnreachableFailure,
    UsageFailure,
)

LETTER = {
    "v": 2,
    "kind": "redrive",
    "user_id": "ada",
    "delivery_id": "00000000-0000-7000-8000-000000000001",
    "round": 2,
}
DOORBELL = {
    "v": 2,
    "kind": "message",
    "user_id": "ada",
    "message_id": "00000000-0000-7000-8000-000000000000",
    "request_id": "r-1",
    "due_at": 1795426200.5,
}


@pytest.fixture
def queues(service, monkeypatch):
    """The options that name the queues, with credentials that moto does not check."""
    for name, value in {
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():
        monkeypatch.setenv(name, value)
    sqs = boto3.client("sqs")
    urls = [
        sqs.get_queue_url(QueueName=name)["QueueUrl"]
        for name in ("DeadLetterQueue", "DeliveryQueue")
    ]
    return ("--dead-letter-queue-url", urls[0], "--delivery-queue-url", urls[1])


@pytest.fixture
def failed(dispatch, service):
    """Two deliveries that have finally failed; the second one has been retried."""
    dispatch("override", "set", "ada", "TEST", "--config", "failure=permanent")
    dispatch("override", "set", "ada", "TEST", "--config", "fail_attempts=9")
    for content in ("One.", "Two."):
        dispatch("send", "ada", content)
        service.deliver()
    second, first = (delivery["delivery_id"] for delivery in history(dispatch))
    dispatch("retry", "ada", second)
    return first, second


def history(dispatch):
    """Return the deliveries, newest first."""
    return json.loads(dispatch("history", "ada", "-o", "json").stdout)["deliveries"]


def rounds(dispatch):
    """Return status and round of each delivery, oldest first."""
    return [(each["status"], each["round"]) for each in reversed(history(dispatch))]


def deliver_all(service):
    """Call the worker until both of its queues are empty."""
    queues = ("DeliveryQueue", "RetryQueue")
    while bodies := {queue: found for queue in queues if (found := service.messages(queue))}:
        for queue, found in bodies.items():
            service.deliver(*found, queue=queue)


def put(url, *bodies):
    """Send messages to a queue."""
    for body in bodies:
        text = body if isinstance(body, str) else json.dumps(body)
        boto3.client("sqs").send_message(QueueUrl=url, MessageBody=text)


def listed(dispatch, queues):
    """Return the dead letters in the order in which they are listed."""
    return json.loads(dispatch("dead-letters", "list", *queues, "-o", "json").stdout)[
        "dead_letters"
    ]


def test_the_list_shows_the_effect_of_a_redrive(dispatch, failed, queues):
    """Each dead letter has its delivery's status; listing leaves all of them in the queue."""
    lists = [listed(dispatch, queues) for _ in range(2)]

    first, second = failed
    names = ("kind", "user_id", "delivery_id", "round", "status", "error_code", "redrive")
    expected = [
        ("redrive", "ada", first, 2, "failed", "rehearsed_failure", "new round"),
        ("redrive", "ada", second, 2, "pending", None, "no effect: pending, round 2"),
    ]
    assert [
        sorted(tuple(letter[name] for name in names) for letter in letters) for letters in lists
    ] == [sorted(expected)] * 2


@pytest.mark.parametrize(
    ("body", "row"),
    [
        ("nonsense", "- parked -"),
        ("[1]", "- parked -"),
        ("[" * 100_000, "- parked -"),
        ({**LETTER, "v": 1}, "- parked -"),
        ({**LETTER, "round": "2"}, "- parked -"),
        ({**LETTER, "user_id": "a/../b"}, "- parked -"),
        ({**LETTER, "delivery_id": "d-1"}, "- parked -"),
        (LETTER, f"- no effect {LETTER['delivery_id']}"),
        (DOORBELL, "- rings -"),
    ],
    ids=["text", "list", "deep", "version", "round", "user", "delivery", "unknown", "doorbell"],
)
def test_every_queue_message_is_listed(dispatch, queues, body, row):
    """Doorbells and foreign, malformed and outdated messages are listed with their effect."""
    put(queues[1], body)

    result = dispatch("dead-letters", "list", *queues)

    assert result.exit_code == 0
    assert " ".join(result.stdout.splitlines()[1].split()).endswith(f" {row}")


def test_a_doorbell_is_listed_with_its_request(dispatch, queues):
    """A doorbell that crashed ten times names the request to look up."""
    put(queues[1], DOORBELL)

    (row,) = listed(dispatch, queues)
    result = dispatch("dead-letters", "list", *queues)

    del row["queue_message_id"], row["sent_at"]
    assert row == {
        **dict.fromkeys(row),
        "kind": "message",
        "user_id": "ada",
        "message_id": DOORBELL["message_id"],
        "request_id": "r-1",
        "redrive": "rings",
        "body": json.dumps(DOORBELL),
    }
    assert result.stdout.splitlines()[2].strip() == "to ada; request r-1"


def test_an_id_is_not_broken(dispatch, failed, queues):
    """At 80 columns an ID is on one line, the rest below, and the effects are explained."""
    first, second = failed

    result = dispatch("dead-letters", "list", *queues)

    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert any(line.endswith(f"TEST new round {first}") for line in lines)
    assert "to ada; rehearsed_failure: TEST is configured to fail" in lines
    assert any(line.endswith(f"TEST no effect {second}") for line in lines)
    assert "to ada; pending, round 2" in lines
    assert result.stderr.splitlines() == [
        "new round: the delivery gets a new round of attempts",
        "no effect: the delivery is unknown, or is not failed in the round before",
    ]


def test_an_empty_queue_is_purged_without_a_question(dispatch, queues):
    """An empty queue asks for no confirmation."""
    result = dispatch("dead-letters", "purge", *queues)

    assert (result.exit_code, result.stdout) == (0, "The dead-letter queue is empty.\n")


def test_a_redrive_starts_one_new_round(dispatch, service, failed, queues):
    """Each dead letter starts one round; the one of a retried delivery has no effect."""
    number = dead_letter_queue.move(
        dead_letter_queue.queues_of_urls({}, queues[1], queues[3]), lambda _: None
    )
    deliver_all(service)

    assert number == 2
    assert rounds(dispatch) == [("failed", 2), ("failed", 2)]
    # The dead letters of round 2, and no others.
    assert [json.loads(body)["round"] for body in service.messages("DeadLetterQueue")] == [3, 3]


def test_a_redrive_moves_every_queue_message(service, queues):
    """Doorbells and foreign messages are moved like dead letters: sent before they are deleted."""
    put(queues[1], DOORBELL, "nonsense")
    progress = []

    number = dead_letter_queue.move(
        dead_letter_queue.queues_of_urls({}, queues[1], queues[3]), progress.append
    )

    assert (number, progress) == (2, [1, 2])
    assert service.messages("DeadLetterQueue") == []
    assert sorted(service.messages("DeliveryQueue")) == sorted([json.dumps(DOORBELL), "nonsense"])


def test_a_move_leaves_the_dead_letters_of_the_next_round(service, queues):
    """A delivery that fails again during the move is not redriven endlessly."""
    letters = [{**LETTER, "round": number} for number in (2, 2, 3)]
    put(queues[1], *letters)

    number = dead_letter_queue.move(
        dead_letter_queue.queues_of_urls({}, queues[1], queues[3]), lambda _: None
    )

    assert number == 2
    assert list(map(json.loads, service.messages("DeliveryQueue"))) == letters[:2]
    assert list(map(json.loads, service.messages("DeadLetterQueue"))) == letters[2:]


def test_a_dry_run_and_a_missing_confirmation_change_nothing(dispatch, failed, queues, service):
    """A purge cannot be undone, so it needs --yes or a confirmation."""
    dry_runs = [
        dispatch("dead-letters", command, *queues, "--dry-run", "-o", "json")
        for command in ("redrive", "purge")
    ]
    unconfirmed = dispatch("dead-letters", "purge", *queues)

    assert [json.loads(result.stdout) for result in dry_runs] == [
        {"would_redrive": 2},
        {"would_purge": 2},
    ]
    assert unconfirmed.exit_code == 2
    assert len(service.messages("DeadLetterQueue")) == 2


def test_after_a_purge_the_deliveries_are_still_failed(dispatch, failed, queues, service):
    """Purged dead letters are gone; a single delivery can still be retried."""
    result = dispatch("dead-letters", "purge", *queues, "--yes")

    assert result.exit_code == 0
    assert service.messages("DeadLetterQueue") == []
    assert rounds(dispatch) == [("failed", 1), ("pending", 2)]


class MovingQueue:
    """Responds as SQS does during a move task."""

    def __init__(self, *tasks):
        self._tasks = iter(tasks)

    def get_queue_attributes(self, **_):
        """Return an ARN."""
        return {"Attributes": {"QueueArn": "arn"}}

    def list_message_move_tasks(self, **_):
        """Return the current state of the task."""
        return {"Results": [next(self._tasks)]}


def task(status, moved, **more):
    """Return a move task as SQS describes it."""
    return {"Status": status, "ApproximateNumberOfMessagesMoved": moved, **more}


def moving(*tasks):
    """Return queues with a move task in these states."""
    queues = dead_letter_queue.Queues("dead", "delivery", None)
    vars(queues)["sqs"] = MovingQueue(*tasks)
    return queues


def test_a_move_task_is_watched_to_its_end():
    """The progress is reported until the task has completed."""
    progress, pauses = [], []

    number = dead_letter_queue.watch_move(
        moving(task("RUNNING", 3), task("COMPLETED", 7)), progress.append, pauses.append
    )

    assert (number, progress, pauses) == (7, [3, 7], [dead_letter_queue.POLL_SECONDS])


def test_a_failed_move_task_is_an_error():
    """The error has SQS's reason."""
    failed = moving(task("FAILED", 2, FailureReason="AccessDenied"))

    with pytest.raises(RejectedFailure, match="after 2 dead letters: AccessDenied"):
        dead_letter_queue.watch_move(failed, print, print)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "No queues are given."),
        (("--stack-file", "/nowhere"), "cannot be read"),
        (("--stack-file", __file__), "is not JSON"),
    ],
)
def test_without_queues_nothing_is_purged(alone, options, message):
    """Missing and unreadable options are wrong usage."""
    result = alone("dead-letters", "purge", "--yes", *options)

    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_the_queues_of_a_local_stack_are_in_its_file(tmp_path):
    """The file has the queues and the address of the local cloud."""
    file = tmp_path / "stack.json"
    urls = {"DeadLetterQueueUrl": "dead", "DeliveryQueueUrl": "delivery"}
    file.write_text(json.dumps({**urls, "endpoint_url": "http://localhost:4566"}))

    queues = dead_letter_queue.queues_of_file({}, file)

    assert (queues.dead_letters, queues.deliveries) == ("dead", "delivery")
    assert queues.sqs.meta.endpoint_url == "http://localhost:4566"


def test_the_region_comes_from_the_environment():
    """AWS_REGION is respected like in the AWS CLI; boto3 alone ignores it."""
    queues = dead_letter_queue.queues_of_urls(
        {"AWS_REGION": "ap-southeast-4"}, "https://d", "https://q"
    )

    assert queues.session.region_name == "ap-southeast-4"


def test_another_stack_is_recognized(tmp_path):
    """A stack without the queue outputs is not a dispatcher's."""
    file = tmp_path / "stack.json"
    file.write_text("{}")

    with pytest.raises(UsageFailure, match="has no output DeadLetterQueueUrl"):
        dead_letter_queue.queues_of_file({}, file)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ClientError({"Error": {"Code": "AccessDenied"}}, "X"), NotAuthorizedFailure),
        (ClientError({"Error": {"Code": "Other", "Message": "no"}}, "X"), RejectedFailure),
        (NoCredentialsError(), NotAuthorizedFailure),
        (NoRegionError(), UsageFailure),
        (EndpointConnectionError(endpoint_url="https://sqs"), UnreachableFailure),
    ],
)
def test_each_aws_error_has_its_exit_code(error, failure):
    """Errors of AWS become failures of the fitting kind."""

    class Queue(MovingQueue):
        """A queue that raises the error."""

        def purge_queue(self, **_):
            """Raise the error."""
            raise error

    queues = dead_letter_queue.Queues("dead", "delivery", None)
    vars(queues)["sqs"] = Queue()

    with pytest.raises(failure):
        dead_letter_queue.purge(queues)


@pytest.mark.parametrize("code", ["InvalidAction", "AWS.SimpleQueueService.UnsupportedOperation"])
def test_a_cloud_without_move_tasks_is_recognized(code):
    """Then the messages are moved one by one."""

    class Queue(MovingQueue):
        """A queue without move tasks."""

        def start_message_move_task(self, **_):
            """Reject the action."""
            raise ClientError({"Error": {"Code": code}}, "StartMessageMoveTask")

    queues = dead_letter_queue.Queues("dead", "delivery", None)
    vars(queues)["sqs"] = Queue()

    assert dead_letter_queue.start_move(queues) is False
