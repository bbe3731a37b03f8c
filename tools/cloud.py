"""The commands behind `make up`, `down`, `status`, `logs` and `clean`."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from tools.failure import ToolFailure
from tools.local_cloud import STACK, LocalCloud, settle
from tools.parameters import parse
from tools.paths import LOCAL, ROOT


def main(arguments: list[str]) -> int:
    """Run one command; settings come from the environment, as make hands them on."""
    commands = {"up": up, "down": down, "status": status, "logs": logs, "clean": clean}
    try:
        commands[arguments[0]]()
    except ToolFailure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def up() -> None:
    """Have the service run here, deployed as the sources are now."""
    overrides = parse(os.environ.get("PARAMETERS", ""))
    settle(overrides)  # a slip of the pen is told before anything is started
    cloud = chosen_cloud()
    cloud.start()
    stack = cloud.deploy(overrides)
    print(f"The service: {stack['api_url']}   (try: curl {stack['api_url']}/health)")
    print(f"AWS services: {stack['endpoint_url']}   (all of the stack: {short(cloud.stack_file)})")


def down() -> None:
    """Stop what runs here, keeping the data."""
    stopped = running_cloud().stop()
    print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


def status() -> None:
    """Show what runs, and where."""
    cloud = running_cloud()
    for part, address in ((cloud.proxy, cloud.api_url), (cloud.cloud, cloud.endpoint_url)):
        process = part.process()
        state = f"running  process {process.pid:<8} {address}" if process else "stopped"
        print(f"{part.name:<8} {state}")
    if cloud.cloud.process():
        print(f"stack    {cloud.stack_status()}  {STACK}")


def logs() -> None:
    """Show the last lines of all logs, and with FOLLOW unlike 0 what comes after."""
    cloud = running_cloud()
    count = number("LINES_SHOWN", 20)
    follow = os.environ.get("FOLLOW", "1") != "0"
    files = {part.log: 0 for part in (cloud.cloud, cloud.proxy) if part.log.exists()}
    seen: dict[str, int] = {}
    first = True
    while first or follow:
        for path, start in files.items():
            lines, files[path] = read_from(path, start)
            show(path.stem, lines[-count:] if first else lines)
        if cloud.cloud.process():
            show_functions(cloud, seen, count if first else None)
        if follow:
            time.sleep(1)
        first = False


def show_functions(cloud: LocalCloud, seen: dict[str, int], at_most: int | None) -> None:
    """Show what the functions have logged since the times in `seen`, and note the new times."""
    client = cloud.session.client("logs")
    try:
        for group in client.describe_log_groups()["logGroups"]:
            name = group["logGroupName"]
            pages = client.get_paginator("filter_log_events").paginate(
                logGroupName=name, startTime=seen.get(name, 0)
            )
            events = [event for page in pages for event in page["events"]]
            if events:
                seen[name] = max(event["timestamp"] for event in events) + 1
            lines = [event["message"].rstrip() for event in events]
            show(
                name.rsplit("/", 1)[-1].removesuffix("LogGroup"),
                lines[-at_most:] if at_most else lines,
            )
    except (BotoCoreError, ClientError) as error:
        print(f"(the functions' logs cannot be read: {error})", file=sys.stderr)


def read_from(path: Path, start: int) -> tuple[list[str], int]:
    """Return the lines after a place in a file, and the place after them."""
    with path.open("rb") as file:
        # A shorter file is a new one.
        file.seek(start if start <= path.stat().st_size else 0)
        text = file.read().decode(errors="replace")
        return text.splitlines(), file.tell()


def show(name: str, lines: list[str]) -> None:
    """Print lines under the name of who wrote them."""
    for line in lines:
        print(f"{name} | {line}")
    sys.stdout.flush()


def clean() -> None:
    """Remove what was built and deployed; the environments stay."""
    cloud = running_cloud()
    cloud.forget()
    shutil.rmtree(ROOT / ".aws-sam", ignore_errors=True)
    shutil.rmtree(cloud.home / "logs", ignore_errors=True)
    print("removed: build, local data, logs")


def chosen_cloud() -> LocalCloud:
    """Return the cloud with the ports that the person wants."""
    api_port, cloud_port = number("PORT", 8080), number("CLOUD_PORT", 4566)
    if api_port == cloud_port:
        raise ToolFailure(f"PORT and CLOUD_PORT are both {api_port}: choose two different ports")
    return LocalCloud(home(), api_port, cloud_port)


def running_cloud() -> LocalCloud:
    """Return the cloud with the ports that it runs on; those wanted, where it does not."""
    wanted = chosen_cloud()
    return LocalCloud(
        wanted.home,
        int(wanted.proxy.started_with().get("PORT", wanted.api_port)),
        int(wanted.cloud.started_with().get("GATEWAY_PORT", wanted.cloud_port)),
    )


def home() -> Path:
    """Return the folder of state and logs: this checkout's, or another for a second cloud."""
    folder = Path(os.environ.get("CLOUD_HOME") or LOCAL).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def number(variable: str, default: int) -> int:
    """Read a port or a count from the environment; empty is unset."""
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ToolFailure(f"{variable}={text}: choose a number of 1 to 65535")
    return int(text)


def short(path: Path) -> str:
    """Name a file as seen from the checkout, where that is shorter."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
