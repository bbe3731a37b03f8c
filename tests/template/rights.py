"""The rights that the template gives each function."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from tests.declared import template

HERE = re.compile(r"arn:\$\{AWS::Partition\}:[\w-]+:\$\{AWS::Region\}:\$\{AWS::AccountId\}:")


def granted(properties: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the rights of a function as pairs of action and resource."""
    return {
        (action, _name(resource))
        for statement in statements(properties)
        for action in _as_list(statement["Action"])
        for resource in _resources(statement)
    }


def statements(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statements of a function's policies, those under a condition too."""
    policies = map(_met, properties.get("Policies", ()))
    return [_met(one) for policy in policies for one in policy["Statement"]]


def logical_id(folder: str) -> str:
    """Return what the template calls the function of a folder."""
    return "".join(word.capitalize() for word in folder.split("_")) + "Function"


@cache
def granted_to(folder: str) -> set[tuple[str, str]]:
    """Return the rights of the function of a folder."""
    return granted(template()["Resources"][logical_id(folder)]["Properties"])


POLLED = {
    "deliver_messages": ("DeliveryQueue", "RetryQueue"),
    "accept_events": ("IntakeQueue",),
    "accept_feedback": ("FeedbackQueue",),
}
"""The queues from which Lambda itself takes messages, in a function's name."""


def lambdas_own(folder: str) -> set[tuple[str, str]]:
    """Return the rights that Lambda polls with; our code does not use them."""
    return {
        (f"sqs:{action}", queue)
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
        for queue in POLLED.get(folder, ())
    }


def unconditional(folder: str) -> set[tuple[str, str]]:
    """Return the rights that the function of a folder has whatever is configured."""
    policies = template()["Resources"][logical_id(folder)]["Properties"].get("Policies", ())
    always = [
        {**policy, "Statement": [one for one in policy["Statement"] if "Fn::If" not in one]}
        for policy in policies
        if "Fn::If" not in policy
    ]
    return granted({"Policies": always})


def _met(part: dict[str, Any]) -> dict[str, Any]:
    """Return what is there when its condition holds."""
    met: dict[str, Any] = part["Fn::If"][1] if "Fn::If" in part else part
    return met


def _resources(statement: dict[str, Any]) -> list[Any]:
    """Return what a statement is about; the exceptions of one that names exceptions, marked."""
    if "NotResource" in statement:
        return [f"not {one}" for one in _as_list(statement["NotResource"])]
    return _as_list(statement["Resource"])


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _name(expression: Any) -> str:
    match expression:
        case {"Fn::GetAtt": str(attribute)}:
            return attribute.removesuffix(".Arn")
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{(\w+?)(\.Arn)?\}", r"\1", HERE.sub("", text))
        case {"Ref": str(parameter)}:
            return parameter
    return str(expression)
