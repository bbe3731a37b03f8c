"""The outcome bus: the events that subscribers get, read from a queue behind a rule."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from dispatcher.adapters.eventbridge import EventBridgePublisher
from dispatcher.delivery.describe import delivery_response
from dispatcher.delivery.outcomes import Retry
from dispatcher.errors import UnavailableError
from tests.world import USER, World

PAGE = Path(__file__).parents[2] / "docs" / "outcome-events.md"
SHOWN, PATTERN, CHANGE, *_ = map(
    json.loads, re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
)


@pytest.fixture
def failed():
    """A message row whose second delivery failed after a retry, and its place."""
    world = World(INTEGRATION_DEFAULTS_TEST_RETRY_COUNT="1")
    world.channels["TEST"].outcomes = [Retry("http_503", "the receiver returned 503")] * 2
    world.webhook()
    _, second = world.send(request_id="r-1", session_id="s-1", subject="Rain")
    world.run()
    return world.row(second), 1


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
    """The event has no attempt log, and the shape that the page documents."""
    EventBridgePublisher(aws("events"), "outcomes").publish(*failed)

    (event,) = subscriber()
    assert event["detail"] == delivery_response(*failed)
    assert (event["source"], event["detail-type"]) == (SHOWN["source"], SHOWN["detail-type"])
    assert list(event["detail"]) == list(SHOWN["detail"])
    shown = ("user_id", "integration_type", "status", "subject")
    assert [event["detail"][name] for name in shown] == [USER, "TEST", "failed", "Rain"]


def test_a_subscriber_gets_a_change_of_preferences(aws):
    """The event names the changed fields, as the page shows it."""
    events, sqs = aws("events"), aws("sqs")
    events.create_event_bus(Name="outcomes")
    url = sqs.create_queue(QueueName="subscriber")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    pattern = {"source": [SHOWN["source"]], "detail-type": ["preferences.changed"]}
    events.put_rule(Name="changed", EventBusName="outcomes", EventPattern=json.dumps(pattern))
    target = {"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}
    events.put_targets(Rule="changed", EventBusName="outcomes", Targets=[target])

    EventBridgePublisher(events, "outcomes").publish_change(CHANGE)

    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"])["detail"] == CHANGE


def test_an_integration_event_has_the_name_of_the_change():
    """``detail-type`` is the name; the detail is as given."""
    put = []
    response = {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}
    events = SimpleNamespace(put_events=lambda **call: put.append(call) or response)
    change = {"user_id": "ada", "integration_type": "WEBHOOK", "until": None}

    EventBridgePublisher(events, "outcomes").publish_integration("integration.recovered", change)

    [entry] = put[0]["Entries"]
    assert (entry["EventBusName"], entry["DetailType"]) == ("outcomes", "integration.recovered")
    assert json.loads(entry["Detail"]) == change


def test_an_entry_that_was_not_taken_is_a_failure(failed):
    """The call itself succeeds then."""
    response = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}
    events = SimpleNamespace(put_events=lambda **_: response)

    with pytest.raises(UnavailableError, match="accepted no event: ThrottlingException"):
        EventBridgePublisher(events, "outcomes").publish(*failed)


def test_a_call_that_fails_says_so(aws, failed):
    """The error has AWS's code, never its text, which quotes the input."""
    events = aws("events")

    def refuse(**_):
        raise events.exceptions.InternalException(
            {"Error": {"Code": "InternalException", "Message": "ada"}}, "PutEvents"
        )

    with pytest.raises(UnavailableError, match=r"^PutEvents failed: InternalException$"):
        EventBridgePublisher(SimpleNamespace(put_events=refuse), "outcomes").publish(*failed)
