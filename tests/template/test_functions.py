"""Functions: what each of them may cost, see and do."""

from __future__ import annotations

import pytest

from tests.template.rights import granted, statements

OVERRIDES, DELIVERIES = "OverridesTable", "DeliveriesTable"
TEST = {
    ("dynamodb:GetItem", OVERRIDES),
    ("dynamodb:GetItem", DELIVERIES),
    ("dynamodb:PutItem", DELIVERIES),
    ("sqs:SendMessage", "DeliveryQueue"),
}
SEND = {*TEST, ("dynamodb:UpdateItem", DELIVERIES)}
"""A message that is held may be planned again, if preferences changed meanwhile."""

QUEUES = ("DeliveryQueue", "RetryQueue", "DeadLetterQueue", "IntakeQueue", "ParkedQueue")


def consume(queue):
    """Return the rights that a mapping takes."""
    return {
        (f"sqs:{action}", queue)
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
    }


def read_secret(parameter):
    """Return the rights to a secret, in either of the two places where it may be."""
    return {
        (action, resource)
        for action in ("secretsmanager:GetSecretValue", "ssm:GetParameter")
        for resource in (
            f"secret:{parameter}-??????",
            f"secret:{parameter}",
            f"parameter{parameter}",
        )
    }


READ_LINK_KEYS = ("secretsmanager:GetSecretValue", "LinksSecret.Id")
"""The right to the keys of links, by the secret's own ARN."""

DECRYPT_SECRETS = {("kms:Decrypt", "SecretsKeyArn")}
"""The right to the operators' own key of the secrets that parameters name."""

EDIT_AND_MOVE = {
    ("dynamodb:GetItem", OVERRIDES),
    ("dynamodb:UpdateItem", OVERRIDES),
    ("dynamodb:DeleteItem", OVERRIDES),
    ("dynamodb:Query", DELIVERIES),
    ("dynamodb:UpdateItem", DELIVERIES),
    ("sqs:SendMessage", "RetryQueue"),
    ("events:PutEvents", "event-bus/OutcomeBusName"),
}
"""The rights to change preferences or to remove overrides, and to move what they held."""

