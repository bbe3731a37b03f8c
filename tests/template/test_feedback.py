"""Reports of providers: what exists with which transport, and what it lets through."""

from __future__ import annotations

import pytest

from tests.declared import template as read_template

PARAMETERS = read_template()["Parameters"]
CONDITIONS = read_template()["Conditions"]
EMAIL = {"EmailConfiguration", "EmailEvents", "EmailEventsRule"}
TEXT_MESSAGES = {"SmsConfiguration", "SmsEventsTopic", "SmsEventsTopicPolicy"}
QUEUE = {"FeedbackQueue", "AcceptFeedbackFunction", "FeedbackMapping"}

SES = {"EmailSender": "news@example.com"}
SMTP = {**SES, "SmtpHost": "smtp.example.com"}
SNS = {"SmsEnabled": "true"}
END_USER_MESSAGING = {**SNS, "SmsTransport": "end-user-messaging"}


def holds(condition, values):
    """Evaluate a condition over parameter values."""
    match condition:
        case {"Fn::Equals": [left, right]}:
            return holds(left, values) == holds(right, values)
        case {"Fn::And": parts}:
            return all(holds(part, values) for part in parts)
        case {"Fn::Or": parts}:
            return any(holds(part, values) for part in parts)
        case {"Fn::Not": [inner]}:
            return not holds(inner, values)
        case {"Condition": name}:
            return holds(CONDITIONS[name], values)
        case {"Ref": name}:
            return values.get(name, str(PARAMETERS[name].get("Default", "dev")))
    return condition


def existing(declared, values):
    """Return the names of what exists with these parameters."""
    return {
        name
        for name, one in declared.items()
        if "Condition" not in one or holds(CONDITIONS[one["Condition"]], values)
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, set()),
        (SMTP, set()),
        ({**SMTP, **SNS}, set()),
        ({"SmsTransport": "end-user-messaging"}, set()),
        (SES, {*EMAIL, *QUEUE, "FeedbackQueuePolicy"}),
        (END_USER_MESSAGING, {*TEXT_MESSAGES, *QUEUE, "FeedbackQueuePolicy"}),
        (
            {**SES, **END_USER_MESSAGING},
            {*EMAIL, *TEXT_MESSAGES, *QUEUE, "FeedbackQueuePolicy"},
        ),
        ({"Stage": "local", **SMTP}, QUEUE),
        ({"Stage": "local", **END_USER_MESSAGING}, QUEUE),
    ],
)
def test_what_reports_need_exists_only_with_their_provider(template, values, expected):
    """Without SES no resource of it exists; the local cloud has the queue, and no provider."""
    every = {*EMAIL, *TEXT_MESSAGES, *QUEUE, "FeedbackQueuePolicy"}

    assert existing(template["Resources"], values) & every == expected
    outputs = existing(template["Outputs"], values)
    assert ("FeedbackQueueUrl" in outputs) == (expected >= QUEUE)


def test_ses_reports_to_the_default_bus(resources):
    """The only bus that SES accepts; the worker names the configuration set after the stack."""
    events = resources["EmailEvents"]["Properties"]

    assert resources["EmailConfiguration"]["Properties"] == {
        "Name": {"Ref": "AWS::StackName"},
        "SuppressionOptions": {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]},
    }
    assert events["ConfigurationSetName"] == {"Ref": "EmailConfiguration"}
    assert events["EventDestination"] == {
        "Enabled": True,
        "MatchingEventTypes": [
            *("bounce", "complaint", "deliveryDelay", "reject"),
            {"Fn::If": ["HasAllReceipts", "delivery", {"Ref": "AWS::NoValue"}]},
        ],
        "EventBridgeDestination": {
            "EventBusArn": {
                "Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}"
                ":event-bus/default"
            }
        },
    }


def test_the_rule_passes_this_stacks_mails_alone(resources):
    """Several stacks of an account share the default bus."""
    rule = resources["EmailEventsRule"]["Properties"]

    assert "EventBusName" not in rule
    assert rule["EventPattern"] == {
        "source": ["aws.ses"],
        "detail": {"mail": {"tags": {"dispatcher": [{"Ref": "AWS::StackName"}]}}},
    }
    assert rule["Targets"] == [
        {
            "Id": "feedback",
            "Arn": {"Fn::GetAtt": "FeedbackQueue.Arn"},
            "DeadLetterConfig": {"Arn": {"Fn::GetAtt": "ParkedQueue.Arn"}},
        }
    ]


def test_text_messages_report_to_a_topic_of_their_own(resources):
    """The service may publish for this account alone, and the queue hears of it."""
    topic = {"Ref": "SmsEventsTopic"}
    [destination] = resources["SmsConfiguration"]["Properties"]["EventDestinations"]
    [statement] = resources["SmsEventsTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert resources["SmsConfiguration"]["Properties"]["ConfigurationSetName"] == {
        "Ref": "AWS::StackName"
    }
    assert destination["SnsDestination"] == {"TopicArn": topic}
    assert destination["MatchingEventTypes"] == [
        *("TEXT_DELIVERED", "TEXT_BLOCKED", "TEXT_CARRIER_BLOCKED", "TEXT_INVALID"),
    ]
    assert resources["SmsEventsTopic"]["Properties"]["Subscription"] == [
        {"Protocol": "sqs", "Endpoint": {"Fn::GetAtt": "FeedbackQueue.Arn"}}
    ]
    assert statement == {
        "Sid": "EventsOfThisAccount",
        "Effect": "Allow",
        "Principal": {"Service": "sms-voice.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    }
