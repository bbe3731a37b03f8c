"""The outcome bus: what subscribers get, read from a queue behind a rule."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from dispatcher.adapters.eventbridge import EventBridgePublisher
from dispatcher.delivery.outcomes import Retry
from dispatcher.errors import UnavailableError
from tests.world import USER, World

PAGE = Path(__file__).parents[2] / "docs" / "outcome-events.md"
SHOWN, PATTERN = map(json.loads, re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL))


@pytest.fixture
def failed():
    """A delivery that failed after a retry."""
    world = World(INTEGRATION_DEFAULTS_TEST_RETRY_COUNT="1")
    world.channels["TEST"].outcomes = [Retry("http_503", "the receiver answered 503")] * 2
    (only,) = world.send(request_id="r-1", session_id="s-1")
    world.run()
    return world.row(only)


@pytest.fixture
def subscriber(aws):
    """A queue that gets what the pattern of the page lets through."""
    events, sqs = aws("events"), aws("sqs")
    events.create_event_bus(Name="outcomes")
    url = sqs.create_queue(QueueName="subscriber")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    events.put_rule(Name="failed", EventBusName="outcomes", EventPattern=json.dumps(PATTERN))
    target = {"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}
    events.put_targets(Rule="failed", EventBusName="outcomes", Targets=[target])
    return lambda: [
        json.loads(message["Body"])
        for message in sqs.receive_message(QueueUrl=url).get("Messages", ())
    ]


def test_a_subscriber_gets_the_delivery_as_the_history_lists_it(aws, subscriber, failed):
    """Without the log of its attempts, and shaped like the event that the page shows."""
    EventBridgePublisher(aws("events"), "outcomes").tell(failed)

    (event,) = subscriber()
    assert event["detail"] == failed.as_json()
    assert (event["source"], event["detail-type"]) == (SHOWN["source"], SHOWN["detail-type"])
    assert list(event["detail"]) == list(SHOWN["detail"])
    assert (event["detail"]["user_id"], event["detail"]["status"]) == (USER, "failed")


def test_an_entry_that_was_not_taken_is_a_failure(failed):
    """The call succeeds all the same."""
    answer = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}
    outcomes = EventBridgePublisher(SimpleNamespace(put_events=lambda **_: answer), "outcomes")

    with pytest.raises(UnavailableError, match="took no event: ThrottlingException"):
        outcomes.tell(failed)


def test_a_call_that_fails_says_so(aws, failed):
    """By AWS's own code, never its text, which quotes the input."""
    events = aws("events")

    def refuse(**_):
        raise events.exceptions.InternalException(
            {"Error": {"Code": "InternalException", "Message": "ada"}}, "PutEvents"
        )

    with pytest.raises(UnavailableError, match=r"^PutEvents failed: InternalException$"):
        EventBridgePublisher(SimpleNamespace(put_events=refuse), "outcomes").tell(failed)
