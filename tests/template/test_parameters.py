"""Parameters: each is explained, refuses nonsense, and reaches the functions."""

from __future__ import annotations

import json
import re
import uuid

import pytest

from tests.catalogues import GUIDE
from tests.declared import functions, variables
from tests.declared import template as read_template
from tools.paths import ROOT

LONGEST_STACK_NAME = 40
API_URL = "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${Stage}"
LONGEST = {
    API_URL: "https://a1b2c3d4e5.execute-api.ap-northeast-1.amazonaws.com.cn/local",
    "Key.Arn": f"arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/{uuid.UUID(int=0)}",
}
"""The longest values of what CloudFormation makes."""

PARAMETERS = read_template()["Parameters"]
SETTINGS = {
    "Enabled": "ENABLED",
    "Priority": "PRIORITY",
    "RetryCount": "RETRY_COUNT",
    "RetryDelaySeconds": "RETRY_DELAY_SECONDS",
}
DEFAULTS = {
    f"{name.capitalize()}Default{parameter}": f"INTEGRATION_DEFAULTS_{name}_{variable}"
    for name in GUIDE  # other integrations may do without: their built-in defaults hold
    for parameter, variable in SETTINGS.items()
}


def accepts(parameter, value):
    """Return whether CloudFormation would accept a value."""
    declared = PARAMETERS[parameter]
    if "AllowedValues" in declared:
        return value in [str(one) for one in declared["AllowedValues"]]
    if declared["Type"] == "Number":
        is_number = re.fullmatch(r"-?[0-9]+", value) is not None
        return is_number and declared["MinValue"] <= int(value) <= declared["MaxValue"]
    fits = len(value) <= declared.get("MaxLength", len(value))
    return fits and re.fullmatch(declared["AllowedPattern"], value) is not None


def test_functions_learn_all_settings_from_the_template():
    """The environment is the whole of a function's settings, nearly the same for all of them."""
    assert variables() == {
        "STAGE": {"Ref": "Stage"},
        "OVERRIDES_TABLE": {"Ref": "OverridesTable"},
        "DELIVERIES_TABLE": {"Ref": "DeliveriesTable"},
        "RETRY_QUEUE_URL": {"Ref": "RetryQueue"},
        "DEAD_LETTER_QUEUE_URL": {"Ref": "DeadLetterQueue"},
        "PARKED_QUEUE_URL": {"Ref": "ParkedQueue"},
        "TOOL_BUS_NAME": {"Ref": "ToolBus"},
        "KEY_ARN": {"Fn::GetAtt": "Key.Arn"},
        "RETENTION_DAYS": {"Ref": "RetentionDays"},
        "DEFAULT_TIME_ZONE": {"Ref": "DefaultTimeZone"},
        "TEST_ENABLED": {"Ref": "TestEnabled"},
        "WEBHOOK_ALLOWED_CIDRS": {"Ref": "WebhookAllowedCidrs"},
        "WEBHOOK_ALLOW_HTTP": {"Ref": "WebhookAllowHttp"},
        "DEFAULT_EMAIL_DOMAIN": {"Ref": "DefaultEmailDomain"},
        "SLACK_BOT_TOKEN_SECRET": {"Ref": "SlackBotTokenSecret"},
        "SLACK_API_URL": {"Ref": "SlackApiUrl"},
        "EMAIL_SENDER": {"Ref": "EmailSender"},
        "PREFERENCES_URL": {"Ref": "PreferencesUrl"},
        "SMTP_HOST": {"Ref": "SmtpHost"},
        "SMTP_PORT": {"Ref": "SmtpPort"},
        "SMTP_TLS": {"Ref": "SmtpTls"},
        "SMTP_USERNAME": {"Ref": "SmtpUsername"},
        "SMTP_PASSWORD_SECRET": {"Ref": "SmtpPasswordSecret"},
        "SMS_ENABLED": {"Ref": "SmsEnabled"},
        "SMS_ALLOWED_COUNTRIES": {"Ref": "SmsAllowedCountries"},
        "STACK_NAME": {"Ref": "AWS::StackName"},
        "POWERTOOLS_LOG_LEVEL": {"Ref": "LogLevel"},
        **{variable: {"Ref": parameter} for parameter, variable in DEFAULTS.items()},
    }


