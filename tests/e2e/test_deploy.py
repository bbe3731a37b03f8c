"""`make deploy`, as a person calls it, to a cloud on this machine instead of AWS."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import blocks, runbook
from tests.e2e.system import until
from tools.after_deploy import physical_ids
from tools.build import architecture, build, one_at_a_time, runtime
from tools.local_cloud import CREDENTIALS, REGION, SAM_POLL_DELAY, LocalCloud, ask
from tools.paths import BUILD, ROOT, SAM
from tools.processes import free_port

STACK = "integration-dispatcher-dev"
PROD = "integration-dispatcher-prod"
MACHINE = f"Runtime={runtime()} Architecture={architecture()}"
"""The local cloud's runtime; a stack keeps it, so only the first deployment names it."""

CHANGED = """
def handler(event, context):
    print("changed code, version", context.function_version)
    return {"statusCode": 200, "body": "changed code", "batchItemFailures": []}
"""
"""Code of a function that serves the API and a queue alike."""


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
    """An omitted parameter keeps its value, a failure changes nothing, and data outlives both."""
    # The local cloud accepts only the alarms of its stage, so that of AWS fails there.
    created = deploy(account, f"Stage=local AuthMode=none RetentionDays=30 {MACHINE}")
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
    """Deploy a build by SAM's own command; an omitted parameter keeps its value."""
    config = ("--config-file", str(ROOT / "samconfig.toml"), "--config-env", "dev")
    command = (str(SAM), "deploy", "--template-file", str(folder / "template.yaml"), *config)
    assert run(account, *command, "--parameter-overrides", parameters) == 0


def update_code(account, copy, *changed):
    """Deploy the build once more, with other code in these functions."""
    with one_at_a_time():
        shutil.copytree(BUILD, copy, ignore=shutil.ignore_patterns("*Layer"))
    for name in changed:
        (copy / name / "app.py").write_text(CHANGED)
    sam_deploy(account, copy, "Stage=local")


def test_an_update_is_what_api_and_queues_call(account, tmp_path):
    """Both call the function itself: they get new code and new parameters with the deployment."""
    deploy(account, f"Stage=local AuthMode=none {MACHINE}")
    ids = physical_ids(account.session, STACK)
    queues, logs = (account.session.client(one) for one in ("sqs", "logs"))
    docs = f"{account.endpoint_url}/_aws/execute-api/{ids['Api']}/local/docs"
    answers = [ask(docs)]
    for parameters in ("Stage=local PublicDocs=false", "Stage=local PublicDocs=true"):
        with one_at_a_time():
            sam_deploy(account, BUILD, parameters)
        answers.append(ask(docs))

    update_code(account, tmp_path / "build", "GetDocsFunction", "AcceptEventsFunction")
    queues.send_message(QueueUrl=ids["IntakeQueue"], MessageBody="{}")

    log = {"logGroupName": ids["FunctionsLogGroup"], "filterPattern": '"changed code"'}
    [line, *_] = until(lambda: logs.filter_log_events(**log)["events"])
    assert [answer[:3] for answer in answers] == ["200", "404", "200"]
    assert ask(docs) == "200 changed code"
    assert line["message"].strip() == "changed code, version $LATEST"


def test_a_new_stack_without_a_stage_is_refused(account):
    """`--parameter-overrides` drops the Stage of samconfig.toml, and there is no default for it."""
    build()
    config = ("--config-file", str(ROOT / "samconfig.toml"), "--config-env", "prod")
    command = (str(SAM), "deploy", "--template-file", str(BUILD / "template.yaml"), *config)

    code = run(
        account, *command, "--no-confirm-changeset", "--parameter-overrides", "AuthMode=none"
    )

    assert code != 0
    cloudformation = account.session.client("cloudformation")
    assert "integration-dispatcher-prod" not in [
        one["StackName"]
        for one in cloudformation.describe_stacks()["Stacks"]
        if one["StackStatus"].endswith("COMPLETE")
    ]


@pytest.fixture
def follow(account, tmp_path):
    """Return what runs commands of a document in one shell, and returns their output.

    Deployments are of the stage that the local cloud accepts, and for this machine.
    """

    def follow(commands: str, stack: str = PROD) -> str:
        preamble = (
            f'PATH="{Path(sys.executable).parent}:$PATH"\n'
            "curl() { command curl --silent --show-error --noproxy '*' \"$@\"; }\n"
            f'aws() {{ "{sys.executable}" -m tests.aws_cli "$@"; }}\n'
            f'sam() {{ "{SAM}" "$@"; }}\n'
        )
        commands = commands.replace(PROD, stack)
        commands = commands.replace('PARAMETERS="', f'YES=1 PARAMETERS="Stage=local {MACHINE} ')
        commands = commands.replace("ParameterValue=prod", "ParameterValue=local")
        commands = re.sub(r"AWS_DEFAULT_REGION=\S+", f"AWS_DEFAULT_REGION={REGION}", commands)
        # The stack's own output names a host of AWS: it is read, and another one is used.
        commands = re.sub(
            r"^export API=(\$\(.*\n.*\))\n",
            rf'echo \1\nexport API="{account.endpoint_url}/_aws/execute-api/$({API_ID})/local"\n',
            commands,
            flags=re.MULTILINE,
        )
        here = {**CREDENTIALS, "AWS_ENDPOINT_URL": account.endpoint_url, "SAM_CLI_TELEMETRY": "0"}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", preamble + commands],
            cwd=ROOT,
            env=os.environ | here | {"SAM_CLI_POLL_DELAY": SAM_POLL_DELAY, **SHELL},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        (tmp_path / "output").write_text(done.stdout + done.stderr)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    return follow


