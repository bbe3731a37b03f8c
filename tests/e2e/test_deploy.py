"""`make deploy`, as a person calls it, to a cloud on this machine instead of AWS."""

from __future__ import annotations

import os
import subprocess

import pytest

from tools.build import runtime
from tools.local_cloud import CREDENTIALS, SAM_POLL_DELAY, LocalCloud
from tools.paths import ROOT, SAM
from tools.processes import free_port

STACK = "integration-dispatcher-dev"


@pytest.fixture
def account(tmp_path):
    """Return a cloud in which nothing is deployed."""
    cloud = LocalCloud(tmp_path, api_port=free_port(), cloud_port=free_port())
    cloud.start()
    yield cloud
    cloud.forget()


def run(account, *command, **settings):
    """Run a command for that account, and return its exit code."""
    here = {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": account.endpoint_url,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": SAM_POLL_DELAY,
    }
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | here | settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=180,
    ).returncode


def deploy(account, parameters):
    """Deploy, and return the exit code, the stack's status and its parameters."""
    code = run(account, "make", "deploy", ENV="dev", YES="1", PARAMETERS=parameters)
    stacks = account.session.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    chosen = {one["ParameterKey"]: one["ParameterValue"] for one in stacks[0]["Parameters"]}
    return code == 0, stacks[0]["StackStatus"], chosen


def test_a_stack_is_created_changed_rolled_back_and_deleted(account):
    """What is not named keeps its value, what fails leaves all as it was, and data outlives it."""
    # The local cloud takes the alarms of its own stage alone, so that of AWS fails there.
    created = deploy(account, "Stage=local AuthMode=none RetentionDays=30")
    changed = deploy(account, "Stage=local LogLevel=DEBUG")
    failed = deploy(account, "Stage=dev RetentionDays=31")
    tables = account.session.client("dynamodb").list_tables()["TableNames"]
    deleted = run(account, str(SAM), "delete", "--no-prompts", "--stack-name", STACK)

    ours = ("Stage", "AuthMode", "RetentionDays", "LogLevel", "Runtime")
    told = [
        (done, status, [chosen[name] for name in ours])
        for done, status, chosen in (created, changed, failed)
    ]
    assert told == [
        (True, "CREATE_COMPLETE", ["local", "none", "30", "INFO", runtime()]),
        (True, "UPDATE_COMPLETE", ["local", "none", "30", "DEBUG", runtime()]),
        (False, "UPDATE_ROLLBACK_COMPLETE", ["local", "none", "30", "DEBUG", runtime()]),
    ]
    assert deleted == 0
    assert len(tables) == 2
    assert account.session.client("dynamodb").list_tables()["TableNames"] == tables
