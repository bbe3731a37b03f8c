"""Reads what ``template.yaml`` declares, so that tests and template cannot drift apart."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parent.parent / "template.yaml"

# The properties that CreateTable accepts; the rest is CloudFormation's own.
_CREATE_TABLE = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes")


class _Loader(yaml.CSafeLoader):
    """Reads intrinsic functions as mappings: ``!Ref X`` becomes ``{"Ref": "X"}``."""


def _intrinsic(loader: yaml.Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    match node:
        case yaml.ScalarNode():
            return {name: loader.construct_scalar(node)}
        case yaml.SequenceNode():
            return {name: loader.construct_sequence(node, deep=True)}
        case _:
            return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)


@cache
def template() -> dict[str, Any]:
    """Return the template as plain values; read once, so change nothing in them."""
    return yaml.load(TEMPLATE.read_text(), _Loader)


def variables(function: str = "") -> dict[str, Any]:
    """Return the environment of one function; without a name, the one that all of them have."""
    resource = template()["Resources"].get(function, {})
    common = template()["Globals"]["Function"]["Environment"]["Variables"]
    own = resource.get("Properties", {}).get("Environment", {}).get("Variables", {})
    ignored = "Environment" in resource.get("IgnoreGlobals", ())
    return own if ignored else {**common, **own}


def functions() -> list[str]:
    """Return the logical IDs of all functions."""
    resources = template()["Resources"]
    return [name for name, one in resources.items() if one["Type"] == "AWS::Serverless::Function"]


def create_table(client: Any, logical_id: str) -> None:
    """Create a table with the keys and indexes that the template declares, named by its ID."""
    properties = template()["Resources"][logical_id]["Properties"]
    wanted = {name: properties[name] for name in _CREATE_TABLE if name in properties}
    client.create_table(TableName=logical_id, **wanted)
