"""The commands behind `make up`, `down`, `status`, `logs` and `clean`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tools.failure import ToolFailure, reported, short
from tools.local_cloud import STACK, LocalCloud, settle
from tools.logs import watch
from tools.parameters import parse
from tools.paths import LOCAL, ROOT


@reported
def main(arguments: list[str]) -> int:
    """Run one command; settings come from the environment, as make hands them on."""
    commands = {"up": up, "down": down, "status": status, "logs": logs, "clean": clean}
    commands[arguments[0]]()
    return 0


def up() -> None:
    """Have the service run here, deployed as the sources are now."""
    overrides = parse(os.environ.get("PARAMETERS", ""))
    settle(overrides)  # a typing error is reported before anything is started
    cloud = chosen_cloud()
    cloud.start()
    stack = cloud.deploy(overrides)
    print(f"Cloud    {stack['endpoint_url']}   (all of the stack: {short(cloud.stack_file)})")
    show_addresses(cloud)


def down() -> None:
    """Stop what runs here, keeping the data."""
    stopped = running_cloud().stop()
    print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


def status() -> None:
    """Show what runs, and where."""
    cloud = running_cloud()
    for name, part, address in (
        ("service", cloud.proxy, cloud.api_url),
        ("cloud", cloud.cloud, cloud.endpoint_url),
    ):
        process = part.process()
        state = f"running  process {process.pid:<8} {address}" if process else "stopped"
        print(f"{name:<8} {state}")
    if cloud.cloud.process():
        print(f"stack    {(stack := cloud.stack_status())}  {STACK}")
        if cloud.proxy.process() and stack.endswith("_COMPLETE"):
            show_addresses(cloud)


def show_addresses(cloud: LocalCloud) -> None:
    """Print where the API is, and the console unless it is disabled."""
    print(f"API      {cloud.api_url}")
    if cloud.deployed_parameters()["ConsoleEnabled"] == "true":
        print(f"Console  {cloud.api_url}/console")


def logs() -> None:
    """Show the last lines of the log, and with FOLLOW unlike 0 what comes after."""
    watch(
        running_cloud(),
        number("LINES_SHOWN", 20),
        wanted=os.environ.get("GREP", ""),
        everything=os.environ.get("ALL", "0") not in {"", "0"},
        follow=os.environ.get("FOLLOW", "1") != "0",
    )


def clean() -> None:
    """Remove what was built and deployed; the environments stay."""
    cloud = running_cloud()
    cloud.forget()
    shutil.rmtree(ROOT / ".aws-sam", ignore_errors=True)
    shutil.rmtree(cloud.home / "logs", ignore_errors=True)
    print("removed: build, local data, logs")


def chosen_cloud() -> LocalCloud:
    """Return the cloud of ``CLOUD_HOME`` at the ports that are given, else at its last ones."""
    last = LocalCloud.last_of(home())
    api_port, cloud_port = number("PORT", last.api_port), number("CLOUD_PORT", last.cloud_port)
    if api_port == cloud_port:
        raise ToolFailure(f"PORT and CLOUD_PORT are both {api_port}: choose two different ports")
    return LocalCloud(last.home, api_port, cloud_port)


def running_cloud() -> LocalCloud:
    """Return the cloud of ``CLOUD_HOME`` at its last ports; refuse other ones."""
    last, chosen = LocalCloud.last_of(home()), chosen_cloud()
    for variable, port, wanted in (
        ("PORT", last.api_port, chosen.api_port),
        ("CLOUD_PORT", last.cloud_port, chosen.cloud_port),
    ):
        if port != wanted:
            raise ToolFailure(
                f"{variable}={wanted}: the service in {short(last.home)} has {variable}={port}. "
                f"Leave {variable} out; for another service, give its CLOUD_HOME."
            )
    return last


def home() -> Path:
    """Return the folder of state and logs: this checkout's, or another for a second cloud."""
    folder = Path(os.environ.get("CLOUD_HOME") or LOCAL).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def number(variable: str, default: int, most: int = 65535) -> int:
    """Read a port or a count from the environment; empty is unset."""
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise ToolFailure(f"{variable}={text}: choose a number of 1 to {most}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
