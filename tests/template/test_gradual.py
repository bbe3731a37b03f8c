"""Updates: all that calls a function calls its alias, which moves at once or gradually."""

from __future__ import annotations

import json
import re
import subprocess
from copy import deepcopy
from pathlib import Path

import pytest

from tools.local_cloud import ALIAS
from tools.paths import LOCAL

SAM_PYTHON = LOCAL / "sam" / "bin" / "python"
TRANSLATE = Path(__file__).with_name("translate.py")
ALARMS = ["FunctionErrorsAlarm", "ApiErrorsAlarm", "AuthorizerErrorsAlarm"]


@pytest.fixture(scope="module")
def packaged(template):
    """Return the template as `sam deploy` hands it over: code stands in a bucket."""
    packaged = deepcopy(template)
    for resource in packaged["Resources"].values():
        for code in {"CodeUri", "ContentUri"} & set(resource.get("Properties", {})):
            resource["Properties"][code] = f"s3://bucket/{resource['Properties'][code]}"
    return packaged


def translated(template, **parameters):
    """Return what CloudFormation gets to see, as SAM says."""
    done = subprocess.run(
        [SAM_PYTHON, TRANSLATE],
        input=json.dumps({"template": template, "parameters": parameters}),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def at_once(packaged):
    """Return the translation of a deployment that names no parameter."""
    return translated(packaged)


@pytest.fixture(scope="module")
def gradual(packaged):
    """Return the translation of a gradual deployment."""
    return translated(packaged, GradualDeployment="true")


def of(translation, kind):
    """Return the resources of one type by logical id."""
    return {
        name: resource
        for name, resource in translation["Resources"].items()
        if resource["Type"] == kind
    }


def alias_of(function):
    """Return the logical id that SAM gives to a function's alias."""
    return f"{function}Alias{ALIAS}"


def with_code(template, logical_id):
    """Return the template after a change of the code of one function or layer."""
    changed = deepcopy(template)
    properties = changed["Resources"][logical_id]["Properties"]
    properties["CodeUri" if "CodeUri" in properties else "ContentUri"] = "s3://bucket/changed"
    return changed


def published(before, after):
    """Return the functions that get a new version by an update."""
    known = of(before, "AWS::Lambda::Version")
    return {
        version["Properties"]["FunctionName"]["Ref"]
        for name, version in of(after, "AWS::Lambda::Version").items()
        if name not in known
    }


def test_nothing_calls_a_function_past_its_alias(functions, at_once):
    """Whoever called the function itself would get an update before it is let loose on others."""
    made_of_it = {"AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::Lambda::EventInvokeConfig"}
    counting = {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"}  # all versions as one
    callers = json.dumps(
        [one for one in at_once["Resources"].values() if one["Type"] not in made_of_it | counting]
    )

    past = {name for name in functions if re.search(rf'"{name}"|\$\{{{name}[.}}]', callers)}
    called = {name for name in functions if alias_of(name) in callers}

    assert past == set()
    assert called == set(functions)


def test_what_is_not_asked_for_costs_nothing(at_once):
    """Without the parameter there is no trace of CodeDeploy, whose resources nobody needs."""
    kinds = {resource["Type"] for resource in at_once["Resources"].values()}
    waiting = [name for name, one in at_once["Resources"].items() if "UpdatePolicy" in one]

    assert [kind for kind in kinds if "CodeDeploy" in kind] == []
    assert waiting == []


def test_every_alias_moves_gradually_and_back_when_an_alarm_goes_off(functions, gradual):
    """One deployment group for each function, and one role of CodeDeploy for all of them."""
    groups = of(gradual, "AWS::CodeDeploy::DeploymentGroup")
    aliases = of(gradual, "AWS::Lambda::Alias")

    assert set(groups) == {f"{name}DeploymentGroup" for name in functions}
    assert {name: alias["UpdatePolicy"] for name, alias in aliases.items()} == {
        alias_of(name): {
            "CodeDeployLambdaAliasUpdate": {
                "ApplicationName": {"Ref": "ServerlessDeploymentApplication"},
                "DeploymentGroupName": {"Ref": f"{name}DeploymentGroup"},
            }
        }
        for name in functions
    }
    told = {json.dumps(group["Properties"], sort_keys=True) for group in groups.values()}
    [properties] = [json.loads(text) for text in told]
    [names_on_aws, names_here] = properties.pop("AlarmConfiguration")["Fn::If"][1:]
    assert [one["Name"]["Ref"] for one in names_on_aws["Alarms"]] == ALARMS
    assert [one["Name"]["Ref"] for one in names_here["Alarms"]] == ALARMS[1:]
    assert properties == {
        "ApplicationName": {"Ref": "ServerlessDeploymentApplication"},
        "AutoRollbackConfiguration": {
            "Enabled": True,
            "Events": [
                "DEPLOYMENT_FAILURE",
                "DEPLOYMENT_STOP_ON_ALARM",
                "DEPLOYMENT_STOP_ON_REQUEST",
            ],
        },
        "DeploymentConfigName": {
            "Fn::Sub": [
                "CodeDeployDefault.Lambda${ConfigName}",
                {"ConfigName": "Canary10Percent10Minutes"},
            ]
        },
        "DeploymentStyle": {
            "DeploymentType": "BLUE_GREEN",
            "DeploymentOption": "WITH_TRAFFIC_CONTROL",
        },
        "ServiceRoleArn": {"Fn::GetAtt": ["CodeDeployServiceRole", "Arn"]},
    }
    role = gradual["Resources"]["CodeDeployServiceRole"]["Properties"]
    [managed] = role["ManagedPolicyArns"]
    assert managed.endswith(":iam::aws:policy/service-role/AWSCodeDeployRoleForLambda")


def test_an_update_publishes_what_it_changes(packaged, at_once, functions):
    """A function's code changes it alone; a layer changes all that have it, as SAM must be told."""
    told = {
        changed: published(at_once, translated(with_code(packaged, changed)))
        for changed in ("GetDocsFunction", "ChannelsLayer", "ResolverLayer")
    }

    assert told == {
        "GetDocsFunction": {"GetDocsFunction"},
        "ChannelsLayer": {"GetHealthFunction", "DeliverMessagesFunction"},
        "ResolverLayer": set(functions),
    }


def test_a_changed_parameter_replaces_the_version_of_every_function(functions, at_once):
    """SAM sees no change, CloudFormation does; Lambda refuses a version of what is the same."""
    told = {name: {"Fn::GetAtt": "ParametersHash.Hash"} for name in functions}
    versions = [one["Properties"] for one in of(at_once, "AWS::Lambda::Version").values()]
    made = {name: at_once["Resources"][name]["Properties"] for name in functions}

    described = {one["FunctionName"]["Ref"]: one["Description"] for one in versions}
    environments = {name: one["Environment"]["Variables"] for name, one in made.items()}

    assert described == told
    assert {name: one["PARAMETERS_HASH"] for name, one in environments.items()} == told


def test_it_fits_into_one_stack(gradual):
    """CloudFormation takes 500 resources and 1 MB of template."""
    assert len(gradual["Resources"]) <= 300
    assert len(json.dumps(gradual)) <= 500_000
