"""TOOL: events on the tool bus, as a tool's rule gets them and as EventBridge refuses them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from channels.tool import LARGEST_ENTRY, channel, detail
from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from dispatcher.integrations.integration import Address
from tests.adapters.channels.aws_peer import ON_AWS, AwsBench, http, json_error, peer_of
from tests.adapters.channels.contract import DELIVERY, ChannelContract, injections, message_for

EVERYBODY = Address("tool", "*")
ENVIRON = {"TOOL_BUS_NAME": "tools"}
PAGE = Path(__file__).parents[3] / "docs" / "tool-events.md"


@pytest.fixture
def bench(receive):
    """The channel before an EventBridge on loopback."""
    peer = peer_of("events", receive)
    return AwsBench(peer, channel(ENVIRON, peer.client), "TOOL", EVERYBODY)


class TestTool(ChannelContract):
    """The contract."""

    integration_type = "TOOL"
    troubles = ON_AWS
    injections = tuple(
        one
        for one in injections("content", "LOG/CLI") + injections("subject", "LOG/CLI")
        # Half a character is refused when a message is accepted.
        if one.payload != "\ud83d"
    )
    needs_address = False


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            http(200, '{"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}'),
            Retry("entry_failed", "EventBridge accepted no event: InternalFailure"),
        ),
        (http(200, "{}"), Retry("entry_failed", "EventBridge accepted no event: unknown")),
        (
            json_error(500, "InternalException"),
            Retry("unavailable", "EventBridge did not accept the event: InternalException"),
        ),
        (
            json_error(400, "AccessDeniedException"),
            Permanent("refused", "EventBridge refused the event: AccessDeniedException"),
        ),
    ],
)
def test_errors_of_eventbridge_have_a_class(bench, answer, expected):
    """A call that succeeds may have failed for its one entry: that is tried again."""
    bench.peer.answers.append(answer)

    outcome = bench.channel.deliver(bench.message())

    assert outcome == expected


def test_an_event_that_is_too_large_is_not_sent(bench):
    """Quotes double when they are written as JSON; EventBridge's response would say less."""
    message = bench.message(content='"' * (128 * 1024))

    outcome = bench.channel.deliver(message)

    size = 14 + len("integration-dispatcherintegration.message" + detail(message))
    reason = f"the event has {size} bytes; EventBridge accepts at most {LARGEST_ENTRY}"
    assert outcome == Permanent("too_large", reason)
    assert bench.received() == []


def test_an_event_says_the_same_on_every_try(bench):
    """A tool that has seen the ``delivery_id`` can drop the second."""
    messages = [bench.message(attempt=1), bench.message(attempt=2, attempted_at=1.8e9 + 60)]

    for message in messages:
        bench.channel.deliver(message)

    first, second = bench.peer.taken
    assert first == second


def documented(number):
    """Return one of the page's blocks of JSON."""
    return json.loads(re.findall(r"```json\n(.+?)```", PAGE.read_text(), re.DOTALL)[number])


@pytest.fixture
def subscriber(aws):
    """Deliver on moto, and return what a queue behind the page's rule gets."""
    events, sqs = aws("events"), aws("sqs")
    events.create_event_bus(Name="tools")
    url = sqs.create_queue(QueueName="tool")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    pattern = json.dumps(documented(1))
    events.put_rule(Name="calendar", EventBusName="tools", EventPattern=pattern)
    target = {"Id": "tool", "Arn": arn["QueueArn"]}
    events.put_targets(Rule="calendar", EventBusName="tools", Targets=[target])

    def deliver(message):
        outcome = channel(ENVIRON, aws).deliver(message)
        got = sqs.receive_message(QueueUrl=url).get("Messages", [])
        return outcome, [json.loads(one["Body"]) for one in got]

    return deliver


def test_a_tool_gets_what_the_page_shows(subscriber):
    """The documented event is the event, field by field."""
    message = message_for(
        "TOOL",
        Address("tool", "calendar"),
        config={"tool_id": "calendar"},
        session_id="session-17",
        subject="Rain",
    )

    outcome, [event] = subscriber(message)

    shown = documented(0)
    assert outcome == Delivered({"event_id": event["id"]})
    assert list(event["detail"]) == list(shown["detail"])
    assert event["detail"] == {
        "delivery_id": DELIVERY,
        "request_id": "r-1",
        "session_id": "session-17",
        "user_id": "ada",
        "tool_id": "calendar",
        "subject": "Rain",
        "content": "Take an umbrella",
        "agent_id": "weather",
    }
    fixed = ("source", "detail-type")
    assert [event[name] for name in fixed] == [shown[name] for name in fixed]


@pytest.mark.parametrize(("tool", "count"), [("*", 1), ("calendar", 1), ("mail", 0)])
def test_the_pages_rule_gets_what_is_for_its_tool(subscriber, tool, count):
    """Its own events and those for every tool."""
    _, events = subscriber(message_for("TOOL", Address("tool", tool)))

    assert len(events) == count
