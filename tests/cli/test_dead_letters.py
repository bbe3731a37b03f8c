"""Tickets of deliveries that failed for good, by SQS's own task and by hand."""

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
    RefusedFailure,
    UnreachableFailure,
    UsageFailure,
)


@pytest.fixture
def queues(service, monkeypatch):
    """The options that name the queues, and credentials that nobody looks at."""
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
    """Two deliveries that failed for good; the second was started over meanwhile."""
    dispatch("override", "set", "ada", "TEST", "--config", "failure=permanent")
    dispatch("override", "set", "ada", "TEST", "--config", "fail_attempts=9")
    for content in ("One.", "Two."):
        dispatch("send", "ada", content)
        service.deliver()
    shown = json.loads(dispatch("history", "ada", "-o", "json").stdout)["deliveries"]
    second, first = (one["delivery_id"] for one in shown)
    dispatch("retry", "ada", second)
    return first, second


def statuses(dispatch):
    """Return status and round of each delivery, oldest first."""
    shown = json.loads(dispatch("history", "ada", "-o", "json").stdout)["deliveries"]
    return [(one["status"], one["round"]) for one in reversed(shown)]


def test_the_list_says_what_redriving_each_would_do(dispatch, failed, queues):
    """And gives every ticket back: a second look sees the same."""
    looks = [dispatch("dead-letters", "list", *queues, "-o", "json") for _ in range(2)]

    seen = [
        [(one["delivery_id"], one["status"], one["redrive"]) for one in shown["tickets"]]
        for shown in (json.loads(look.stdout) for look in looks)
    ]
    first, second = failed
    expected = [(first, "failed", "starts over"), (second, "pending", "nothing: pending, round 2")]
    assert sorted(seen[0]) == sorted(seen[1]) == sorted(expected)


def test_what_is_no_ticket_is_listed_too(dispatch, service, queues):
    """Whatever lies there, a person should see it."""
    sqs = boto3.client("sqs")
    for body in ("nonsense", '{"v":1,"kind":"request","user_id":"ada","request_id":"r"}', "[1]"):
        sqs.send_message(QueueUrl=queues[1], MessageBody=body)

    shown = dispatch("dead-letters", "list", *queues)

    assert shown.exit_code == 0
    assert "nonsense" in shown.stdout
    assert "rings again" in shown.stdout


def test_an_id_stays_in_one_piece_beside_its_reason(dispatch, failed, queues):
    """At 80 columns; and what the column means is told."""
    first, second = failed

    shown = dispatch("dead-letters", "list", *queues)

    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert any(line.endswith(f"TEST starts over {first}") for line in lines)
    assert "to ada; rehearsed_failure: TEST was asked to fail" in lines
    assert any(line.endswith(f"TEST nothing {second}") for line in lines)
    assert any("pending, round 2" in line for line in lines)
    assert "starts over = the delivery begins another round" in " ".join(shown.stderr.split())


def test_nobody_is_asked_about_an_empty_queue(dispatch, queues):
    """There is nothing to be sure of."""
    shown = dispatch("dead-letters", "purge", *queues)

    assert (shown.exit_code, shown.stdout) == (0, "There is nothing to throw away.\n")


def test_moved_by_hand_each_ticket_starts_its_delivery_over_once(dispatch, service, failed, queues):
    """Sent before it is deleted; the one that came too late does nothing."""
    seen = []

    number = dead_letter_queue.move(
        dead_letter_queue.place_of_urls({}, queues[1], queues[3]), seen.append
    )
    service.deliver()  # the tickets, which ring
    service.deliver()

    assert (number, seen) == (2, [1, 2])
    assert statuses(dispatch) == [("failed", 2), ("failed", 2)]
    # Their new tickets, and no other.
    assert len(service.doorbells("DeadLetterQueue")) == 2


def test_a_dry_run_and_an_unsure_person_change_nothing(dispatch, failed, queues, service):
    """Purging cannot be undone."""
    dry = [
        dispatch("dead-letters", verb, *queues, "--dry-run", "-o", "json")
        for verb in ("redrive", "purge")
    ]
    unsure = dispatch("dead-letters", "purge", *queues)

    assert [json.loads(one.stdout) for one in dry] == [{"would_redrive": 2}, {"would_purge": 2}]
    assert unsure.exit_code == 2
    assert len(service.doorbells("DeadLetterQueue")) == 2


def test_purged_tickets_are_gone_and_their_deliveries_stay_failed(
    dispatch, failed, queues, service
):
    """They can still be retried one by one."""
    purged = dispatch("dead-letters", "purge", *queues, "--yes")

    assert purged.exit_code == 0
    assert service.doorbells("DeadLetterQueue") == []
    assert statuses(dispatch) == [("failed", 1), ("pending", 2)]


