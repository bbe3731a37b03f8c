"""The TEST channel: a mailbox row, or the failure that the override asks for."""

from __future__ import annotations

import pytest

from channels.mailbox import TTL, Mailbox
from channels.test import Rehearsal, channel
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.delivery.ports import Message
from dispatcher.integrations.integration import Address

NOW = 1_800_000_000.125
DELIVERY = "01a3185c-5000-7002-9944-c9c3269e0d37"


def message(attempt: int = 1, **config: object) -> Message:
    """Make a message for ``ada``."""
    return Message(
        delivery_id=DELIVERY,
        request_id="r-1",
        session_id=None,
        agent_id="weather",
        user_id="ada",
        integration_type="TEST",
        subject="Rain",
        content="Take an umbrella",
        config=config,
        secrets={},
        address=Address("mailbox", "ada"),
        round=1,
        attempt=attempt,
        accepted_at=NOW - 1,
        attempted_at=NOW,
    )


class CrashedError(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def rehearsal(dynamodb):
    """The channel on a real table, the sleeps that it asked for, and a crash that can be seen."""

    def crash(code):
        raise CrashedError(code)

    sleeps = []
    channel = Rehearsal(
        Mailbox(dynamodb, "DeliveriesTable"), may_crash=True, sleep=sleeps.append, crash=crash
    )
    return channel, sleeps


def rows(dynamodb) -> list[dict]:
    """Return all rows of the table."""
    return dynamodb.scan(TableName="DeliveriesTable")["Items"]


def test_a_message_is_one_row_however_often_it_is_sent(dynamodb, rehearsal):
    """The row names its delivery, so that a repeated send overwrites its own."""
    deliver = rehearsal[0].deliver

    outcomes = [deliver(message()), deliver(message(attempt=2))]

    assert outcomes == [Delivered(detail="recorded")] * 2
    assert rows(dynamodb) == [
        {
            "user_id": {"S": "ada"},
            "sk": {"S": f"MAILBOX#TEST#{DELIVERY}"},
            "delivery_id": {"S": DELIVERY},
            "request_id": {"S": "r-1"},
            "agent_id": {"S": "weather"},
            "subject": {"S": "Rain"},
            "content": {"S": "Take an umbrella"},
            "created_at": {"N": "1800000000.125"},
            "ttl": {"N": str(1_800_000_000 + TTL)},
        }
    ]


TRANSIENT = Retry("rehearsed_failure", "rehearsed transient failure of attempt {}")
PERMANENT = Permanent("rehearsed_failure", "rehearsed permanent failure of attempt {}")
RECORDED = Delivered(detail="recorded")


@pytest.mark.parametrize(
    ("config", "attempt", "expected"),
    [
        ({"fail_attempts": 2}, 2, TRANSIENT),
        ({"fail_attempts": 2}, 3, RECORDED),
        ({"fail_attempts": 0, "failure": "permanent"}, 1, RECORDED),
        ({"failure": "transient"}, 9, TRANSIENT),
        ({"failure": "permanent"}, 1, PERMANENT),
        ({"fail_attempts": 1, "failure": "permanent"}, 1, PERMANENT),
    ],
)
def test_failures_are_as_ordered(dynamodb, rehearsal, config, attempt, expected):
    """The first attempts fail as the override says, and only the successful one is recorded."""
    outcome = rehearsal[0].deliver(message(attempt, **config))

    detail = expected.detail.format(attempt)
    assert outcome == type(expected)(code=expected.code, detail=detail)
    assert len(rows(dynamodb)) == (1 if expected == RECORDED else 0)


def test_a_crash_ends_the_process(dynamodb, rehearsal):
    """A rehearsed crash leaves no record and no response."""
    with pytest.raises(CrashedError):
        rehearsal[0].deliver(message(failure="crash"))

    assert rows(dynamodb) == []


@pytest.mark.parametrize("stage", ["prod", ""])
def test_no_override_crashes_a_worker_that_is_in_use(dynamodb, stage):
    """One that is older than the rule fails its own delivery, and ends nothing else."""
    environ = {"DELIVERIES_TABLE": "DeliveriesTable", "STAGE": stage, "TEST_ENABLED": "true"}

    outcome = channel(environ, lambda _name: dynamodb).deliver(message(failure="crash"))

    detail = "crashes are rehearsed only in local and dev"
    assert outcome == Permanent("invalid_config", detail)


def test_a_slow_receiver_can_be_rehearsed(rehearsal):
    """The latency is slept before anything else happens."""
    deliver, sleeps = rehearsal[0].deliver, rehearsal[1]

    deliver(message(latency_ms=250))

    assert sleeps == [0.25]


def test_a_rehearsal_ends_within_the_time_of_an_attempt(dynamodb, rehearsal):
    """No latency delays an attempt beyond the time at which the watchdog ends it."""
    deliver, sleeps = rehearsal[0].deliver, rehearsal[1]

    outcome = deliver(message(latency_ms=60_000, failure="crash"))

    assert outcome == Retry("timeout", "rehearsed: slower than the time limit of an attempt")
    assert (sleeps, rows(dynamodb)) == ([9.5], [])


def test_the_channel_is_built_from_the_environment(dynamodb):
    """It writes into the table of deliveries through a DynamoDB client."""
    asked = []

    built = channel(
        {"DELIVERIES_TABLE": "DeliveriesTable"}, lambda name: asked.append(name) or dynamodb
    )

    assert (built.deliver(message()), asked) == (RECORDED, ["dynamodb"])
