"""The declared parts of the document, and examples that are built from the schemas of responses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dispatcher import VERSION
from dispatcher.integrations import catalogue

TIME = "2026-11-23T09:30:00.000Z"

DECLARED, EXAMPLES = (
    yaml.safe_load(Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8"))
    for name in ("declared", "examples")
)


def requests(function: str) -> dict[str, dict[str, Any]]:
    """Return examples of a function's body by name, each with ``summary`` and ``body``."""
    declared: dict[str, dict[str, Any]] = EXAMPLES["requests"].get(function, {})
    # Each integration has an example: an opt-out is valid for any.
    opt_outs = {
        name.lower(): {
            "summary": f"Opt out of {name}",
            "body": {"integration_type": name, "enabled": False},
        }
        for name in (catalogue() if function == "create_override" else ())
    }
    return {**declared, **{name: opt_outs[name] for name in opt_outs if name not in declared}}


def response(function: str, status: int, schema: str, schemas: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    """Return an example of a function's response."""
    other = EXAMPLES["responses"].get(function, {}).get(status, {})
    made = sample(schema, schemas)
    return {**made, **other} if other else made


def sample(name: str, schemas: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    """Return an example of a named schema."""
    declared = EXAMPLES["schemas"].get(name)
    if declared and "properties" not in schemas[name]:
        return declared
    fields = {**EXAMPLES["fields"], "version": VERSION, **(declared or {})}

    def of(schema: Mapping[str, Any], field: str) -> Any:  # noqa: ANN401 - any JSON
        if field in fields:
            return fields[field]
        match schema:
            case {"$ref": ref}:
                return sample(ref.rpartition("/")[2], schemas)
            case {"properties": properties}:
                return {each: of(part, each) for each, part in properties.items()}
            case {"items": items}:
                return [of(items, field)]
            case {"additionalProperties": dict(values)}:
                return {"EMAIL": of(values, "")}
            case {"format": "date-time"}:
                return TIME
            case {"type": "boolean"}:
                return True
        raise ValueError(f"{name}.{field} has no sample")

    return of(schemas[name], "")