class MovingQueue:
    """Answers as SQS does while it moves messages by itself."""

    def __init__(self, *tasks):
        self._tasks = iter(tasks)

    def get_queue_attributes(self, **_):
        """Return a name."""
        return {"Attributes": {"QueueArn": "arn"}}

    def list_message_move_tasks(self, **_):
        """Return the task as it is now."""
        return {"Results": [next(self._tasks)]}


def task(status, moved, **more):
    """Return a task as SQS shows it."""
    return {"Status": status, "ApproximateNumberOfMessagesMoved": moved, **more}


def place(*tasks):
    """Return a place whose queue is in motion."""
    found = dead_letter_queue.Place("dead", "delivery", None)
    vars(found)["sqs"] = MovingQueue(*tasks)
    return found


def test_a_move_by_sqs_is_watched_to_its_end():
    """With how far it is."""
    seen, pauses = [], []

    number = dead_letter_queue.watch_move(
        place(task("RUNNING", 3), task("COMPLETED", 7)), seen.append, pauses.append
    )

    assert (number, seen, pauses) == (7, [3, 7], [dead_letter_queue.POLL])


def test_a_move_that_stops_is_a_failure():
    """With SQS's own reason."""
    broken = place(task("FAILED", 2, FailureReason="AccessDenied"))

    with pytest.raises(RefusedFailure, match="after 2 tickets: AccessDenied"):
        dead_letter_queue.watch_move(broken, print, print)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "Which queues?"),
        (("--stack-file", "/nowhere"), "cannot be read"),
        (("--stack-file", __file__), "cannot be read"),
    ],
)
def test_without_the_queues_nothing_is_done(alone, words, told):
    """It says how to name them."""
    shown = alone("dead-letters", "purge", "--yes", *words)

    assert shown.exit_code == 2
    assert told in shown.stderr


def test_the_queues_of_a_local_stack_are_in_its_file(tmp_path):
    """With the address of the local cloud, and credentials that it takes."""
    file = tmp_path / "stack.json"
    known = {"DeadLetterQueueUrl": "dead", "DeliveryQueueUrl": "delivery"}
    file.write_text(json.dumps({**known, "endpoint_url": "http://localhost:4566"}))

    found = dead_letter_queue.place_of_file({}, file)

    assert (found.dead_letters, found.deliveries) == ("dead", "delivery")
    assert found.sqs.meta.endpoint_url == "http://localhost:4566"


def test_the_region_is_that_of_the_environment():
    """By the name that the AWS CLI reads, and boto3 does not."""
    place = dead_letter_queue.place_of_urls(
        {"AWS_REGION": "ap-southeast-4"}, "https://d", "https://q"
    )

    assert place.session.region_name == "ap-southeast-4"


def test_a_stack_of_somebody_else_is_noticed(tmp_path):
    """It has no such queues."""
    file = tmp_path / "stack.json"
    file.write_text("{}")

    with pytest.raises(UsageFailure, match="has no output DeadLetterQueueUrl"):
        dead_letter_queue.place_of_file({}, file)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ClientError({"Error": {"Code": "AccessDenied"}}, "X"), NotAuthorizedFailure),
        (ClientError({"Error": {"Code": "Other", "Message": "no"}}, "X"), RefusedFailure),
        (NoCredentialsError(), NotAuthorizedFailure),
        (NoRegionError(), UsageFailure),
        (EndpointConnectionError(endpoint_url="https://sqs"), UnreachableFailure),
    ],
)
def test_what_aws_says_is_put_in_words(error, failure):
    """Each kind with the exit code of its own."""

    class Queue(MovingQueue):
        """One that is not to be had."""

        def purge_queue(self, **_):
            """Refuse."""
            raise error

    found = dead_letter_queue.Place("dead", "delivery", None)
    vars(found)["sqs"] = Queue()

    with pytest.raises(failure):
        dead_letter_queue.purge(found)


@pytest.mark.parametrize("code", ["InvalidAction", "AWS.SimpleQueueService.UnsupportedOperation"])
def test_a_cloud_without_move_tasks_is_noticed(code):
    """Then the move is made by hand."""

    class Queue(MovingQueue):
        """One that was never taught to move."""

        def start_message_move_task(self, **_):
            """Do not know what this is."""
            raise ClientError({"Error": {"Code": code}}, "StartMessageMoveTask")

    found = dead_letter_queue.Place("dead", "delivery", None)
    vars(found)["sqs"] = Queue()

    assert dead_letter_queue.start_move(found) is False
