"""What the template lets each function do."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.declared import template


def granted(properties: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the rights of a function as pairs of action and resource."""
    return {
        (action, _name(resource))
        for policy in properties.get("Policies", ())
        for statement in policy["Statement"]
        for action in _as_list(statement["Action"])
        for resource in _as_list(statement["Resource"])
    }


def logical_id(folder: str) -> str:
    """Return what the template calls the function of a folder."""
    return "".join(word.capitalize() for word in folder.split("_")) + "Function"


@cache
def granted_to(folder: str) -> set[tuple[str, str]]:
    """Return the rights of the function of a folder."""
    return granted(template()["Resources"][logical_id(folder)]["Properties"])


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _name(expression: Any) -> str:
    match expression:
        case {"Fn::GetAtt": str(attribute)}:
            return attribute.removesuffix(".Arn")
        case {"Fn::Sub": str(text)}:
            return text.replace("${", "").replace(".Arn}", "")
    return str(expression)
