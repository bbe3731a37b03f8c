"""`make sam-local`: every function in a separate container, by SAM, against the local cloud.

`sam local` knows neither what a template's references stand for nor our AWS. So a template is
derived from the built one in which each function has the name of its folder and the environment of
the deployed function, with the address of the local cloud as a container sees it. samconfig.toml
names that template: afterwards plain `sam local invoke` and `sam local start-api` work too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import boto3
import psutil
import yaml

from tools.after_deploy import physical_ids
from tools.build import CODE
from tools.cloud import running_cloud
from tools.failure import ToolFailure, reported, short
from tools.local_cloud import CREDENTIALS, REGION, STACK, LocalCloud, wait_for
from tools.parameters import FUNCTION, folders
from tools.paths import BUILD, BUILT_TEMPLATE, CADDY, LOCAL, ROOT, SAM
from tools.processes import LOOPBACK

SAM_CLIENTS = "samcli.local.docker.container_client_factory"
DERIVED = LOCAL / "sam-local" / "template.json"
"""Where samconfig.toml says that the template is."""

REFUSED = "Unauthorized"
"""Responses that API Gateway reads as a refusal."""

DESKTOP = "host.docker.internal"
"""The machine's name in containers of Docker's desktop editions."""


@reported
def main() -> int:
    """Prepare, then try the functions that FUNCTION names (all, if it is empty) one by one."""
    return 0 if everything_answers(os.environ.get("FUNCTION", "").split()) else 1


def everything_answers(wanted: list[str]) -> bool:
    """Invoke functions by name, or all of them; return whether each responded."""
    require_engine()
    known = sorted(folders().values())
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ToolFailure(f"there is no function {unknown[0]!r}; there are: {', '.join(known)}")
    cloud = running_cloud()
    if not cloud.stack_file.exists():
        raise ToolFailure("nothing is deployed here: run `make up` first")
    prepare(cloud, containers_door(cloud))
    answers = [invoke(name) for name in wanted or known]
    print(f"{sum(answers)} of {len(answers)} functions answered.")
    if all(answers):
        print("Now, too: sam local invoke NAME -e events/NAME.json   and   sam local start-api")
    return all(answers)


def require_engine() -> None:
    """Raise ``ToolFailure`` unless SAM finds a container engine, in SAM's own way."""
    code = f"from {SAM_CLIENTS} import ContainerClientFactory as f; f.create_client()"
    tried = subprocess.run(
        [str(SAM.with_name("python")), "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if tried.returncode:
        host = os.environ.get("DOCKER_HOST")
        where = f"DOCKER_HOST={host} does not respond" if host else "none responds"
        raise ToolFailure(
            f"make sam-local needs a container engine, such as Docker or Finch: {where}. "
            "Start one, or name it: make sam-local DOCKER_HOST=unix:///var/run/docker.sock"
        )


def containers_door(cloud: LocalCloud) -> str:
    """Return the address of the local cloud for containers; make one where there is none yet.

    The cloud listens on loopback alone, which a container on Linux cannot reach: there a proxy
    listens on the address that the bridge of containers has on this machine, and nowhere else.
    """
    host = os.environ.get("SAM_LOCAL_HOST_IP") or _bridge()
    if host is None:
        return f"http://{DESKTOP}:{cloud.cloud_port}"
    settings = {"HOME": str(cloud.home), "HOST": host, "CLOUD_PORT": str(cloud.cloud_port)}
    command = [str(CADDY), "run", "--config", str(ROOT / "tools" / "Caddyfile.containers")]
    if not cloud.door.runs(command, settings):
        cloud.door.stop()
        cloud.door.start(command, settings)
    url = f"http://{host}:{cloud.cloud_port}"
    # Only signed requests are accepted there, but a refusal comes from the local cloud, too.
    wait_for(cloud.door, url, "The proxy for containers", status="403", patience=10)
    return url


def prepare(cloud: LocalCloud, address: str) -> None:
    """Write the template that `sam local` works from."""
    template = derived(
        yaml.safe_load(BUILT_TEMPLATE.read_text()),
        parameters=cloud.deployed_parameters(),
        environments=environments(cloud.session, address),
    )
    DERIVED.parent.mkdir(parents=True, exist_ok=True)
    DERIVED.write_text(json.dumps(template, indent=1) + "\n")
    print(f"prepared: {short(DERIVED)}, for containers that reach the local cloud at {address}")


def derived(
    template: dict[str, Any],
    *,
    parameters: Mapping[str, str],
    environments: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Return the built template with every reference that `sam local` cannot follow settled."""
    for name, value in parameters.items():
        template["Parameters"][name]["Default"] = value
    del template["Globals"]["Function"]["Environment"]
    names = folders()
    for logical_id, resource in template["Resources"].items():
        # SAM refuses to have something ignored that is no longer there.
        resource.pop("IgnoreGlobals", None)
        properties = resource.get("Properties", {})
        for code in CODE & properties.keys():
            # Containers get the folder, which is beside its zip file.
            properties[code] = str(BUILD / properties[code].removesuffix(".zip"))
        if resource["Type"] == FUNCTION:
            properties["FunctionName"] = names[logical_id]
            properties["Environment"] = {"Variables": dict(environments[logical_id])}
        # SAM's own server prefers ANY to the verb that is named.
        for path in properties.get("DefinitionBody", {}).get("paths", {}).values():
            path.pop("x-amazon-apigateway-any-method", None)
    return template


def environments(session: boto3.Session, address: str) -> dict[str, dict[str, str]]:
    """Return each deployed function's variables, and what makes them good in a container."""
    ids = physical_ids(session, STACK)
    client = session.client("lambda")
    here = {"AWS_ENDPOINT_URL": address, "AWS_REGION": REGION, **CREDENTIALS}
    return {
        logical_id: client.get_function_configuration(FunctionName=ids[logical_id])["Environment"][
            "Variables"
        ]
        | here
        for logical_id in folders()
    }


def invoke(name: str) -> bool:
    """Invoke a function with its sample event; print its response and its duration."""
    began = time.monotonic()
    done = subprocess.run(
        [os.environ.get("SAM") or str(SAM), "local", "invoke", name, "-e", f"events/{name}.json"],
        cwd=ROOT,
        env=os.environ | {"SAM_CLI_TELEMETRY": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    log = DERIVED.parent / f"{name}.log"
    log.write_text(done.stderr)
    answer = done.stdout.strip().rpartition("\n")[2]
    good = done.returncode == 0 and is_answer(answer)
    shown = answer[:60] if good else f"failed; the log: {short(log)}"
    print(f"{name:<28} {time.monotonic() - began:5.1f} s  {shown}", flush=True)
    return good


def is_answer(text: str) -> bool:
    """Return whether the last line that a function wrote is what it should be.

    "Unauthorized" is the authorizer's way to refuse: with authentication, no function knows
    the key in its sample.
    """
    try:
        answer = json.loads(text)
    except ValueError:
        return False
    if not isinstance(answer, dict) or answer.get("errorMessage", REFUSED) != REFUSED:
        return False
    return int(answer.get("statusCode", 200)) < 500 and not answer.get("batchItemFailures")


def _bridge() -> str | None:
    """Return the address of Docker's bridge on this machine, if it is a Linux with one."""
    for address in psutil.net_if_addrs().get("docker0", []):
        if "." in address.address and address.address != LOOPBACK:
            return address.address
    return None


if __name__ == "__main__":
    sys.exit(main())