RIGHTS = {
    "AuthorizeRequestFunction": {
        *DECRYPT_SECRETS,
        READ_LINK_KEYS,
        ("secretsmanager:GetSecretValue", "secret:ApiKeysSecret-??????"),
        ("secretsmanager:GetSecretValue", "secret:ApiKeysSecret"),
    },
    "GetHealthFunction": {
        *DECRYPT_SECRETS,
        *read_secret("SlackBotTokenSecret"),
        ("ses:GetAccount", "*"),
        ("dynamodb:GetItem", OVERRIDES),
        ("dynamodb:GetItem", DELIVERIES),
        *(("sqs:GetQueueAttributes", queue) for queue in (*QUEUES, "FeedbackQueue")),
    },
    "GetOpenapiFunction": set(),
    "GetConsoleFunction": set(),
    "GetDocsFunction": set(),
    "GetOverviewFunction": {
        *(("sqs:GetQueueAttributes", queue) for queue in (*QUEUES, "FeedbackQueue")),
        ("cloudwatch:GetMetricData", "*"),
    },
    "GetSessionFunction": set(),
    "CreateSessionFunction": {READ_LINK_KEYS},
    "CreatePreferencesLinkFunction": {READ_LINK_KEYS},
    "ShowUnsubscribeFunction": {("dynamodb:GetItem", OVERRIDES), READ_LINK_KEYS},
    "UnsubscribeFunction": {
        ("dynamodb:GetItem", OVERRIDES),
        ("dynamodb:UpdateItem", OVERRIDES),
        ("dynamodb:DeleteItem", OVERRIDES),
        READ_LINK_KEYS,
        ("events:PutEvents", "event-bus/OutcomeBusName"),
    },
    "GetIntegrationDefaultsFunction": set(),
    "GetEffectiveConfigurationFunction": {("dynamodb:GetItem", OVERRIDES)},
    "ListCategoriesFunction": {("dynamodb:GetItem", OVERRIDES)},
    "PutCategoryFunction": {("dynamodb:GetItem", OVERRIDES), ("dynamodb:UpdateItem", OVERRIDES)},
    "DeleteCategoryFunction": {
        ("dynamodb:GetItem", OVERRIDES),
        ("dynamodb:UpdateItem", OVERRIDES),
    },
    "GetPreferencesFunction": {("dynamodb:GetItem", OVERRIDES)},
    "UpdatePreferencesFunction": EDIT_AND_MOVE,
    "DeletePreferencesFunction": EDIT_AND_MOVE,
    "PreviewMessageFunction": {("dynamodb:GetItem", OVERRIDES)},
    "ResetOverridesFunction": EDIT_AND_MOVE,
    "ListOverridesFunction": {("dynamodb:GetItem", OVERRIDES)},
    "CreateOverrideFunction": {("dynamodb:UpdateItem", OVERRIDES), ("kms:Encrypt", "Key")},
    "GetOverrideFunction": {("dynamodb:GetItem", OVERRIDES)},
    "UpdateOverrideFunction": {
        ("dynamodb:GetItem", OVERRIDES),
        ("dynamodb:UpdateItem", OVERRIDES),
        ("kms:Decrypt", "Key"),
        ("kms:Encrypt", "Key"),
        ("dynamodb:Query", DELIVERIES),
        ("dynamodb:UpdateItem", DELIVERIES),
        ("sqs:SendMessage", "RetryQueue"),
        ("events:PutEvents", "event-bus/OutcomeBusName"),
    },
    "DeleteOverrideFunction": EDIT_AND_MOVE,
    "TestIntegrationFunction": TEST,
    "RotateSecretFunction": {
        ("dynamodb:GetItem", OVERRIDES),
        ("dynamodb:UpdateItem", OVERRIDES),
        ("kms:Decrypt", "Key"),
        ("kms:Encrypt", "Key"),
    },
    "ListSuppressionsFunction": {("dynamodb:GetItem", OVERRIDES)},
    "DeleteSuppressionFunction": {
        ("dynamodb:GetItem", OVERRIDES),
        ("dynamodb:UpdateItem", OVERRIDES),
        ("dynamodb:DeleteItem", OVERRIDES),
    },
    "ListMessagesFunction": {("dynamodb:Query", DELIVERIES)},
    "DeleteMessageFunction": {("dynamodb:DeleteItem", DELIVERIES)},
    "SendMessageFunction": SEND,
    "ListDeliveriesFunction": {("dynamodb:GetItem", DELIVERIES), ("dynamodb:Query", DELIVERIES)},
    "GetDeliveryFunction": {("dynamodb:GetItem", DELIVERIES)},
    "GetRequestFunction": {("dynamodb:GetItem", DELIVERIES)},
    "RetryDeliveryFunction": {
        ("dynamodb:BatchGetItem", OVERRIDES),
        ("dynamodb:GetItem", OVERRIDES),
        ("dynamodb:BatchGetItem", DELIVERIES),
        ("dynamodb:UpdateItem", DELIVERIES),
        ("sqs:SendMessage", "RetryQueue"),
    },
    "RecoverDeliveriesFunction": {
        ("dynamodb:BatchGetItem", OVERRIDES),
        ("dynamodb:GetItem", OVERRIDES),
        ("dynamodb:BatchGetItem", DELIVERIES),
        ("dynamodb:Query", DELIVERIES),
        ("dynamodb:UpdateItem", DELIVERIES),
        ("sqs:SendMessage", "RetryQueue"),
    },
    "CancelDeliveryFunction": {
        ("dynamodb:GetItem", DELIVERIES),
        ("dynamodb:UpdateItem", DELIVERIES),
        ("sqs:SendMessage", "RetryQueue"),
        ("events:PutEvents", "event-bus/OutcomeBusName"),
    },
    "RefuseRequestFunction": set(),
    "DeliverMessagesFunction": {
        ("dynamodb:BatchGetItem", OVERRIDES),
        ("dynamodb:GetItem", OVERRIDES),
        ("dynamodb:UpdateItem", OVERRIDES),
        ("dynamodb:BatchGetItem", DELIVERIES),
        ("dynamodb:PutItem", DELIVERIES),
        ("dynamodb:Query", DELIVERIES),
        ("dynamodb:UpdateItem", DELIVERIES),
        ("kms:Decrypt", "Key"),
        ("sqs:SendMessage", "RetryQueue"),
        ("sqs:SendMessage", "DeadLetterQueue"),
        ("sqs:SendMessage", "ParkedQueue"),
        ("events:PutEvents", "ToolBus"),
        ("events:PutEvents", "event-bus/OutcomeBusName"),
        READ_LINK_KEYS,
        *read_secret("SlackBotTokenSecret"),
        *read_secret("SmtpPasswordSecret"),
        *(
            (action, resource)
            for action in ("ses:SendEmail", "ses:SendRawEmail")
            for resource in ("identity/*", "configuration-set/${AWS::StackName}")
        ),
        *DECRYPT_SECRETS,
        ("sns:Publish", "not arn:*:sns:*:*:*"),
        ("sms-voice:SendTextMessage", "*"),
        *consume("DeliveryQueue"),
        *consume("RetryQueue"),
    },
    "SweepDeliveriesFunction": {
        ("dynamodb:Query", "DeliveriesTable/index/sweep"),
        ("dynamodb:GetItem", DELIVERIES),
        ("dynamodb:UpdateItem", DELIVERIES),
        ("sqs:SendMessage", "RetryQueue"),
        ("sqs:SendMessage", "DeadLetterQueue"),
    },
    "AcceptFeedbackFunction": {
        *(
            (f"dynamodb:{action}", table)
            for action in ("BatchGetItem", "GetItem", "UpdateItem")
            for table in (OVERRIDES, DELIVERIES)
        ),
        ("sqs:SendMessage", "RetryQueue"),
        ("sqs:SendMessage", "DeadLetterQueue"),
        ("sqs:SendMessage", "ParkedQueue"),
        ("events:PutEvents", "event-bus/OutcomeBusName"),
        *consume("FeedbackQueue"),
    },
    "AcceptEventsFunction": {
        *SEND,
        ("sqs:SendMessage", "ParkedQueue"),
        *consume("IntakeQueue"),
    },
}