def test_what_one_function_alone_needs_is_its_own():
    """Common variables have little room; only the authorizer and the console read others."""
    common = variables()

    own = {name: without(common, variables(name)) for name in functions()}
    authorizer = own.pop("AuthorizeRequestFunction")
    console = own.pop("GetConsoleFunction")
    overview = own.pop("GetOverviewFunction")
    ringing = {"DELIVERY_QUEUE_URL": {"Ref": "DeliveryQueue"}}

    assert {name: settings for name, settings in own.items() if settings} == {
        "GetHealthFunction": {
            **ringing,
            "INTAKE_QUEUE_URL": {"Ref": "IntakeQueue"},
            "FEEDBACK_QUEUE_URL": {"Fn::If": ["HasFeedback", {"Ref": "FeedbackQueue"}, ""]},
            # It sends no email; the page that emails link to makes room for the line above.
            "PREFERENCES_URL": "",
        },
        **dict.fromkeys(
            ("SendMessageFunction", "TestIntegrationFunction", "AcceptEventsFunction"), ringing
        ),
        "GetOpenapiFunction": {"PUBLIC_DOCS": {"Ref": "PublicDocs"}},
        "GetDocsFunction": {"PUBLIC_DOCS": {"Ref": "PublicDocs"}},
        "CreateSessionFunction": {
            "CONSOLE_ENABLED": {"Ref": "ConsoleEnabled"},
            "LINK_SESSION_SECONDS": "900",
        },
        "CreatePreferencesLinkFunction": {
            "CONSOLE_ENABLED": {"Ref": "ConsoleEnabled"},
            "PUBLIC_URL": {"Ref": "PublicUrl"},
        },
        "ShowUnsubscribeFunction": {"CONSOLE_ENABLED": {"Ref": "ConsoleEnabled"}},
        "UnsubscribeFunction": {
            "CONSOLE_ENABLED": {"Ref": "ConsoleEnabled"},
            "OUTCOME_BUS_NAME": {"Ref": "OutcomeBusName"},
        },
        "UpdatePreferencesFunction": {"OUTCOME_BUS_NAME": {"Ref": "OutcomeBusName"}},
        "DeletePreferencesFunction": {"OUTCOME_BUS_NAME": {"Ref": "OutcomeBusName"}},
        "ResetOverridesFunction": {"OUTCOME_BUS_NAME": {"Ref": "OutcomeBusName"}},
        "UpdateOverrideFunction": {"OUTCOME_BUS_NAME": {"Ref": "OutcomeBusName"}},
        "DeleteOverrideFunction": {"OUTCOME_BUS_NAME": {"Ref": "OutcomeBusName"}},
        "CancelDeliveryFunction": {"OUTCOME_BUS_NAME": {"Ref": "OutcomeBusName"}},
        "AcceptFeedbackFunction": {"OUTCOME_BUS_NAME": {"Ref": "OutcomeBusName"}},
        "DeliverMessagesFunction": {
            "OUTCOME_BUS_NAME": {"Ref": "OutcomeBusName"},
            "SMS_ORIGINATION_NUMBER": {"Ref": "SmsOriginationNumber"},
            "SMS_TRANSPORT": {"Ref": "SmsTransport"},
            "PUBLIC_URL": {
                "Fn::If": ["HasPublicUrl", {"Ref": "PublicUrl"}, {"Fn::Sub": API_URL}],
            },
            "EMAIL_FOOTER": {"Ref": "EmailFooter"},
            "CONSOLE_ENABLED": {"Ref": "ConsoleEnabled"},
            "PAUSE_RULES": {"Ref": "PauseRules"},
        },
    }
    assert "AUTH_MODE" in authorizer
    assert "CONSOLE_TITLE" in console
    assert "FEEDBACK_QUEUE_URL" in overview
    for function in ("AuthorizeRequestFunction", "GetConsoleFunction"):
        assert "DELIVERIES_TABLE" not in variables(function)


