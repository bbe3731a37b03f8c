"""A strict JSON parser (RFC 8259).

It rejects input that Python's parser accepts beyond JSON: NaN, repeated keys, any depth.
"""

from __future__ import annotations

import json
import math
from typing import Any

JsonObject = dict[str, Any]
"""A JSON object. ``Any``: a schema or a rule checks each value before it is used."""

LARGEST_BODY = 256 * 1024
"""Bytes in UTF-8 of the body of a request or an event."""

DEEPEST = 32
"""Levels of nesting; DynamoDB stores as many."""


class MalformedJsonError(ValueError):
    """The text is not strict JSON; the message gives the reason without quoting the text."""


def size_of(value: object) -> int:
    """Return the bytes of a value as JSON in UTF-8, without spaces."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode(errors="replace"))


def read_json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Read one JSON value; raise ``MalformedJsonError`` if the text is not JSON."""
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite
        )
    except MalformedJsonError:
        raise
    except RecursionError as error:
        raise MalformedJsonError(_TOO_DEEP) from error
    except json.JSONDecodeError as error:
        where = f"see line {error.lineno}, column {error.colno}" if text else "it is empty"
        raise MalformedJsonError(f"is not valid JSON: {where}") from error
    except ValueError as error:
        raise MalformedJsonError("contains a number with too many digits") from error
    if _depth(value) > DEEPEST:
        raise MalformedJsonError(_TOO_DEEP)
    return value


_TOO_DEEP = f"is nested deeper than {DEEPEST} levels"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise MalformedJsonError("contains a key twice in one object")
    return result


def _refuse(_constant: str) -> None:
    raise MalformedJsonError("contains NaN or Infinity, which JSON does not allow")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise MalformedJsonError("contains a number that is too large")
    return value


def _depth(value: object) -> int:
    deepest, level = 0, [value]
    while containers := [item for item in level if isinstance(item, dict | list)]:
        deepest += 1
        parts = [item.values() if isinstance(item, dict) else item for item in containers]
        level = [inner for part in parts for inner in part]
    return deepest
