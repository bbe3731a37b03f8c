"""The log of this machine in readable form: the implementation of `make logs`."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from tools.after_deploy import physical_ids
from tools.local_cloud import STACK, LocalCloud
from tools.parameters import folders

UNSHOWN = {
    *("level", "message", "timestamp", "service", "stack", "_aws"),
    *("function_name", "function_request_id", "api_request_id", "xray_trace_id"),
}
"""Fields that a readable line omits, or has in another place; GREP still finds them."""

FIELDS_TOO = frozenset({"oldest_due_seconds"})
"""Metrics that a line would tell without being counted."""

BOOKKEEPING = re.compile(r"(START|END|REPORT|INIT_START|XRAY) ")
"""How Lambda's own lines begin."""

UNKNOWN = "a_function"
"""The name of a function whose call wrote no line of the service."""

PAUSE = 1.0
"""Seconds between two looks."""


class Entry(NamedTuple):
    """Lines that a function logged together, and their time, in milliseconds since 1970."""

    at: int
    function: str
    text: str


def watch(
    cloud: LocalCloud, count: int, *, wanted: str = "", everything: bool = False, follow: bool
) -> None:
    """Show the last lines that have a text in them, and then what comes after.

    With ``everything`` all processes' lines are shown as they were written.
    """
    places = {part.log: 0 for part in (cloud.cloud, cloud.proxy) if part.log.exists()}
    seen: dict[str, int] = {}
    if cloud.cloud.process() is None:
        print("(the service does not run, so its functions' logs are not there: make up)")
    first = True
    while first or follow:
        shown: list[str] = []
        for path in places if everything else ():
            lines, places[path] = read_from(path, places[path])
            found = [f"{path.stem} | {line}" for line in lines if has(line, wanted)]
            shown += found[-count:] if first else found
        entries = logged(cloud, seen) if cloud.cloud.process() else []
        picked = [one for one in entries if has(f"{one.function} {one.text}", wanted)]
        found = [line for one in picked for line in lines_of(one, everything=everything)]
        shown += found[-count:] if first else found
        if shown:
            print(*shown, sep="\n", flush=True)
        elif first and wanted:
            print(f"(nothing that is logged has {wanted!r} in it)", file=sys.stderr)
        if follow:
            time.sleep(PAUSE)
        first = False


def logged(cloud: LocalCloud, seen: dict[str, int]) -> list[Entry]:
    """Return what all functions have logged since the times in `seen`, and note the new times."""
    client = cloud.session.client("logs")
    found = []
    try:
        by_name = folders_by_name(physical_ids(cloud.session, STACK))
        for group in client.describe_log_groups()["logGroups"]:
            name = group["logGroupName"]
            pages = client.get_paginator("filter_log_events").paginate(
                logGroupName=name, startTime=seen.get(name, 0)
            )
            events = [event for page in pages for event in page["events"]]
            if events:
                seen[name] = max(event["timestamp"] for event in events) + 1
            found += entries(events, by_name)
    except (BotoCoreError, ClientError) as error:
        print(f"(the functions' logs cannot be read: {error})", file=sys.stderr)
    return sorted(found, key=lambda entry: entry.at)


def folders_by_name(ids: Mapping[str, str]) -> dict[str, str]:
    """Return the functions' folders by their real names, from those of the stack's resources."""
    return {ids[logical]: folder for logical, folder in folders().items() if logical in ids}


def entries(events: Iterable[Mapping[str, Any]], by_name: Mapping[str, str]) -> list[Entry]:
    """Return events with their functions, which our own lines name for all lines of their stream.

    A call that ended before its first line of the service leaves the function open.
    """
    events = list(events)
    writers = {
        each["logStreamName"]: fields["function_name"]
        for each in events
        if (fields := event_of(each["message"])) and "function_name" in fields
    }
    return [
        Entry(
            each["timestamp"],
            by_name.get(writers.get(each["logStreamName"], ""), UNKNOWN),
            each["message"],
        )
        for each in events
    ]


def lines_of(entry: Entry, *, everything: bool) -> list[str]:
    """Return how an entry is shown: readable, or as it was written; Lambda's own only so."""
    lines = entry.text.rstrip().split("\n")
    if everything:
        return [f"{entry.function} | {line}" for line in lines]
    if BOOKKEEPING.match(entry.text):
        return []
    fields = event_of(entry.text)
    if fields is None:
        clock = datetime.fromtimestamp(entry.at / 1000, UTC).astimezone()
        return [f"{clock:%H:%M:%S} {entry.function} | {line}" for line in lines if line]
    # Without authentication, each request would say so again.
    if fields["message"] == "caller.authenticated" and fields.get("caller") == "anyone":
        return []
    return [readable(entry.function, fields)]


def event_of(text: str) -> dict[str, Any] | None:
    """Read a line of the service; other lines of a log are not JSON."""
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    ours = isinstance(fields, dict) and fields.keys() >= {"level", "message", "timestamp"}
    return fields if ours else None


def readable(function: str, fields: dict[str, Any]) -> str:
    """Write an event on one line: when, which function, what, and its fields."""
    clock = datetime.fromisoformat(fields["timestamp"]).astimezone()
    level = "" if fields["level"] == "INFO" else f"{fields['level']} "
    counted = {
        metric["Name"]
        for each in fields.get("_aws", {}).get("CloudWatchMetrics", [])
        for metric in each["Metrics"]
    }
    told = (
        f" {name}={plain(value)}"
        for name, value in fields.items()
        if name not in UNSHOWN | (counted - FIELDS_TOO)
    )
    return f"{clock:%H:%M:%S} {function} {level}{fields['message']}{''.join(told)}"


def plain(value: object) -> str:
    """Write a value without quotes where nothing is unclear without them."""
    if isinstance(value, str) and re.fullmatch(r"[!-~]+", value):
        return value
    return json.dumps(value, separators=(",", ":"))


def has(line: str, wanted: str) -> bool:
    """Return whether a text is in a line, in any case."""
    return wanted.lower() in line.lower()


def read_from(path: Path, start: int) -> tuple[list[str], int]:
    """Return the lines after a place in a file, and the place after them."""
    with path.open("rb") as file:
        # A shorter file is a new one.
        file.seek(start if start <= path.stat().st_size else 0)
        text = file.read().decode(errors="replace")
        return text.splitlines(), file.tell()
