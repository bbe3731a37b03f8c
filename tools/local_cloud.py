"""The whole service on this machine: a local cloud with IAM, the deployed stack, a proxy in front.

`make up` uses it with the checkout's own `.local`. A test makes its own, with another home and
free ports; several run side by side:

    cloud = LocalCloud(tmp_path, api_port=free_port(), cloud_port=free_port())
    cloud.start()
    stack = cloud.deploy({"LogLevel": "DEBUG"})
    ...
    cloud.stop()
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.exceptions import ClientError

from tools import after_deploy, parameters
from tools.build import architecture, build, runtime
from tools.failure import ToolFailure, run_logged
from tools.paths import CADDY, CLOUD_PYTHON, ROOT, SAMCONFIG, TEMPLATE, ports_file
from tools.processes import LOOPBACK, PATIENCE, Background, require_free

STACK = "integration-dispatcher-local"
ARTIFACTS = "integration-dispatcher-artifacts"
REGION = "us-east-1"

# -P: what lies beside the gate is not for the local cloud to import.
CLOUD = [str(CLOUD_PYTHON), "-P", str(ROOT / "tools" / "gate.py")]

#: The local cloud's administrator credentials; the functions get their own roles'.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",  # pragma: allowlist secret
    "AWS_DEFAULT_REGION": REGION,
}

SAM_POLL_DELAY = "0.2"
"""Seconds between SAM's polls of a deployment; its own 5 are for AWS, which takes minutes."""

Stack = dict[str, str]
"""The contents of `stack.json`: `api_url`, `endpoint_url` and the stack's outputs."""


