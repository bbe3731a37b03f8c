"""Write what CloudFormation needs to take kept tables back into a stack.

A deleted stack leaves its tables and their key behind. An import change set makes a stack of these
three alone, which the next deployment completes: docs/operations.md says how.

    python -m tools.kept_tables OVERRIDES_TABLE DELIVERIES_TABLE KEY_ARN
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from tools.failure import ToolFailure, reported, short
from tools.parameters import section
from tools.paths import LOCAL, TEMPLATE

FOLDER = LOCAL / "kept"

KEPT = {
    "Key": "AWS::KMS::Key",
    "OverridesTable": "AWS::DynamoDB::Table",
    "DeliveriesTable": "AWS::DynamoDB::Table",
}
"""The resources that a deleted stack leaves behind."""


@reported
def main(names: Sequence[str]) -> int:
    """Write template and list of resources; print where."""
    if len(names) != len(KEPT):
        raise ToolFailure("give OVERRIDES_TABLE DELIVERIES_TABLE KEY_ARN")
    resources = to_import(*names)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in (("template", template()), ("resources", resources)):
        file = FOLDER / f"{name}.json"
        file.write_text(json.dumps(content, indent=2) + "\n")
        print(short(file))
    return 0


def template() -> dict[str, Any]:
    """Return the part of our template that outlives a stack, with all that it refers to."""
    parameters, conditions, resources = (
        section(TEMPLATE, name) for name in ("Parameters", "Conditions", "Resources")
    )
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Parameters": {name: parameters[name] for name in ("Stage", "ProtectTables")},
        "Conditions": {"IsProtected": conditions["IsProtected"]},
        # The stack has not made what it imports, so none of its failures may delete it.
        "Resources": {name: resources[name] | {"DeletionPolicy": "Retain"} for name in KEPT},
    }


def to_import(overrides: str, deliveries: str, key: str) -> list[dict[str, Any]]:
    """Return which resource of the account is which of the template."""
    if not key.startswith("arn:"):
        raise ToolFailure(
            f"{key} is not the ARN of a key: take SSEDescription.KMSMasterKeyArn of a kept table"
        )
    identifiers = (
        {"KeyId": key.rpartition("/")[2]},
        *({"TableName": one} for one in (overrides, deliveries)),
    )
    return [
        {"ResourceType": kind, "LogicalResourceId": name, "ResourceIdentifier": identifier}
        for (name, kind), identifier in zip(KEPT.items(), identifiers, strict=True)
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