API_ID = (
    f"aws cloudformation describe-stack-resource --stack-name {PROD} --logical-resource-id Api "
    "--query StackResourceDetail.PhysicalResourceId --output text"
)
SHELL = {"SLACK_BOT_TOKEN": "xoxb-1"}  # pragma: allowlist secret


@pytest.mark.timeout(600)
def test_the_page_leads_to_the_first_message(follow, account):
    """All commands of docs/deploy.md, in their order, except those of SAM without make.

    `sam build --use-container` needs a container engine; the meaning of the rest to SAM is held by
    tests/tools/test_documented_deployments.py.
    """
    page = [
        block.text
        for block in blocks()
        if block.document == "docs/deploy.md" and block.language == "bash"
    ]
    commands = "".join(text for text in page if "sam build" not in text)
    # All deployments after the first one are made in parallel: each takes half a minute.
    before, first, rest = commands.partition("make deploy ")
    rest = re.sub(
        r'^make deploy ENV=prod PARAMETERS="(.*)"$', r'later+=" \1"', rest, flags=re.MULTILINE
    )
    rest = rest.replace("sam delete", 'make deploy ENV=prod PARAMETERS="$later"\nsam delete')
    commands = before + first + rest
    # A message takes its second.
    commands = commands.replace('curl --fail-with-body "$API/api/v1/users/ada/messages', LOOK)

    shown = follow(commands)

    stacks = account.session.client("cloudformation").describe_stacks()["Stacks"]
    compact = shown.replace('": ', '":')
    assert '"content":"It works."' in compact
    assert '"SecretsKeyArn": "arn:aws:kms:' in shown
    assert '"integration_type":"CLI","locked":false,"status":"success"' in compact
    assert PROD not in [one["StackName"] for one in stacks if one["StackStatus"] != GONE]


LOOK = """for _ in $(seq 50); do
  curl "$API/api/v1/users/ada/requests/first" -H "x-api-key: $KEY" | grep -q success && break
  sleep 0.2
done
curl --fail-with-body "$API/api/v1/users/ada/messages"""
GONE = "DELETE_COMPLETE"


def test_a_redeployed_stack_returns_to_its_kept_tables(follow, account):
    """The runbook's import, followed word by word, and the deployment that completes the stack."""
    deploy(account, f"Stage=local AuthMode=none {MACHINE}")
    before = physical_ids(account.session, STACK)
    dynamodb = account.session.client("dynamodb")
    row = {"user_id": {"S": "ada"}, "version": {"N": "1"}}
    dynamodb.put_item(TableName=before["OverridesTable"], Item=row)
    run(account, str(SAM), "delete", "--no-prompts", "--stack-name", STACK)

    commands = runbook("Return to kept tables").replace("OVERRIDES_TABLE", before["OverridesTable"])
    commands = commands.replace("DELIVERIES_TABLE", before["DeliveriesTable"])
    # The local cloud encrypts no table, so it cannot say by which key.
    arn = f"arn:aws:kms:{REGION}:000000000000:key/{before['Key']}"
    commands = commands.replace(".venv/bin/python -m", f"key={arn}\n{sys.executable} -m")
    shown = follow(commands, STACK)
    imported = physical_ids(account.session, STACK)
    done, status, _ = deploy(account, f"Stage=local AuthMode=none {MACHINE}")
    after = physical_ids(account.session, STACK)

    kept = ("OverridesTable", "DeliveriesTable", "Key")
    assert before["OverridesTable"] in shown
    assert sorted(imported) == sorted(kept)
    assert (done, status) == (True, "UPDATE_COMPLETE")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert len(dynamodb.list_tables()["TableNames"]) == 2
    assert dynamodb.scan(TableName=after["OverridesTable"])["Items"] == [row]


def test_a_failed_first_deployment_is_cleaned_up(follow, account):
    """The runbook's two commands remove what a creation has left, protected or not."""
    # The local cloud refuses the alarms of the other stages, so creating them fails.
    run(account, "make", "deploy", ENV="dev", YES="1", PARAMETERS=f"AuthMode=none {MACHINE}")

    follow(runbook("A first deployment that failed"), STACK)

    stacks = account.session.client("cloudformation").describe_stacks()["Stacks"]
    assert STACK not in [one["StackName"] for one in stacks if one["StackStatus"] != GONE]
    assert deploy(account, f"Stage=local AuthMode=none {MACHINE}")[:2] == (True, "CREATE_COMPLETE")