def without(some, more):
    """Return what one mapping has beyond another."""
    return {name: value for name, value in more.items() if some.get(name) != value}


@pytest.mark.parametrize("function", functions())
def test_the_environment_fits_into_what_lambda_takes(function):
    """Lambda takes 4 KB of it, measured as JSON, here with the longest of everything."""
    filled = {name: "x" * longest(value) for name, value in variables(function).items()}

    size = len(json.dumps(filled, separators=(",", ":")))

    assert size <= 4096


def longest(value):
    """Return how many characters a variable can get."""
    match value:
        case str():
            return len(value)
        case {"Ref": name} if name in PARAMETERS:
            declared = PARAMETERS[name]
            words = [len(str(word)) for word in declared.get("AllowedValues", ())]
            return declared.get("MaxLength", max(words, default=5))
        case {"Ref": "AWS::StackName"}:
            return LONGEST_STACK_NAME
        case {"Ref": "ToolBus"}:
            return LONGEST_STACK_NAME + len("-tools")
        case {"Ref": name}:
            # The value of Ref: the resource's name, or a queue's URL.
            made = LONGEST_STACK_NAME + len(f"-{name}-1A2B3C4D5E6F")
            url = len("https://sqs.ap-northeast-1.amazonaws.com/123456789012/")
            return made + url if name.endswith("Queue") else made
        case {"Fn::If": [_, one, other]}:
            return max(longest(one), longest(other))
        case {"Fn::Sub": text} | {"Fn::GetAtt": text} if text in LONGEST:
            return len(LONGEST[text])
    raise AssertionError(value)


def test_the_longest_name_of_a_stack_is_told():
    """Beyond it Lambda may refuse the environment."""
    told = (ROOT / "docs/configuration.md").read_text()

    assert f"at most {LONGEST_STACK_NAME} characters" in told


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_a_parameter_is_explained_refuses_nonsense_and_has_a_default(parameter):
    """A deployment has to name the stage alone, and every parameter says what it accepts."""
    declared = PARAMETERS[parameter]

    bounded = {"AllowedValues", "AllowedPattern"} & set(declared)
    bounded |= {"MinValue", "MaxValue"} & set(declared)
    assert declared["Description"]
    assert bounded
    assert ("Default" in declared) == (parameter != "Stage")
    assert parameter == "Stage" or accepts(parameter, str(declared["Default"]))
    assert ("AllowedPattern" in declared) == ("ConstraintDescription" in declared)


def test_the_console_groups_every_parameter_once(template):
    """The console shows what no group names in a heap at the end."""
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]

    named = [parameter for group in groups for parameter in group["Parameters"]]

    assert sorted(named) == sorted(PARAMETERS)


