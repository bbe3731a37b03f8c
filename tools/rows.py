"""Print rows of the deliveries table readably: `aws dynamodb query … | python -m tools.rows`.

Reads what the AWS CLI prints for get-item, query or scan, from standard input, and prints each row
as JSON: attributes first, then the decoded body, with times in RFC 3339.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

from dispatch_cli.screen import harmless_json
from dispatcher.adapters.items import body_of, item_size
from dispatcher.responses import rfc3339
from tools.failure import ToolFailure, reported

Json = Any
"""Any JSON value: a body may hold keys that this version does not know."""


def readable(item: dict[str, dict[str, Any]]) -> dict[str, Json]:
    """Return a row with its body decoded; ``item`` is in the AWS CLI's JSON."""
    raw: dict[str, Any] = {
        name: {"B": base64.b64decode(value["B"])} if "B" in value else value
        for name, value in item.items()
    }
    row: dict[str, Json] = {}
    for name, value in raw.items():
        if name != "body":
            [(kind, content)] = value.items()
            row[name] = content.hex() if kind == "B" else _number(name, content, kind)
    row["bytes"] = item_size(raw)
    if "body" in raw:
        row["body"] = _with_times(body_of(raw))
    return row


def rows(text: str) -> list[dict[str, Json]]:
    """Return the rows in a response of the AWS CLI; ``ToolFailure`` if it holds none."""
    try:
        response = json.loads(text)
        items = response["Items"] if "Items" in response else [response["Item"]]
        return [readable(item) for item in items]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ToolFailure(
            f"standard input holds no rows of the deliveries table ({type(error).__name__}): pipe "
            "the output of aws dynamodb get-item, query or scan, with --output json"
        ) from error


@reported
def main() -> int:
    """Print the rows that come in by standard input."""
    for row in rows(sys.stdin.read()):
        # Content of others must not reorder a line of the terminal, or control it.
        print(harmless_json(json.dumps(row, indent=2, ensure_ascii=False)))
    return 0


def _number(name: str, content: str, kind: str) -> Json:
    if kind != "N":
        return content
    value = float(content)
    return rfc3339(value) if _is_time(name) else int(value) if value.is_integer() else value


def _with_times(value: Json) -> Json:
    match value:
        case dict():
            return {
                name: rfc3339(part)
                if _is_time(name) and isinstance(part, int | float)
                else _with_times(part)
                for name, part in value.items()
            }
        case list():
            return [_with_times(part) for part in value]
        case _:
            return value


def _is_time(name: str) -> bool:
    return name.endswith(("_at", "_until")) or name == "ttl"


if __name__ == "__main__":
    sys.exit(main())