def test_a_function_may_do_what_its_job_takes_and_no_more(functions):
    """Rights are named one by one, action and resource: a wildcard would show up here."""
    rights = {name: granted(properties) for name, properties in functions.items()}

    assert rights == RIGHTS


def test_every_statement_allows_and_conditions_are_about_keys_alone(functions):
    """A statement has effect, action and resource; the rights to keys have a condition too."""
    said = [statement for properties in functions.values() for statement in statements(properties)]

    shapes = {(statement["Effect"], *sorted(statement)) for statement in said}
    conditional = {
        action
        for statement in said
        if "Condition" in statement
        for action in as_list(statement["Action"])
    }
    keys = {
        action
        for statement in said
        for action in as_list(statement["Action"])
        if action.startswith("kms:")
    }

    assert shapes == {
        ("Allow", "Action", "Effect", "Resource"),
        ("Allow", "Action", "Effect", "NotResource"),
        ("Allow", "Action", "Condition", "Effect", "Resource"),
    }
    assert conditional == keys == {"kms:Encrypt", "kms:Decrypt"}


def as_list(value):
    """Return a list, also of a single value."""
    return value if isinstance(value, list) else [value]


def test_the_key_of_overrides_works_only_with_the_context_of_a_secret(functions):
    """A function that is taken over cannot open what was sealed for another purpose.

    Source: KMS Developer Guide, kms:EncryptionContext:context-key and kms:EncryptionContextKeys.
    The context is that of adapters/kms.py. The local cloud does not know these condition keys.
    """
    said = [
        (name, statement["Condition"])
        for name, properties in functions.items()
        for statement in statements(properties)
        if statement.get("Resource") == {"Fn::GetAtt": "Key.Arn"}
    ]

    assert [name for name, _ in said] == [
        *("CreateOverrideFunction", "UpdateOverrideFunction"),
        *("RotateSecretFunction", "DeliverMessagesFunction"),
    ]
    for name, condition in said:
        local, elsewhere = condition["Fn::If"][1:]
        assert condition["Fn::If"][0] == "IsLocal", name
        assert local == {"Ref": "AWS::NoValue"}
        assert elsewhere == {
            "Null": {
                "kms:EncryptionContext:user_id": "false",
                "kms:EncryptionContext:integration_type": "false",
            },
            "ForAllValues:StringEquals": {
                "kms:EncryptionContextKeys": ["user_id", "integration_type"]
            },
        }


