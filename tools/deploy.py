"""`make deploy ENV=dev`: build for what the stack runs on, and deploy just that.

Only what is named here is set: the environment of samconfig.toml, PARAMETERS, and what was built.
All other parameters keep the value that the stack has. The machine that builds decides nothing:
Runtime and Architecture are those of PARAMETERS, else of the stack, else the template's defaults.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.build import Target, build
from tools.failure import ToolFailure, reported
from tools.parameters import (
    declared,
    deployments,
    parse,
    profile,
    require_allowed,
    sam_command,
    unknown,
)
from tools.paths import LOCAL, ROOT, SAMCONFIG, TEMPLATE

HERE = "local"
"""The environment of `make up`."""


@reported
def main() -> int:
    """Deploy the environment that ENV names; YES=1 asks nothing."""
    overrides = parse(os.environ.get("PARAMETERS", ""))
    return deploy(os.environ.get("ENV", ""), overrides, ask=os.environ.get("YES", "") != "1")


def deploy(environment: str, overrides: Mapping[str, str], *, ask: bool) -> int:
    """Build, and let SAM deploy; return its exit code."""
    known = sorted(deployments(SAMCONFIG).keys() - {"default", HERE})
    if environment not in known:
        raise ToolFailure(f"ENV={environment} is no environment: name one of {', '.join(known)}")
    for name in overrides:
        if name not in declared(TEMPLATE):
            raise ToolFailure(unknown(name, list(declared(TEMPLATE))))
    settings = profile(SAMCONFIG, environment)
    require_allowed(TEMPLATE, {**settings, **overrides})
    deployed = deployed_parameters(environment)
    chosen = settled(settings, overrides, deployed or {})
    build(Target(chosen["Runtime"], chosen["Architecture"]))
    is_protected = chosen["Stage"] == "prod" and chosen.get("ProtectTables", "true") == "true"
    if deployed is None and is_protected:
        # A creation that fails deletes what it made, which DynamoDB refuses of a protected table:
        # the stack would be stuck in ROLLBACK_FAILED.
        print(
            "deploy: without ProtectTables first, so that a failure can be rolled back", flush=True
        )
        code = sam_deploy(environment, {**chosen, "ProtectTables": "false"}, ask=ask)
        if code:
            return code
        print("deploy: now with ProtectTables=true", flush=True)
        chosen = {**chosen, "ProtectTables": "true"}
    return sam_deploy(environment, chosen, ask=ask)


def sam_deploy(environment: str, parameters: Mapping[str, str], *, ask: bool) -> int:
    """Run `sam deploy` for an environment; return its exit code."""
    file = LOCAL / f"parameters-{environment}.yaml"
    command = sam_command(SAMCONFIG, environment, parameters, file)
    command += [] if ask else ["--no-confirm-changeset"]
    quiet = os.environ | {"SAM_CLI_TELEMETRY": "0"}
    return subprocess.run(command, cwd=ROOT, env=quiet, check=False).returncode


def deployed_parameters(environment: str) -> dict[str, str] | None:
    """Return the parameters of the environment's stack; ``None`` if there is no stack yet."""
    settings = deployments(SAMCONFIG)[environment]
    stack = str(settings["stack_name"])
    try:
        session = boto3.Session(
            region_name=settings.get("region"), profile_name=settings.get("profile")
        )
        found = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"].get("Message", ""):
            return None
        raise ToolFailure(f"the stack {stack} cannot be read: {error}") from error
    except BotoCoreError as error:
        raise ToolFailure(
            f"the stack {stack} cannot be read: {error}. Set credentials and a region as for the "
            "AWS CLI: see docs/deploy.md"
        ) from error
    if found["StackStatus"] == "REVIEW_IN_PROGRESS":
        # The rest of a change set that was never executed: nothing has been created yet.
        return None
    return {
        one["ParameterKey"]: one["ParameterValue"]
        for one in found.get("Parameters", [])
        if "ParameterValue" in one
    }


def settled(
    profile: Mapping[str, str], overrides: Mapping[str, str], deployed: Mapping[str, str]
) -> dict[str, str]:
    """Return the parameters to set: what is built, the environment's, then those of the person."""
    defaults = declared(TEMPLATE)
    built = {
        name: deployed.get(name) or str(defaults[name]) for name in ("Runtime", "Architecture")
    }
    return {**built, **profile, **overrides}


if __name__ == "__main__":
    sys.exit(main())
