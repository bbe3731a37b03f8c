"""Tickets of deliveries that failed for good, by SQS's own task and by hand."""

from __future__ import annotations

import json

import boto3
import pytest

from dispatch_cli import tickets


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


def test_moved_by_hand_each_ticket_starts_its_delivery_over_once(dispatch, service, failed, queues):
    """Sent before it is deleted; the one that came too late does nothing."""
    seen = []

    number = tickets.move(tickets.place_of_urls({}, queues[1], queues[3]), seen.append)
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
    found = tickets.Place("dead", "delivery", None)
    vars(found)["sqs"] = MovingQueue(*tasks)
    return found


def test_a_move_by_sqs_is_watched_to_its_end():
    """With how far it is."""
    seen, pauses = [], []

    number = tickets.watch_move(
        place(task("RUNNING", 3), task("COMPLETED", 7)), seen.append, pauses.append
    )

    assert (number, seen, pauses) == (7, [3, 7], [tickets.POLL])


def test_a_move_that_stops_is_a_failure():
    """With SQS's own reason."""
    broken = place(task("FAILED", 2, FailureReason="AccessDenied"))

    with pytest.raises(tickets.RefusedFailure, match="after 2 tickets: AccessDenied"):
        tickets.watch_move(broken, print, print)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "Which queues?"),
        (("--stack-file", "/nowhere"), "cannot be read"),
        (("--stack-file", __file__), "cannot be read"),
    ],
)
def test_without_the_queues_nothing_is_done(dispatch, queues, words, told):
    """It says how to name them."""
    shown = dispatch("dead-letters", "purge", "--yes", *words)

    assert shown.exit_code == 2
    assert told in shown.stderr