@dataclass(frozen=True)
class LocalCloud:
    """One local cloud, known by its home folder: state, logs, and what runs."""

    home: Path
    api_port: int = 8080
    cloud_port: int = 4566
    functions_endpoint: str = ""
    """Where the functions find AWS if it is not the cloud itself: a proxy before it, say."""

    @classmethod
    def last_of(cls, home: Path) -> LocalCloud:
        """Return the cloud in a folder at the ports of its last start; else at the usual ones."""
        ports = {"PORT": cls.api_port, "CLOUD_PORT": cls.cloud_port}
        with suppress(FileNotFoundError):
            ports |= json.loads(ports_file(home).read_text())
        ports |= cls(home).running_ports()
        return cls(home, ports["PORT"], ports["CLOUD_PORT"])

    def running_ports(self) -> dict[str, int]:
        """Return the ports of the processes that run, by the settings that name them."""
        found = {
            "PORT": self.proxy.started_with().get("PORT"),
            "CLOUD_PORT": self.cloud.started_with().get("GATEWAY_PORT"),
        }
        return {name: int(port) for name, port in found.items() if port}

    @property
    def api_url(self) -> str:
        """Return the service's address."""
        return f"http://localhost:{self.api_port}"

    @property
    def endpoint_url(self) -> str:
        """Return the address of the cloud's AWS services."""
        return f"http://localhost:{self.cloud_port}"

    @property
    def stack_file(self) -> Path:
        """Return the file that tells others about the deployed stack."""
        return self.home / "stack.json"

    @property
    def cloud(self) -> Background:
        """Return the process of the local cloud."""
        return Background("cloud", self.home)

    @property
    def proxy(self) -> Background:
        """Return the process of the proxy."""
        return Background("proxy", self.home)

    @property
    def door(self) -> Background:
        """Return the process that lets containers in, if `make sam-local` started one."""
        return Background("containers", self.home)

    @cached_property
    def session(self) -> boto3.Session:
        """Return the administrator's session; its clients talk to this cloud alone."""
        session = boto3.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        client = partial(session.client, endpoint_url=self.endpoint_url)
        session.client = client  # type: ignore[method-assign]  # the same, preset
        return session

    def start(self) -> None:
        """Start the local cloud unless it runs already."""
        variables = self._cloud_variables()
        running = self.running_ports()
        ports = {"PORT": self.api_port, "CLOUD_PORT": self.cloud_port}
        for what, variable in (("service", "PORT"), ("local cloud", "CLOUD_PORT")):
            if variable not in running:
                require_free(ports[variable], variable)
            elif running[variable] != ports[variable]:
                # The data would seem to be gone.
                raise ToolFailure(
                    f"The {what} runs at http://localhost:{running[variable]}. To move it: make "
                    "down first; each CLOUD_PORT has data of its own."
                )
        self.home.mkdir(parents=True, exist_ok=True)
        ports_file(self.home).write_text(json.dumps(ports) + "\n")
        if self.cloud.runs(CLOUD, variables):
            return
        if self.cloud.process() is None and self.cloud.record.exists():
            # It was killed, so its saved state may be older than what we deployed last.
            self._deployment_file.unlink(missing_ok=True)
        self.cloud.stop()
        for name in ("STATE_DIR", "S3_DATA_DIR"):
            Path(variables[name]).mkdir(parents=True, exist_ok=True)
        self._drop_scratch()
        self._scratch.mkdir()
        print(f"cloud: starting at {self.endpoint_url}", flush=True)
        self.cloud.start(CLOUD, variables)
        ready = f"http://{LOOPBACK}:{self.cloud_port}/_ministack/ready"
        wait_for(self.cloud, ready, "The local cloud")

    def deploy(self, overrides: Mapping[str, str] | None = None) -> Stack:
        """Build and deploy what has changed, with the local profile and these parameters over it.

        The stack may be there already, from the last run too: then only what the local cloud
        forgets is done again.
        """
        # Links in emails lead to the proxy: only it knows the address of the API behind it.
        settled = settle({"PublicUrl": self.api_url, **(overrides or {})})
        digest = build()
        deployment = {"build": digest, "parameters": settled}
        if self._is_deployed(deployment):
            print("deploy: nothing has changed", flush=True)
        else:
            self._deployment_file.unlink(missing_ok=True)
            self._sam_deploy(settled)
        api, stage = after_deploy.finish(self.session, STACK)
        self._start_proxy(api, stage)
        stack = self._write_stack_file()
        self._deployment_file.write_text(json.dumps(deployment, indent=2) + "\n")
        return stack

    def stop(self, patience: float = PATIENCE) -> list[str]:
        """Stop what runs, keeping all data; return what was stopped."""
        # Behind the proxy's address is what a person calls the service.
        parts = {"containers": self.door, "service": self.proxy, "cloud": self.cloud}
        stopped = [name for name, part in parts.items() if part.stop(patience)]
        self._drop_scratch()
        self.stack_file.unlink(missing_ok=True)
        return stopped

    def forget(self) -> None:
        """Throw all data away; the logs stay."""
        self.stop(patience=0)
        shutil.rmtree(self.home / "state", ignore_errors=True)
        ports_file(self.home).unlink(missing_ok=True)

    def stack_status(self) -> str:
        """Return CloudFormation's word on the stack."""
        try:
            return str(self._described()["StackStatus"])
        except ClientError:
            return "not deployed"

    def deployed_parameters(self) -> dict[str, str]:
        """Read the parameters back from the deployed stack."""
        parameters = self._described()["Parameters"]
        return {each["ParameterKey"]: each["ParameterValue"] for each in parameters}

    def _described(self) -> dict[str, Any]:
        client = self.session.client("cloudformation")
        return dict(client.describe_stacks(StackName=STACK)["Stacks"][0])

    @property
    def _state(self) -> Path:
        # Queues have the port in their addresses: what was deployed at one is no use at another.
        return self.home / "state" / str(self.cloud_port)

    @property
    def _deployment_file(self) -> Path:
        return self._state / "deployment.json"

    @property
    def _scratch(self) -> Path:
        return self._state / "tmp"

    def _drop_scratch(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _cloud_variables(self) -> dict[str, str]:
        # The functions inherit all of these, so none comes from the user's environment.
        elsewhere = {"AWS_ENDPOINT_URL": self.functions_endpoint} if self.functions_endpoint else {}
        return elsewhere | {
            "PATH": f"{CLOUD_PYTHON.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self._state),
            "LANG": "C.UTF-8",
            "TMPDIR": str(self._scratch),
            "AUTH": "true",
            "BIND_HOST": LOOPBACK,
            "GATEWAY_PORT": str(self.cloud_port),
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self._state / "services"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self._state / "s3"),
            "LAMBDA_EXECUTOR": "local",
            # Listeners on separate ports that we have no use for.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }

    def _is_deployed(self, deployment: object) -> bool:
        try:
            if json.loads(self._deployment_file.read_text()) != deployment:
                return False
        except FileNotFoundError:
            return False
        return self.stack_status() in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}

    def _sam_deploy(self, settled: Mapping[str, str]) -> None:
        began = time.monotonic()
        print("deploy: sam deploy to the local cloud …", flush=True)
        self.session.client("s3").create_bucket(Bucket=ARTIFACTS)
        file = self._state / "parameters.yaml"
        command = parameters.sam_command(SAMCONFIG, "local", settled, file)
        ours = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
        address = {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": SAM_POLL_DELAY,
        }
        log = self.home / "logs" / "deploy.log"
        run_logged("sam deploy", command, log, ours | CREDENTIALS | address)
        print(f"deploy: done after {time.monotonic() - began:.0f} s", flush=True)

    def _start_proxy(self, api: str, stage: str) -> None:
        # A change of the routes gives the API a new ID, and the proxy a new address behind it.
        variables = {
            "HOME": str(self.home),
            "PORT": str(self.api_port),
            "CLOUD_PORT": str(self.cloud_port),
            "API_ID": api,
            "STAGE": stage,
        }
        command = [str(CADDY), "run", "--config", str(ROOT / "tools" / "Caddyfile")]
        if not self.proxy.runs(command, variables):
            self.proxy.stop()
            self.proxy.start(command, variables)
        wait_for(self.proxy, f"http://{LOOPBACK}:{self.api_port}/health", "The service")

    def _write_stack_file(self) -> Stack:
        deployed = self._described()["Outputs"]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in deployed}
        stack = {"api_url": self.api_url, "endpoint_url": self.endpoint_url, **outputs}
        self.stack_file.write_text(json.dumps(stack, indent=2) + "\n")
        return stack


