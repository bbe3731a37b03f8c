"""Queues: nothing is lost between them, and no foreign principal has access."""

from __future__ import annotations

import pytest

DAYS = 86_400
REDRIVES = [
    ("DeliveryQueue", "DeadLetterQueue"),
    ("RetryQueue", "DeadLetterQueue"),
    ("IntakeQueue", "ParkedQueue"),
    ("FeedbackQueue", "ParkedQueue"),
]
RECEIVES = {"DeliveryQueue": 10, "RetryQueue": 10, "IntakeQueue": 100, "FeedbackQueue": 20}


@pytest.fixture
def queues(resources):
    """The properties of all queues by logical ID."""
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::SQS::Queue"
    }


@pytest.fixture
def mappings(resources):
    """The properties of what feeds queues to functions."""
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Lambda::EventSourceMapping"
    }


def arn(name):
    """Refer to a resource's ARN."""
    return {"Fn::GetAtt": f"{name}.Arn"}


def test_there_are_six_and_all_are_standard_and_encrypted(queues):
    """Doorbells need no order; SSE-SQS needs no additional right."""
    fifo = {name for name, queue in queues.items() if "FifoQueue" in queue}
    encrypted = {name for name, queue in queues.items() if queue["SqsManagedSseEnabled"] is True}

    assert set(queues) == encrypted
    assert set(queues) == {name for pair in REDRIVES for name in pair}
    assert fifo == set()


@pytest.mark.parametrize(("source", "target"), REDRIVES)
def test_a_message_that_keeps_crashing_ends_where_a_person_looks(queues, source, target):
    """After ten receives, an event after a hundred: no sweeper rings for that one again.

    A report waits 20 minutes for its delivery's record.

    The target keeps it longer, counted from the first time it was sent.
    """
    redrive = queues[source]["RedrivePolicy"]

    assert redrive == {"deadLetterTargetArn": arn(target), "maxReceiveCount": RECEIVES[source]}
    assert queues[source]["MessageRetentionPeriod"] == 4 * DAYS
    assert queues[target]["MessageRetentionPeriod"] == 14 * DAYS
    assert "RedrivePolicy" not in queues[target]


def test_a_queue_waits_six_times_as_long_as_its_function_may_take(queues, mappings, functions):
    """Less, and Lambda's own repeats of a throttled call would count as crashes."""
    waits = {
        mapping["EventSourceArn"]["Fn::GetAtt"].removesuffix(".Arn"): functions[
            mapping["FunctionName"]["Ref"]
        ]["Timeout"]
        for mapping in mappings.values()
    }

    visible_after = {name: queues[name]["VisibilityTimeout"] for name in waits}

    assert visible_after == {name: 6 * timeout for name, timeout in waits.items()}
    timeouts = {"DeliveryQueue": 120, "RetryQueue": 120, "IntakeQueue": 60, "FeedbackQueue": 10}
    assert waits == timeouts


@pytest.mark.parametrize(
    ("mapping", "queue", "function"),
    [
        ("DeliveryMapping", "DeliveryQueue", "DeliverMessagesFunction"),
        ("RetryMapping", "RetryQueue", "DeliverMessagesFunction"),
        ("IntakeMapping", "IntakeQueue", "AcceptEventsFunction"),
        ("FeedbackMapping", "FeedbackQueue", "AcceptFeedbackFunction"),
    ],
)
def test_a_bad_message_does_not_bring_its_batch_back(mappings, mapping, queue, function):
    """Records fail one by one, and concurrency is bounded before messages are received."""
    declared = mappings[mapping]

    assert declared == {
        "EventSourceArn": arn(queue),
        "FunctionName": {"Ref": function},
        "BatchSize": 10,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {
            "MaximumConcurrency": {"Fn::If": ["IsLocal", 5, {"Ref": "WorkerConcurrency"}]}
        },
    }


def test_no_function_is_bounded_by_reserved_concurrency(functions):
    """It throttles after messages were received, and good ones end as dead letters."""
    reserved = [name for name, one in functions.items() if "ReservedConcurrentExecutions" in one]

    assert reserved == []


def deny_without_tls(queue):
    """Return the statement that refuses plain http to a queue."""
    return {
        "Sid": "EncryptedTransportOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": arn(queue),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


@pytest.mark.parametrize("queue", ["DeliveryQueue", "RetryQueue", "DeadLetterQueue"])
def test_a_work_queue_refuses_plain_http(resources, template, queue):
    """Except in the local cloud, which speaks http and would obey."""
    policy = resources[f"{queue}Policy"]

    assert template["Conditions"]["HasTls"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "Stage"}, "local"]}]
    }
    assert policy["Condition"] == "HasTls"
    assert policy["Properties"]["Queues"] == [{"Ref": queue}]
    assert policy["Properties"]["PolicyDocument"]["Statement"] == [deny_without_tls(queue)]


@pytest.mark.parametrize(
    ("queue", "sid", "rules"),
    [
        ("IntakeQueue", "EventsOfOurRule", arn("ResponseReadyRule")),
        (
            "ParkedQueue",
            "DeadLettersOfOurRules",
            [
                arn("ResponseReadyRule"),
                {"Fn::If": ["HasSes", arn("EmailEventsRule"), {"Ref": "AWS::NoValue"}]},
            ],
        ),
    ],
)
def test_events_enter_through_our_own_rules_alone(resources, queue, sid, rules):
    """EventBridge may send to the intake, and undeliverable events to the parked queue."""
    policy = resources[f"{queue}Policy"]

    assert "Condition" not in policy
    assert policy["Properties"]["Queues"] == [{"Ref": queue}]
    assert policy["Properties"]["PolicyDocument"]["Statement"] == [
        {
            "Sid": sid,
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn(queue),
            "Condition": {"ArnEquals": {"aws:SourceArn": rules}},
        },
        {"Fn::If": ["HasTls", deny_without_tls(queue), {"Ref": "AWS::NoValue"}]},
    ]


def test_reports_enter_through_our_own_rule_and_topic_alone(resources):
    """Each of the two only where its provider is used."""
    policy = resources["FeedbackQueuePolicy"]
    rule, topic, transport = policy["Properties"]["PolicyDocument"]["Statement"]

    def allowed(sid, service, source):
        return {
            "Sid": sid,
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sqs:SendMessage",
            "Resource": arn("FeedbackQueue"),
            "Condition": {"ArnEquals": {"aws:SourceArn": source}},
        }

    without = {"Ref": "AWS::NoValue"}
    ses = allowed("EventsOfOurRule", "events.amazonaws.com", arn("EmailEventsRule"))
    sms = allowed("EventsOfOurTopic", "sns.amazonaws.com", {"Ref": "SmsEventsTopic"})
    assert policy["Condition"] == "HasReports"
    assert rule == {"Fn::If": ["HasSes", ses, without]}
    assert topic == {"Fn::If": ["HasSmsEvents", sms, without]}
    assert transport == {"Fn::If": ["HasTls", deny_without_tls("FeedbackQueue"), without]}


def test_the_rule_passes_events_on_as_they_are(resources):
    """The intake needs the event's own ID, so nothing is taken out of it on the way."""
    rule = resources["ResponseReadyRule"]["Properties"]

    assert rule["EventBusName"] == {"Ref": "IntakeBusName"}
    assert rule["EventPattern"] == {"detail-type": ["agent.response-ready"]}
    assert rule["Targets"] == [
        {
            "Id": "intake",
            "Arn": arn("IntakeQueue"),
            "DeadLetterConfig": {"Arn": arn("ParkedQueue")},
        }
    ]
