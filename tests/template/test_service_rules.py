"""Rules that only the services themselves enforce: no linter and no local cloud reports them.

Each test names the page of the service that states its rule.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.declared import template as read_template

RESOURCES = read_template()["Resources"]
DAY = 86_400


def of(kind):
    """Return the properties of all resources of a type by logical ID."""
    return {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == kind}


def unconditional(part):
    """Return a part as it is when its condition holds."""
    return part["Fn::If"][1] if "Fn::If" in part else part


def as_list(value):
    """Return a list, also of a single value."""
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("policy", of("AWS::SQS::QueuePolicy"))
def test_a_statement_of_a_queue_policy_names_its_own_queue_alone(policy):
    """SQS refuses a statement with several resources: "Invalid value for the parameter Policy".

    Source: SQS Developer Guide, "Special information for SQS policies": each policy covers a single
    queue; remind101/stacker_blueprints#71.
    """
    properties = of("AWS::SQS::QueuePolicy")[policy]
    [queue] = properties["Queues"]
    statements = list(map(unconditional, properties["PolicyDocument"]["Statement"]))

    assert policy == f"{queue['Ref']}Policy"
    for statement in statements:
        assert statement["Resource"] == {"Fn::GetAtt": f"{queue['Ref']}.Arn"}
        assert isinstance(statement["Action"], str)
    names = [statement["Sid"] for statement in statements]
    assert len(names) == len(set(names)) <= 20
    assert len(json.dumps(properties["PolicyDocument"])) <= 8192


def test_a_queue_has_one_policy():
    """A second policy of the same queue replaces the first; which one is left is chance.

    Source: CloudFormation, AWS::SQS::QueuePolicy ("Queues").
    """
    queues = [one["Ref"] for each in of("AWS::SQS::QueuePolicy").values() for one in each["Queues"]]

    assert sorted(queues) == sorted(of("AWS::SQS::Queue"))


def test_numbers_of_queues_are_in_range():
    """Visibility is at most 12 hours, retention 1 minute to 14 days, receives 1 to 1,000.

    Source: SQS API Reference, SetQueueAttributes.
    """
    for name, queue in of("AWS::SQS::Queue").items():
        assert queue.get("VisibilityTimeout", 30) <= 12 * 3600, name
        assert 60 <= queue["MessageRetentionPeriod"] <= 14 * DAY, name
        assert 1 <= queue.get("RedrivePolicy", {}).get("maxReceiveCount", 1) <= 1000, name


def test_a_mapping_is_accepted_by_lambda():
    """A batch above 10 needs a batching window, and concurrency is 2 to 1,000.

    Source: Lambda API Reference, CreateEventSourceMapping.
    """
    parameter = read_template()["Parameters"]["WorkerConcurrency"]

    assert (parameter["MinValue"], parameter["MaxValue"]) == (2, 1000)
    for name, mapping in of("AWS::Lambda::EventSourceMapping").items():
        assert 1 <= mapping["BatchSize"] <= 10, name
        chosen = mapping["ScalingConfig"]["MaximumConcurrency"]["Fn::If"]
        assert chosen == ["IsLocal", 5, {"Ref": "WorkerConcurrency"}], name


def test_the_queues_leave_room_in_a_new_account():
    """A new account often runs 10 functions at a time; the API needs at least two of them.

    The sweeper ends within a second, and the feedback queue is there only with its providers.

    Source: Lambda quotas, "Concurrent executions": new accounts begin with less than 1,000.
    """
    default = read_template()["Parameters"]["WorkerConcurrency"]["Default"]

    assert len(of("AWS::Lambda::EventSourceMapping")) * default <= 10 - 2


def test_functions_are_within_lambdas_limits():
    """Timeout is at most 900 s, memory 128 to 10,240 MB, a description at most 256 characters.

    Source: Lambda API Reference, CreateFunction.
    """
    common = read_template()["Globals"]["Function"]
    for name, one in of("AWS::Serverless::Function").items():
        assert one.get("Timeout", common["Timeout"]) <= 900, name
        assert 128 <= one.get("MemorySize", common["MemorySize"]) <= 10_240, name
        assert len(one["Description"]) <= 256, name


def test_a_layers_name_is_accepted_by_lambda():
    """Up to 140 letters, digits, hyphens and underscores; a stack's name has only such characters.

    Source: Lambda API Reference, PublishLayerVersion.
    """
    names = [one["LayerName"]["Fn::Sub"] for one in of("AWS::Serverless::LayerVersion").values()]

    longest = [name.replace("${AWS::StackName}", "x" * 128) for name in names]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,140}", name) for name in longest)


def test_the_schedule_is_accepted_by_eventbridge_scheduler():
    """An event's age is 60 s to 24 h, and retries are 0 to 185; in Lambda 60 s to 6 h, and 0 to 2.

    Source: EventBridge Scheduler API Reference, RetryPolicy; Lambda, PutFunctionEventInvokeConfig.
    """
    sweeper = of("AWS::Serverless::Function")["SweepDeliveriesFunction"]
    schedule = sweeper["Events"]["EveryMinute"]["Properties"]["RetryPolicy"]
    own = sweeper["EventInvokeConfig"]

    assert 60 <= schedule["MaximumEventAgeInSeconds"] <= DAY
    assert 0 <= schedule["MaximumRetryAttempts"] <= 185
    assert 60 <= own["MaximumEventAgeInSeconds"] <= DAY // 4
    assert 0 <= own["MaximumRetryAttempts"] <= 2


@pytest.mark.parametrize("name", of("AWS::CloudWatch::Alarm"))
def test_an_alarm_is_accepted_by_cloudwatch(name):
    """Periods are multiples of 60 s, all of them together at most a day; 10 metrics at most.

    Source: CloudWatch API Reference, PutMetricAlarm.
    """
    alarm = of("AWS::CloudWatch::Alarm")[name]
    # A metric may depend on a condition: `!If [condition, metric, none]`.
    metrics = [one["Fn::If"][1] if "Fn::If" in one else one for one in alarm.get("Metrics", [])]
    periods = [one["MetricStat"]["Period"] for one in metrics if "MetricStat" in one]
    periods = periods or [alarm["Period"]]

    assert all(period % 60 == 0 for period in periods)
    assert max(periods) * alarm["EvaluationPeriods"] <= DAY
    assert alarm.get("DatapointsToAlarm", 1) <= alarm["EvaluationPeriods"]
    assert len(metrics) <= 10
    assert sum(one.get("ReturnData", True) for one in metrics) == (1 if metrics else 0)
    assert len(alarm["AlarmDescription"]["Fn::Sub"].replace("${RunbookUrl}", "x" * 200)) <= 1024


def test_tables_are_accepted_by_dynamodb():
    """Attributes are declared exactly if a key uses them.

    Source: DynamoDB API Reference, CreateTable ("AttributeDefinitions").
    """
    for name, table in of("AWS::DynamoDB::Table").items():
        indexes = table.get("GlobalSecondaryIndexes", [])
        keys = [*table["KeySchema"], *(key for index in indexes for key in index["KeySchema"])]
        declared = {one["AttributeName"] for one in table["AttributeDefinitions"]}

        assert {key["AttributeName"] for key in keys} == declared, name


def test_gateway_responses_are_of_kinds_that_api_gateway_has():
    """An unknown kind is refused when the API is imported.

    Source: API Gateway Developer Guide, "Gateway response types".
    """
    kinds = {
        *("ACCESS_DENIED", "API_CONFIGURATION_ERROR", "AUTHORIZER_CONFIGURATION_ERROR"),
        *("AUTHORIZER_FAILURE", "BAD_REQUEST_PARAMETERS", "BAD_REQUEST_BODY", "DEFAULT_4XX"),
        *("DEFAULT_5XX", "EXPIRED_TOKEN", "INTEGRATION_FAILURE", "INTEGRATION_TIMEOUT"),
        *("INVALID_API_KEY", "INVALID_SIGNATURE", "MISSING_AUTHENTICATION_TOKEN"),
        *("QUOTA_EXCEEDED", "REQUEST_TOO_LARGE", "RESOURCE_NOT_FOUND", "THROTTLED"),
        *("UNAUTHORIZED", "UNSUPPORTED_MEDIA_TYPE", "WAF_FILTERED"),
    }

    assert set(RESOURCES["Api"]["Properties"]["GatewayResponses"]) <= kinds


def test_a_first_deployment_that_fails_can_be_rolled_back():
    """`RetainExceptOnCreate` deletes what a failed creation made, so it must be deletable.

    Source: CloudFormation, DeletionPolicy; DynamoDB, "Deletion protection": a protected table is
    not deleted, and the stack ends in ROLLBACK_FAILED. ProtectTables=false disables protection.
    """
    conditions = read_template()["Conditions"]

    protected = {"Fn::If": ["IsProtected", True, False]}
    for name, table in of("AWS::DynamoDB::Table").items():
        assert RESOURCES[name]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert table["DeletionProtectionEnabled"] == protected
    assert conditions["IsProtected"] == {
        "Fn::And": [
            {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
            {"Fn::Equals": [{"Ref": "ProtectTables"}, "true"]},
        ]
    }
    assert read_template()["Parameters"]["ProtectTables"]["Default"] == "true"


def test_no_deployment_takes_another_stage_by_mistake():
    """`--parameter-overrides` replaces samconfig's parameters as a whole, Stage included.

    Shown with SAM 1.170. A parameter without a default has to be named for a new stack, and keeps
    its value in one that exists (CloudFormation, UsePreviousValue).
    """
    assert "Default" not in read_template()["Parameters"]["Stage"]


def test_statements_name_either_resources_or_exceptions():
    """IAM accepts exactly one of Resource and NotResource.

    Source: IAM User Guide, "IAM JSON policy elements: NotResource".
    """
    for name, function in of("AWS::Serverless::Function").items():
        for policy in map(unconditional, function.get("Policies", [])):
            for statement in map(unconditional, policy["Statement"]):
                assert ("Resource" in statement) != ("NotResource" in statement), name
                assert as_list(statement["Action"]), name
