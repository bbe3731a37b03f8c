"""The parameters that `make deploy` sets, and the values that it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from tools import deploy as module
from tools.deploy import deploy, deployed_parameters, settled
from tools.failure import ToolFailure

OTHER = {"Runtime": "python3.12", "Architecture": "x86_64"}


def test_a_persons_parameters_come_before_the_environments():
    """And what is built is said with them; nothing else is set."""
    chosen = settled({"Stage": "dev", "LogLevel": "INFO"}, {"LogLevel": "DEBUG"}, {})

    assert chosen == {
        "Stage": "dev",
        "LogLevel": "DEBUG",
        "Runtime": "python3.13",
        "Architecture": "arm64",
    }


@pytest.mark.parametrize(
    ("overrides", "deployed", "expected"),
    [
        ({}, {}, ("python3.13", "arm64")),
        ({}, OTHER, ("python3.12", "x86_64")),
        ({"Runtime": "python3.14"}, OTHER, ("python3.14", "x86_64")),
        ({"Architecture": "arm64"}, OTHER, ("python3.12", "arm64")),
    ],
)
def test_the_machine_that_builds_decides_nothing(overrides, deployed, expected):
    """A stack keeps its Python and processor unless a person names others.

    Two operators on different machines would otherwise move it to and fro.
    """
    chosen = settled({"Stage": "dev"}, overrides, deployed)

    assert (chosen["Runtime"], chosen["Architecture"]) == expected


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("LogLevl", "DEBUG", "Did you mean LogLevel"),
        ("Runtime", "python3.99", "it is one of python3.11"),
        ("RetentionDays", "0", "whole number from 1 to 3650"),
    ],
)
def test_a_slip_is_told_before_anything_is_built(name, value, told):
    """With the value, and what it should be."""
    with pytest.raises(ToolFailure, match=told):
        deploy("dev", {name: value}, ask=False)


@pytest.mark.parametrize("environment", ["", "production", "local"])
def test_only_environments_of_aws_are_deployed(environment):
    """`local` is `make up`'s."""
    with pytest.raises(ToolFailure, match="name one of dev, prod"):
        deploy(environment, {}, ask=False)


@pytest.fixture
def account(monkeypatch):
    """An empty account."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield boto3.client("cloudformation", region_name="eu-central-1")


def create(account, stack, **parameters):
    """Create a stack that has parameters, and none of our resources."""
    template = {
        "Parameters": {name: {"Type": "String"} for name in parameters},
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
    }
    account.create_stack(
        StackName=stack,
        TemplateBody=json.dumps(template),
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ],
    )


def test_the_parameters_of_the_environments_own_stack_are_read(account):
    """A stack that does not exist has none, which is different from an empty list."""
    create(account, "integration-dispatcher-dev", **OTHER)

    assert deployed_parameters("dev") == OTHER
    assert deployed_parameters("prod") is None


def test_credentials_that_are_missing_are_said_plainly(monkeypatch):
    """Before anything is built, with the page that says how to set them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null/none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")

    with pytest.raises(ToolFailure, match=r"docs/deploy\.md"):
        deployed_parameters("dev")


@pytest.fixture
def sam(monkeypatch, tmp_path):
    """Replace SAM: keep the arguments of each `sam deploy`, and do nothing."""
    told = []
    program = tmp_path / "sam"
    record = tmp_path / "told"
    program.write_text(
        "#!/bin/sh\n"
        'for word in "$@"; do case "$word" in file://*) cat "${word#file://}" ;; esac; done '
        f'| tr -d "\\n" >> {record}\n'
        f"echo >> {record}\n"
        f"exit $(cat {tmp_path}/exit 2>/dev/null || echo 0)\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr("tools.parameters.SAM", program)
    monkeypatch.setattr(module, "LOCAL", tmp_path)
    monkeypatch.setattr(module, "build", told.append)

    def read() -> list[dict[str, str]]:
        lines = record.read_text().splitlines() if record.exists() else []
        return [json.loads(line) for line in lines]

    read.built = told
    read.fail = lambda: Path(tmp_path / "exit").write_text("1")
    return read


def test_a_first_prod_deployment_is_protected_after_it_has_succeeded(account, sam):
    """A failed creation deletes its tables, which DynamoDB refuses of protected ones."""
    assert account
    assert deploy("prod", {"ApiKeysSecret": "keys"}, ask=False) == 0

    said = [(one["Stage"], one["ProtectTables"], one["ApiKeysSecret"]) for one in sam()]
    assert said == [("prod", "false", "keys"), ("prod", "true", "keys")]
    assert sam.built == [("python3.13", "arm64")]


def test_a_first_prod_deployment_that_fails_protects_nothing(account, sam):
    """Its exit code is SAM's."""
    assert account
    sam.fail()

    assert deploy("prod", {"ApiKeysSecret": "keys"}, ask=False) == 1

    assert [one["ProtectTables"] for one in sam()] == ["false"]


@pytest.mark.parametrize(
    ("environment", "overrides", "expected"),
    [("dev", {}, [None]), ("prod", {"ProtectTables": "false"}, ["false"])],
)
def test_other_first_deployments_are_one(account, sam, environment, overrides, expected):
    """Only prod is protected, and only if a person does not say otherwise."""
    assert account
    assert deploy(environment, overrides, ask=False) == 0

    assert [one.get("ProtectTables") for one in sam()] == expected


def test_a_later_prod_deployment_stays_protected(account, sam):
    """The stack keeps its Python and processor, and is deployed once."""
    create(account, "integration-dispatcher-prod", Stage="prod", **OTHER)

    assert deploy("prod", {}, ask=False) == 0

    assert sam.built == [("python3.12", "x86_64")]
    assert sam() == [{"Stage": "prod", "ProtectTables": "true", **OTHER}]
