"""The template that CloudFormation reads: SAM's translation."""

from __future__ import annotations

import json
import subprocess
from copy import deepcopy
from pathlib import Path

import pytest

from tools.paths import LOCAL

SAM_PYTHON = LOCAL / "sam" / "bin" / "python"
TRANSLATE = Path(__file__).with_name("translate.py")

ACCOUNT = "123456789012"
REGION = "ap-northeast-1"
API_ID = "a1b2c3d4e5"
NAME = "integration-dispatcher-of-forty-chars-xx-RefuseRequestFunction-"[:51] + "1A2B3C4D5E6F"
"""The name of a function, as long as Lambda permits: 64 characters with the suffix."""


@pytest.fixture(scope="module")
def translated(template):
    """Return the template as `sam deploy` hands it over: code is in a bucket."""
    packaged = deepcopy(template)
    for resource in packaged["Resources"].values():
        for code in {"CodeUri", "ContentUri"} & set(resource.get("Properties", {})):
            resource["Properties"][code] = f"s3://bucket/{resource['Properties'][code]}"
    done = subprocess.run(
        [SAM_PYTHON, TRANSLATE],
        input=json.dumps({"template": packaged, "parameters": {"Stage": "prod"}}),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def of(translation, kind):
    """Return the properties of the resources of one type by logical ID."""
    return {
        name: resource["Properties"]
        for name, resource in translation["Resources"].items()
        if resource["Type"] == kind
    }


def test_callers_call_the_functions_themselves(translated):
    """No version, alias or CodeDeploy resource is made: each was one more way to fail.

    A retained version makes a repeated deployment fail with "Version already exists"
    (aws/serverless-application-model#3281, aws/aws-cdk#35540).
    """
    kinds = {resource["Type"] for resource in translated["Resources"].values()}

    unwanted = {"AWS::Lambda::Version", "AWS::Lambda::Alias"}
    assert not kinds & unwanted
    assert not [kind for kind in kinds if kind.startswith(("AWS::CodeDeploy::", "Custom::"))]
    assert not [name for name, one in translated["Resources"].items() if "UpdatePolicy" in one]


def test_it_fits_into_one_stack(translated):
    """CloudFormation accepts 500 resources and 1 MB of template."""
    assert len(translated["Resources"]) <= 450
    assert len(json.dumps(translated)) <= 400_000


def test_layers_are_named_by_their_stack(translated):
    """Two stacks of an account share no layer: SAM's own name would be the same in both."""
    layers = of(translated, "AWS::Lambda::LayerVersion")

    names = [layer["LayerName"] for layer in layers.values()]
    assert names == [
        {"Fn::Sub": "${AWS::StackName}-resolver"},
        {"Fn::Sub": "${AWS::StackName}-channels"},
    ]


def policy_statement(permission):
    """Return the statement that Lambda adds to a function's policy for one permission."""
    source = permission["SourceArn"]["Fn::Sub"]
    source = source if isinstance(source, str) else source[0]
    for name, value in (
        ("AWS::Partition", "aws"),
        ("AWS::Region", REGION),
        ("AWS::AccountId", ACCOUNT),
        ("__ApiId__", API_ID),
        ("Api", API_ID),
        ("__Stage__", "prod"),
    ):
        source = source.replace(f"${{{name}}}", value)
    assert "${" not in source, source
    return {
        "Sid": "integration-dispatcher-of-forty-chars-xx-RefuseRequestFunction-1A2B3C4D5E6F" * 2,
        "Effect": "Allow",
        "Principal": {"Service": permission["Principal"]},
        "Action": permission["Action"],
        "Resource": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{NAME}",
        "Condition": {"ArnLike": {"AWS:SourceArn": source}},
    }


def test_a_functions_policy_fits_into_what_lambda_accepts(translated):
    """Every event of a function adds a statement; Lambda refuses a policy above 20 KB.

    Source: Lambda quotas, "Function resource-based policy". 18 KB leave room for longer names.
    """
    policies = {}
    for permission in of(translated, "AWS::Lambda::Permission").values():
        if permission["Principal"] == "apigateway.amazonaws.com" and "SourceArn" in permission:
            name = json.dumps(permission["FunctionName"])
            policies.setdefault(name, []).append(policy_statement(permission))

    sizes = {
        name: len(json.dumps({"Version": "2012-10-17", "Id": "default", "Statement": statements}))
        for name, statements in policies.items()
    }

    assert any("RefuseRequestFunction" in name for name in sizes)
    assert max(sizes.values()) <= 18 * 1024


def test_a_roles_policies_fit_into_what_iam_accepts(translated):
    """IAM refuses more than 10,240 characters of inline policies in one role.

    Source: IAM quotas, "Role inline policies"; white space does not count.
    """
    for name, role in of(translated, "AWS::IAM::Role").items():
        size = len(json.dumps(role.get("Policies", []), separators=(",", ":")))

        assert size <= 10_240 / 1.5, name  # references become longer ARNs


def test_every_method_of_the_api_has_an_authorizer_or_says_none(translated):
    """No method is left to API Gateway's default, which is open."""
    [api] = of(translated, "AWS::ApiGateway::RestApi").values()
    verbs = {"get", "post", "put", "patch", "delete", "head", "options"}
    verbs |= {"x-amazon-apigateway-any-method"}

    for path, item in api["Body"]["paths"].items():
        for verb, method in item.items():
            assert verb in verbs, (path, verb)
            assert method["security"] in ([{"Caller": []}], [{"NONE": []}]), (path, verb)