def test_the_key_of_secrets_is_used_through_their_service_alone(functions):
    """A secret under a customer-managed key needs kms:Decrypt, by the service that keeps it.

    Source: Secrets Manager User Guide, "Secret encryption and decryption"; KMS, kms:ViaService.
    """
    services = {}
    for name, properties in functions.items():
        for policy in map(unless, properties.get("Policies", ())):
            for entry in policy["Statement"]:
                if unless(entry).get("Resource") == {"Ref": "SecretsKeyArn"}:
                    assert entry["Fn::If"][0] == "HasSecretsKey"
                    [via] = unless(entry)["Condition"]["StringEquals"].items()
                    services[name] = via

    in_region = "{}.${{AWS::Region}}.${{AWS::URLSuffix}}".format
    manager, store = ({"Fn::Sub": in_region(one)} for one in ("secretsmanager", "ssm"))
    assert services == {
        "AuthorizeRequestFunction": ("kms:ViaService", [manager]),
        "GetHealthFunction": ("kms:ViaService", [manager, store]),
        "DeliverMessagesFunction": ("kms:ViaService", [manager, store]),
    }


def unless(part):
    """Return a part as it is when its condition holds."""
    return part["Fn::If"][1] if "Fn::If" in part else part


@pytest.mark.parametrize(
    ("name", "conditions"),
    [
        ("GetHealthFunction", ["HasFeedback", "HasSlack", "HasSecretsKey", "HasSes"]),
        (
            "DeliverMessagesFunction",
            [
                *("HasSlack", "HasSmtpPassword", "HasSecretsKey", "HasSes"),
                *("HasSmsBySns", "HasEndUserMessaging", "HasOutcomeBus"),
            ],
        ),
        ("UnsubscribeFunction", ["HasOutcomeBus"]),
        ("GetOverviewFunction", ["HasFeedback"]),
        ("CancelDeliveryFunction", ["HasOutcomeBus"]),
        ("AcceptFeedbackFunction", ["HasOutcomeBus"]),
        ("UpdatePreferencesFunction", ["HasOutcomeBus"]),
        ("DeletePreferencesFunction", ["HasOutcomeBus"]),
    ],
)
def test_what_nobody_configured_nobody_may_use(functions, name, conditions):
    """Rights to secrets, email and text messages exist only where a parameter asks for them."""
    [policy] = functions[name]["Policies"]

    found = [one["Fn::If"] for one in policy["Statement"] if "Fn::If" in one]

    assert [condition for condition, _, _ in found] == conditions
    assert all(otherwise == {"Ref": "AWS::NoValue"} for _, _, otherwise in found)


def test_who_configured_no_keys_lets_nobody_read_secrets(functions):
    """Except that of links: the whole other policy stands under the condition."""
    links, keys = functions["AuthorizeRequestFunction"]["Policies"]

    condition, _, otherwise = keys["Fn::If"]
    assert granted({"Policies": [links]}) == {READ_LINK_KEYS}
    assert (condition, otherwise) == ("HasApiKeys", {"Ref": "AWS::NoValue"})


def test_no_function_gets_a_policy_that_reaches_every_queue(template, functions):
    """SAM's events of type SQS would attach one, so queues are mapped without them."""
    types = {
        event["Type"]
        for properties in functions.values()
        for event in properties.get("Events", {}).values()
    }

    assert types == {"Api", "ScheduleV2"}
    assert "Policies" not in template["Globals"]["Function"]


def test_every_function_writes_to_a_log_group_that_forgets(template, resources, functions):
    """All functions share one group, kept as long as the parameter says."""
    own = [name for name, properties in functions.items() if "LoggingConfig" in properties]
    ignoring = {name: resources[name].get("IgnoreGlobals", []) for name in functions}

    shared = {"LogGroup": {"Ref": "FunctionsLogGroup"}}
    assert template["Globals"]["Function"]["LoggingConfig"] == shared
    assert own == []
    assert [name for name, ignored in ignoring.items() if "LoggingConfig" in ignored] == []
    assert resources["FunctionsLogGroup"] == {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {"RetentionInDays": {"Ref": "LogRetentionDays"}},
    }


