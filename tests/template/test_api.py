"""The API: the gateway's own responses read like those of the functions."""

from __future__ import annotations

import json
import re

import pytest

from dispatcher.edges.http import LARGEST_BODY, PROBLEMS
from tests.declared import template as read_template

API = read_template()["Resources"]["Api"]["Properties"]
RESPONSES = API["GatewayResponses"]


@pytest.mark.parametrize("kind", RESPONSES)
def test_api_gateway_tells_problems_as_we_do(kind):
    """All five members, a newline at the end, and the instance that the log names."""
    response = RESPONSES[kind]

    [text] = response["ResponseTemplates"].values()
    problem = json.loads(text)
    headers = response["ResponseParameters"]["Headers"]
    assert list(problem) == ["type", "title", "status", "detail", "instance"]
    assert problem["type"].startswith("urn:integration-dispatcher:problem:")
    assert str(problem["status"]) == response["StatusCode"]
    assert problem["instance"] == "urn:uuid:$context.requestId"
    assert text.endswith("}\n")
    assert headers["Content-Type"] == "'application/problem+json'"
    assert headers["Cache-Control"] == "'no-store'"
    assert ("Retry-After" in headers) == (problem["status"] in {429, 503})


def test_the_same_problem_has_the_same_name_and_title_wherever_it_is_told():
    """A caller need not know which of the two responded."""
    ours = {problem.name: (problem.status, problem.title) for problem in PROBLEMS.values()}

    theirs = [json.loads(*one["ResponseTemplates"].values()) for one in RESPONSES.values()]

    both = {one["type"].rpartition(":")[2]: (one["status"], one["title"]) for one in theirs}
    assert {name: both[name] for name in both if name in ours} == {
        name: ours[name] for name in both if name in ours
    }
    assert {"not-found", "body-too-large", "unavailable", "internal-error"} <= set(both)


def test_api_gateway_names_the_same_limit_of_a_body():
    """The number is in the template as text; it must follow the code."""
    text = json.dumps(RESPONSES["REQUEST_TOO_LARGE"])

    assert f"at most {LARGEST_BODY} bytes" in text


@pytest.mark.parametrize("kind", ["AUTHORIZER_FAILURE", "AUTHORIZER_CONFIGURATION_ERROR"])
def test_a_caller_who_cannot_be_checked_gets_503(kind):
    """Every error that an authorizer raises, except for "Unauthorized", is the second kind.

    Source: API Gateway Developer Guide, "Gateway response types". Both are our fault, not the
    caller's, and pass.
    """
    answer = RESPONSES[kind]

    assert answer["StatusCode"] == "503"
    assert answer == RESPONSES["AUTHORIZER_FAILURE"]


def test_an_unknown_path_is_not_told_as_a_missing_token():
    """API Gateway says 403 to what it does not know; that is no question of who asks."""
    answer = RESPONSES["MISSING_AUTHENTICATION_TOKEN"]

    assert answer["StatusCode"] == "404"


def test_the_api_has_one_stage_of_the_stacks_own():
    """SAM adds a second one, called Stage, unless the version of OpenAPI is named."""
    assert API["StageName"] == {"Ref": "Stage"}
    assert API["OpenApiVersion"] == "3.0.1"
    assert API["EndpointConfiguration"] == {"Type": "REGIONAL"}


def test_every_route_is_throttled_by_parameters():
    """One limit for the whole stage, so that no caller can run up the bill of the functions."""
    settings = API["MethodSettings"]

    assert settings == [
        {
            "ResourcePath": "/*",
            "HttpMethod": "*",
            "ThrottlingRateLimit": {"Ref": "ApiRateLimit"},
            "ThrottlingBurstLimit": {"Ref": "ApiBurstLimit"},
        }
    ]


@pytest.mark.parametrize("kind", ["THROTTLED", "QUOTA_EXCEEDED"])
def test_too_many_requests_are_told_as_such(kind):
    """A caller that exceeds the rate learns when to come back."""
    answer = RESPONSES[kind]

    assert answer["StatusCode"] == "429"
    assert int(answer["ResponseParameters"]["Headers"]["Retry-After"].strip("'")) > 0


def test_requests_that_reach_no_function_can_be_logged(template):
    """The access log is a parameter, because it needs a role of the whole account.

    It holds no path and no user ID. Each line is JSON whatever the caller sends: `error` alone gets
    its quotes from API Gateway ($context.error.messageString).
    """
    condition, setting, otherwise = API["AccessLogSetting"]["Fn::If"]
    variables = re.findall(r"[$]context[.]([A-Za-z.]+)", setting["Format"])
    filled = re.sub(r"[$]context[.]error[.]messageString", '"-"', setting["Format"])
    filled = re.sub(r"[$]context[.][A-Za-z.]+", "-", filled)

    assert (condition, otherwise) == ("HasAccessLog", {"Ref": "AWS::NoValue"})
    assert setting["DestinationArn"] == {"Fn::GetAtt": "ApiAccessLogGroup.Arn"}
    assert json.loads(filled)["message"] == "request.received"
    assert set(variables) >= {"requestId", "status", "error.responseType", "resourcePath"}
    assert not {"path", "identity.user", "authorizer.principalId"} & set(variables)
    assert template["Conditions"]["HasAccessLog"] == {
        "Fn::Equals": [{"Ref": "ApiAccessLog"}, "true"]
    }
    assert template["Resources"]["ApiAccessLogGroup"] == {
        "Type": "AWS::Logs::LogGroup",
        "Condition": "HasAccessLog",
        "Properties": {"RetentionInDays": {"Ref": "LogRetentionDays"}},
    }


def test_a_firewall_stands_in_front_where_one_is_named():
    """The operators' web ACL is attached to the API's own stage, and only if there is one."""
    declared = read_template()

    firewall = declared["Resources"]["ApiFirewall"]

    arn = "arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${Api}/stages/${Api.Stage}"
    assert firewall == {
        "Type": "AWS::WAFv2::WebACLAssociation",
        "Condition": "HasWebAcl",
        "Properties": {"ResourceArn": {"Fn::Sub": arn}, "WebACLArn": {"Ref": "WebAclArn"}},
    }
    condition = {"Fn::Not": [{"Fn::Equals": [{"Ref": "WebAclArn"}, ""]}]}
    assert declared["Conditions"]["HasWebAcl"] == condition


@pytest.mark.parametrize(
    ("arn", "fits"),
    [
        ("", True),
        ("arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/main/0a1b-2c", True),
        ("arn:aws-us-gov:wafv2:us-gov-west-1:123456789012:regional/webacl/a_b/0", True),
        ("arn:aws:wafv2:us-east-1:123456789012:global/webacl/main/0a1b", False),
        ("arn:aws:iam::123456789012:role/main", False),
        ("main", False),
    ],
)
def test_the_firewall_is_a_regional_one(arn, fits):
    """A web ACL for CloudFront cannot protect a regional API."""
    pattern = read_template()["Parameters"]["WebAclArn"]["AllowedPattern"]

    assert (re.fullmatch(pattern, arn) is not None) == fits