def settle(overrides: Mapping[str, str]) -> dict[str, str]:
    """Return every parameter: overridden, else of this machine, local profile or template."""
    machine = {"Runtime": runtime(), "Architecture": architecture()}
    for name, value in machine.items():
        if overrides.get(name, value) != value:
            raise ToolFailure(
                f"{name}={overrides[name]} cannot run here: the local cloud runs functions with "
                f"its own Python ({value}). Another Python: make PYTHON=/path/to/python up"
            )
    settled = parameters.settle(
        parameters.declared(TEMPLATE),
        parameters.profile(SAMCONFIG, "local"),
        machine,
        overrides,
    )
    parameters.require_allowed(TEMPLATE, settled)
    parameters.require_sound(TEMPLATE, settled)
    return settled


def wait_for(
    process: Background, url: str, what: str, *, status: str = "200", patience: float = 60.0
) -> None:
    """Wait until the address returns a status, as long as the process lives."""
    deadline = time.monotonic() + patience
    while True:
        answer = ask(url)
        if answer.startswith(status):
            return
        if process.process() is None:
            raise ToolFailure(f"{what} has ended by itself. Its log: {process.log}")
        if time.monotonic() > deadline:
            raise ToolFailure(
                f"{what} is not well: {url} answers {answer or 'nothing'}. Its log: {process.log}"
            )
        time.sleep(0.1)


def ask(url: str) -> str:
    """Return the status and body of an address on this machine; empty if no server responds."""
    with requests.Session() as http, suppress(requests.RequestException):
        # A proxy of the user's is not meant for our own addresses.
        http.trust_env = False
        response = http.get(url, timeout=10)
        return f"{response.status_code} {response.text}"
    return ""