def test_what_answers_requests_is_done_before_api_gateway_gives_up(template, functions):
    """API Gateway waits 29 s; the local cloud waits forever, so only this test would notice."""
    common = template["Globals"]["Function"]["Timeout"]

    slow = {
        name: properties["Timeout"]
        for name, properties in functions.items()
        if properties.get("Timeout", common) > 28
    }

    assert slow == {
        "DeliverMessagesFunction": 120,
        "SweepDeliveriesFunction": 60,
        "AcceptEventsFunction": 60,
    }


def test_only_what_speaks_to_peers_carries_the_channels(template, functions):
    """The worker delivers and /health probes; SAM adds a function's layers to the common ones."""
    more = {name: one["Layers"] for name, one in functions.items() if "Layers" in one}

    assert template["Globals"]["Function"]["Layers"] == [{"Ref": "ResolverLayer"}]
    channels = [{"Ref": "ChannelsLayer"}]
    assert more == {"GetHealthFunction": channels, "DeliverMessagesFunction": channels}


@pytest.mark.parametrize("layer", ["ResolverLayer", "ChannelsLayer"])
def test_a_layer_is_built_by_its_makefile_for_the_chosen_machine(resources, layer):
    """The makefile compiles for one Python and one processor: the layer must say for which."""
    declared = resources[layer]

    assert declared["Metadata"] == {"BuildMethod": "makefile"}
    assert declared["Properties"]["CompatibleRuntimes"] == [{"Ref": "Runtime"}]
    assert declared["Properties"]["CompatibleArchitectures"] == [{"Ref": "Architecture"}]


def test_all_functions_run_alike(template):
    """Runtime, processor and handler are the same everywhere."""
    common = template["Globals"]["Function"]

    assert common["Runtime"] == {"Ref": "Runtime"}
    assert common["Architectures"] == [{"Ref": "Architecture"}]
    assert common["Handler"] == "app.handler"
    assert common["MemorySize"] == 512


def test_tracing_is_off_unless_it_is_asked_for(template, resources):
    """SAM gives a role the right to trace for any other word than Disabled."""
    assert template["Parameters"]["Tracing"]["Default"] == "Disabled"
    assert template["Globals"]["Function"]["Tracing"] == {"Ref": "Tracing"}
    assert resources["Api"]["Properties"]["TracingEnabled"] == {"Fn::If": ["IsTraced", True, False]}
    assert template["Conditions"]["IsTraced"] == {"Fn::Equals": [{"Ref": "Tracing"}, "Active"]}


def test_the_worker_may_call_itself_through_its_queues(functions):
    """Lambda stops what looks like a loop after 16 rounds; a delivery may be retried 20 times."""
    allowed = {name for name, one in functions.items() if one.get("RecursiveLoop") == "Allow"}

    assert allowed == {"DeliverMessagesFunction"}


def test_the_sweep_runs_every_minute_and_never_twice_for_one(functions):
    """A missed sweep is made good by the next; without OmitName two stacks would share a name."""
    sweep = functions["SweepDeliveriesFunction"]

    once = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    assert sweep["EventInvokeConfig"] == once
    assert sweep["Events"]["EveryMinute"] == {
        "Type": "ScheduleV2",
        "Properties": {
            "ScheduleExpression": "rate(1 minute)",
            "OmitName": True,
            "RetryPolicy": once,
        },
    }


def test_we_name_nothing_that_aws_can_name(resources):
    """Two stacks live side by side in one account, so what needs a name has the stack's in it.

    An event bus insists on a name, and SAM gives a layer one that is the same in every stack. The
    secret of links is found by its name, which takes no variable.
    """
    naming = {"TableName", "QueueName", "FunctionName", "RoleName", "LogGroupName", "LayerName"}
    naming |= {"Name", "PolicyName", "AliasName"}

    named = {
        logical_id: sorted(naming & set(resource["Properties"]))
        for logical_id, resource in resources.items()
        if resource["Type"] not in {"AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission"}
        and naming & set(resource["Properties"])
    }

    assert named == {
        "ResolverLayer": ["LayerName"],
        "ChannelsLayer": ["LayerName"],
        "EmailConfiguration": ["Name"],
        "LinksSecret": ["Name"],
        "ToolBus": ["Name"],
    }
