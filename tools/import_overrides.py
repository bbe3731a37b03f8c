"""Import the user settings of rh-ai-quickstart's integration dispatcher as overrides.

    python -m tools.import_overrides FILE [--exclusive] [--dry-run]

FILE holds one row of the table `user_integration_configs` per line, as JSON. The service and the
credential are those of the command line: from `dispatch login`, or from DISPATCH_URL and
DISPATCH_TOKEN or DISPATCH_API_KEY. docs/migrating.md explains what changes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

from dispatch_cli.failures import Failure, RejectedFailure
from dispatch_cli.service import Service
from dispatch_cli.settings import resolve
from dispatcher.integrations import catalogue
from tools.failure import ToolFailure, reported


class OldRow(TypedDict):
    """A row of the old table; other columns are ignored."""

    user_id: str
    integration_type: str
    enabled: bool
    config: dict[str, object]
    priority: int
    retry_count: int
    retry_delay_seconds: int


Override = dict[str, object]
"""A body of `POST …/integrations`."""


def convert(rows: Iterable[OldRow], *, exclusive: bool = False) -> Iterator[tuple[str, Override]]:
    """Yield each user's overrides.

    The old service delivers the highest number first; here 1 is first. Its ``retry_count`` counts
    attempts; here it counts retries. A user with rows gets nothing over other integrations there;
    ``exclusive`` keeps it so.
    """
    users: defaultdict[str, list[OldRow]] = defaultdict(list)
    for row in rows:
        users[row["user_id"]].append(row)
    for user_id, theirs in users.items():
        ordered = sorted(theirs, key=lambda row: -row["priority"])
        for place, row in enumerate(ordered, start=1):
            yield user_id, _override(row, place)
        if exclusive:
            known = {row["integration_type"].upper() for row in theirs}
            for name, integration in catalogue().items():
                if name not in known and integration.auto_enabled:
                    yield user_id, {"integration_type": name, "enabled": False}


def _override(row: OldRow, priority: int) -> Override:
    name = row["integration_type"].upper()
    integration = catalogue().get(name)
    keys = integration.config_type.__annotations__ if integration else row["config"]
    return {
        "integration_type": name,
        "enabled": row["enabled"],
        "priority": min(priority, 100),
        "retry_count": min(max(row["retry_count"] - 1, 0), 20),
        "retry_delay_seconds": min(max(row["retry_delay_seconds"], 1), 86_400),
        "config": {key: value for key, value in row["config"].items() if key in keys},
    }


@reported
def main(arguments: list[str] | None = None) -> int:
    """Import a file. Return 1 if the service rejected a row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="rows as JSON, one per line")
    parser.add_argument(
        "--exclusive", action="store_true", help="disable integrations that a user has no row for"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the overrides, send nothing")
    options = parser.parse_args(arguments)
    lines = filter(str.strip, options.file.read_text().splitlines())
    overrides = convert(map(json.loads, lines), exclusive=options.exclusive)
    if options.dry_run:
        for user_id, override in overrides:
            print(json.dumps({"user_id": user_id, **override}))
        return 0
    service, rejected = Service(resolve(os.environ, None)), 0
    for user_id, override in overrides:
        try:
            service.post("api", "v1", "users", user_id, "integrations", body=override)
        except RejectedFailure as failure:
            rejected += 1
            reasons = [f"{error.pointer}: {error.detail}" for error in failure.field_errors]
            name = override["integration_type"]
            print(f"{user_id} {name}: {'; '.join(reasons) or failure}", file=sys.stderr)
        except Failure as failure:
            raise ToolFailure(f"{failure} {failure.advice}") from failure
    return int(rejected > 0)


if __name__ == "__main__":
    sys.exit(main())