@pytest.mark.parametrize("name", [name.capitalize() for name in GUIDE])
@pytest.mark.parametrize(
    ("setting", "good", "bad"),
    [
        ("Enabled", ["", "true", "false"], ["True", "yes", "1", "null"]),
        ("Priority", ["", "1", "9", "10", "99", "100"], ["0", "01", "101", "-1", "1.0", "x"]),
        ("RetryCount", ["", "0", "9", "10", "19", "20"], ["21", "-1", "00", "3.5", " 3", "x"]),
        (
            "RetryDelaySeconds",
            ["", "1", "59", "999", "9999", "79999", "86399", "86400"],
            ["0", "01", "86401", "86500", "87000", "90000", "100000", "-5", "1e3", "60s"],
        ),
    ],
)
def test_a_default_is_within_the_limits_of_the_contract_or_unset(name, setting, good, bad):
    """A default in the environment has the same limits as an override, and may be unset."""
    taken = [value for value in good + bad if accepts(f"{name}Default{setting}", value)]

    assert taken == good


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        ("Stage", ["local", "dev", "prod"], ["", "Prod", "staging"]),
        ("Runtime", ["python3.11", "python3.14"], ["python3.10", "nodejs22.x"]),
        ("Architecture", ["arm64", "x86_64"], ["amd64"]),
        ("LogRetentionDays", ["1", "30", "3653"], ["0", "2", "forever"]),
        ("RetentionDays", ["1", "90", "3650"], ["0", "3651", "-1", "1.5"]),
        ("WorkerConcurrency", ["2", "1000"], ["1", "1001"]),
        ("IntakeBusName", ["default", "agents/eu-1"], ["", "with space", "arn:aws:x"]),
        ("AuthMode", ["required", "none"], ["", "None", "off"]),
        ("OidcIssuer", ["", "https://id.example.com/"], ["id.example.com", "https://a b"]),
        ("OidcAudience", ["", "dispatcher", "api://1-2"], ["two words"]),
        (
            "OidcJwksUri",
            ["", "https://id.example.com/keys", "http://127.0.0.1:9000/keys"],
            ["http://id.example.com/keys", "http://127.0.0.1.example.com/", "file:///etc/passwd"],
        ),
        ("UserClaim", ["sub", "email", "https://example.com/user"], ["", "user id"]),
        ("ApiKeysSecret", ["", "dispatcher/keys"], ["/dispatcher/keys", "a b", "x" * 81]),
        (
            "WebhookAllowedCidrs",
            [
                *("", "127.0.0.0/8", "10.0.0.0/8,fd00:1::/32", "192.168.1.7/32", "fd00::/16"),
                *("2001:db8::1/128", "::ffff:10.0.0.0/104"),
            ],
            [
                *("10.0.0.0", "10.0.0.0/8, 11.0.0.0/8", "example.com/8", "10.0.0.0/8,", "1/" * 300),
                *(",10.0.0.0/8", "10.0.0.0/8,,11.0.0.0/8", "10.0.0/8", "10.0.0.0/08"),
                *("0.0.0.0/0", "0.0.0.0/1,128.0.0.0/1", "::/0", "::/1", "fd00::/8", "10.0.0.0/7"),
                *("10.0.0.0/33", "fd00::/129", "fd00::/15"),
            ],
        ),
        ("WebhookAllowHttp", ["true", "false"], ["", "yes"]),
        ("TestEnabled", ["true", "false"], ["", "yes"]),
        (
            "DefaultEmailDomain",
            ["", "example.com", "mail.example-1.co.uk"],
            ["example", "@example.com", "Example.com", "-x.com", "x..com", "a" * 250 + ".com"],
        ),
        (
            "DefaultTimeZone",
            ["UTC", "Europe/Berlin", "America/Argentina/ComodRivadavia", "Etc/GMT+5"],
            ["", "europe/berlin", "../../etc/passwd", "Europe/", "/UTC", "A" * 41],
        ),
        (
            "PauseRules",
            ["10/43200/3600/86400/604800", "3/5/5/20/60", "0/0/0/0/0"],
            ["", "10", "10/1/1/1", "1/1/1/1/1/1", "a/1/1/1/1", "-1/1/1/1/1", "1/1/1/1/123456789"],
        ),
        (
            "SlackBotTokenSecret",
            ["", "slack/bot-token", "/dispatcher/slack-token"],
            ["xoxb token", "arn:aws:secretsmanager:eu-central-1:1:secret:x", "${x}", "a" * 201],
        ),
        (
            "SlackApiUrl",
            ["", "https://slack-gov.com/api/", "http://127.0.0.1:9000/api/"],
            ["slack.com", "https://slack.com/api", "https://slack.com/api/?x=/"],
        ),
        (
            "EmailSender",
            ["", "news@example.com", "Example News <news@example.com>"],
            ["news", "<news@example.com", "a@b.c, d@e.f", "a@b.c <x", "x@" + "a" * 200],
        ),
        (
            "PreferencesUrl",
            ["", "https://example.com/me?tab=mail"],
            ["http://example.com", "https://exa mple.com", "me"],
        ),
        ("SmtpHost", ["", "smtp.example.com", "127.0.0.1"], ["smtp example", "smtp://x"]),
        ("SmtpPort", ["", "25", "587", "65535"], ["0", "65536", "70000", "smtp", "025"]),
        ("SmtpTls", ["starttls", "implicit", "none"], ["", "ssl"]),
        ("SmtpUsername", ["", "AKIA123", "ada@example.com"], ["two words", "é"]),
        ("SmtpPasswordSecret", ["", "smtp", "/smtp/password"], ["a b", "x" * 201]),
        ("SmsEnabled", ["true", "false"], ["", "yes"]),
        ("SmsAllowedCountries", ["US", "US,CA,GB"], ["", "us", "USA", "US, CA", "US,"]),
        (
            "SmsOriginationNumber",
            ["", "+18005550100", "18005550100", "12345", "+12345678901234"],
            ["1234", "+123456789012345", "+1 800 555 0100", "ACME", "+"],
        ),
        ("SmsTransport", ["sns", "end-user-messaging"], ["", "SNS", "pinpoint"]),
        ("EmailReceipts", ["all", "problems"], ["", "none"]),
        ("ProtectTables", ["true", "false"], ["", "yes"]),
        ("ApiAccessLog", ["true", "false"], ["", "yes"]),
        (
            "SecretsKeyArn",
            [
                "",
                "arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000",
                "arn:aws:kms:us-east-1:123456789012:key/mrk-0a1b2c3d00004000800000000000",
            ],
            ["alias/secrets", "arn:aws:kms:us-east-1:123456789012:alias/secrets", "0a1b2c3d"],
        ),
        ("OutcomeBusName", ["", "default", "agents-eu"], ["with space", "a/b", "x" * 65]),
        (
            "AlarmTopicArn",
            ["", "arn:aws:sns:eu-central-1:123456789012:alarms"],
            ["alarms", "arn:aws:sqs:eu-central-1:123456789012:alarms"],
        ),
        ("AlarmFailurePercent", ["1", "100"], ["0", "101", "5%"]),
        ("AlarmDeadLettersPerHour", ["1", "1000000"], ["0", "none"]),
        (
            "RunbookUrl",
            ["docs/operations.md", "https://example.com/runbook"],
            ["", "our runbook"],
        ),
        ("Tracing", ["Active", "Disabled"], ["", "PassThrough", "true"]),
        ("LogLevel", ["DEBUG", "INFO", "WARNING", "ERROR"], ["", "info", "TRACE"]),
    ],
)
def test_a_setting_refuses_nonsense(parameter, good, bad):
    """A typing mistake stops the deployment, not the service."""
    taken = [value for value in good + bad if accepts(parameter, value)]

    assert taken == good


