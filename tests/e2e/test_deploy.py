"""`make deploy`, as a person calls it, to a cloud on this machine instead of AWS."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.declared import functions
from tests.e2e.system import until
from tools.after_deploy import physical_ids
from tools.build import architecture, build, one_at_a_time, runtime
from tools.local_cloud import ALIAS, CREDENTIALS, SAM_POLL_DELAY, LocalCloud, ask
from tools.paths import BUILD, ROOT, SAM
from tools.processes import free_port

STACK = "integration-dispatcher-dev"
CHANGED = """
def handler(event, context):
    print("changed code, version", context.function_version)
    return {"statusCode": 200, "body": "changed code", "batchItemFailures": []}
"""
"""Code of a function that answers the API and a queue alike."""


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
    made = account.session.client("lambda").list_functions()["Functions"]
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
    assert len(made) > 1
    assert account.session.client("lambda").list_functions()["Functions"] == []
    assert len(tables) == 2
    assert account.session.client("dynamodb").list_tables()["TableNames"] == tables


def sam_deploy(account, folder, parameters):
    """Deploy a build by SAM's own command; what is not named keeps its value."""
    config = ("--config-file", str(ROOT / "samconfig.toml"), "--config-env", "dev")
    command = (str(SAM), "deploy", "--template-file", str(folder / "template.yaml"), *config)
    assert run(account, *command, "--parameter-overrides", parameters) == 0


def update_code(account, copy, *changed):
    """Deploy the build once more, with other code in these functions."""
    with one_at_a_time():
        shutil.copytree(BUILD, copy)
    for name in changed:
        (copy / name / "app.py").write_text(CHANGED)
    sam_deploy(account, copy, "Stage=local")


def test_an_update_is_what_api_and_queues_call(account, tmp_path):
    """Both call the alias: they get new code when it moves, and nothing that is not published."""
    deploy(account, "Stage=local AuthMode=none")
    ids = physical_ids(account.session, STACK)
    lambdas, queues, logs = (account.session.client(one) for one in ("lambda", "sqs", "logs"))
    docs = f"{account.endpoint_url}/_aws/execute-api/{ids['Api']}/local/docs"
    before = ask(docs)

    update_code(account, tmp_path / "build", "GetDocsFunction", "AcceptEventsFunction")
    for name in ("GetDocsFunction", "AcceptEventsFunction"):
        lambdas.update_function_configuration(FunctionName=ids[name], Handler="app.unpublished")
    queues.send_message(QueueUrl=ids["IntakeQueue"], MessageBody="{}")

    log = {"logGroupName": ids["AcceptEventsLogGroup"], "filterPattern": '"changed code"'}
    [line, *_] = until(lambda: logs.filter_log_events(**log)["events"])
    mappings = lambdas.list_event_source_mappings()["EventSourceMappings"]
    assert before.startswith("200 <!DOCTYPE html>")
    assert ask(docs) == "200 changed code"
    assert line["message"].strip() == "changed code, version 2"
    assert {one["FunctionArn"].rpartition(":")[2] for one in mappings} == {ALIAS}


def test_a_parameter_alone_takes_effect(account):
    """To SAM's own command the template is the same; all that is called has the value at once."""
    build()
    here = f"Stage=local AuthMode=none Runtime={runtime()} Architecture={architecture()}"
    versions = []
    answers = []
    for parameters in (here, "PublicDocs=false", "PublicDocs=false"):
        with one_at_a_time():
            sam_deploy(account, BUILD, parameters)
        ids = physical_ids(account.session, STACK)
        answers.append(ask(f"{account.endpoint_url}/_aws/execute-api/{ids['Api']}/local/docs")[:3])
        versions.append({live(account, ids[name]) for name in functions()})

    assert answers == ["200", "404", "404"]
    assert versions == [{"1"}, {"2"}, {"2"}]


def live(account, function):
    """Return the version of a function that is called."""
    alias = account.session.client("lambda").get_alias(FunctionName=function, Name=ALIAS)
    return alias["FunctionVersion"]