TOKENS = {
    "OidcIssuer": "https://id.example.com",
    "OidcAudience": "dispatcher",
    "OidcJwksUri": "https://id.example.com/keys",
}


def holds(condition, values):
    """Evaluate a rule's function over parameter values."""
    match condition:
        case {"Fn::Equals": [left, right]}:
            return holds(left, values) == holds(right, values)
        case {"Fn::And": parts}:
            return all(holds(part, values) for part in parts)
        case {"Fn::Not": [inner]}:
            return not holds(inner, values)
        case {"Fn::Contains": [members, member]}:
            return holds(member, values) in members
        case {"Ref": name}:
            return values.get(name, str(PARAMETERS[name].get("Default", "dev")))
    return condition


@pytest.mark.parametrize(
    ("values", "complaints"),
    [
        ({}, []),
        ({"ApiKeysSecret": ""}, ["OidcIssuer or ApiKeysSecret"]),
        ({"ApiKeysSecret": "", **TOKENS}, []),
        ({"ApiKeysSecret": "", "AuthMode": "none"}, []),
        ({"OidcIssuer": "https://id.example.com"}, ["OidcAudience", "OidcJwksUri"]),
        ({"Stage": "prod", "AuthMode": "none"}, ["AuthMode"]),
        ({"Stage": "dev", "AuthMode": "none"}, []),
        ({"Stage": "local", "WebhookAllowHttp": "true", "LogRetentionDays": "1"}, []),
        ({"Stage": "prod"}, []),
        ({"Stage": "prod", "WebhookAllowedCidrs": "10.0.0.0/8", "TestEnabled": "true"}, []),
        ({"Stage": "prod", "WebhookAllowHttp": "true"}, ["WebhookAllowHttp"]),
        ({"Stage": "prod", "LogRetentionDays": "7"}, ["LogRetentionDays"]),
        ({"Stage": "prod", "SlackApiUrl": "https://slack-gov.com/api/"}, []),
        ({"Stage": "prod", "SlackApiUrl": "https://slack.example/api/"}, ["SlackApiUrl"]),
        ({"Stage": "prod", "SmtpTls": "none"}, ["SmtpTls"]),
        ({"SmtpHost": "smtp.example.com", "EmailSender": "news@example.com"}, []),
        ({"SmtpHost": "smtp.example.com"}, ["EmailSender"]),
        ({"SmsTransport": "end-user-messaging"}, []),
        (
            {"SmsEnabled": "true", "SmsTransport": "end-user-messaging"},
            ["SmsOriginationNumber"],
        ),
        (
            {
                "SmsEnabled": "true",
                "SmsTransport": "end-user-messaging",
                "SmsOriginationNumber": "12345",
            },
            [],
        ),
        ({"SmtpUsername": "ada", "SmtpPasswordSecret": "smtp"}, []),
        ({"SmtpUsername": "ada", "SmtpTls": "none"}, ["SmtpTls", "SmtpPasswordSecret"]),
    ],
)
def test_a_careless_combination_is_refused(template, values, complaints):
    """CloudFormation checks the rules before anything is made; the local cloud does not."""
    rules = template["Rules"].values()
    values = {"ApiKeysSecret": "dispatcher/keys"} | values

    said = [
        assertion["AssertDescription"]
        for rule in rules
        if holds(rule["RuleCondition"], values)
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"], values)
    ]

    assert [complaint for complaint in complaints if complaint in " ".join(said)] == complaints
    assert len(said) == len(complaints)


def test_a_stack_tells_where_everything_is(template):
    """Tools and people read these; each is explained."""
    outputs = template["Outputs"]

    assert {name: output["Value"] for name, output in outputs.items()} == {
        "ApiUrl": {
            "Fn::Sub": "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${Stage}"
        },
        "DeliveryQueueUrl": {"Ref": "DeliveryQueue"},
        "RetryQueueUrl": {"Ref": "RetryQueue"},
        "DeadLetterQueueUrl": {"Ref": "DeadLetterQueue"},
        "ParkedQueueUrl": {"Ref": "ParkedQueue"},
        "FeedbackQueueUrl": {"Ref": "FeedbackQueue"},
        "IntakeQueueUrl": {"Ref": "IntakeQueue"},
        "OverridesTableName": {"Ref": "OverridesTable"},
        "DeliveriesTableName": {"Ref": "DeliveriesTable"},
        "ToolBusName": {"Ref": "ToolBus"},
        "KeyArn": {"Fn::GetAtt": "Key.Arn"},
    }
    assert all(output["Description"] for output in outputs.values())
