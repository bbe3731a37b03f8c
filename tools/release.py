"""Mark a build with the parameters it is deployed with.

Callers call a published version of each function. SAM publishes one when the template's text has
changed, and `!Ref LogLevel` reads the same whatever the value: a deployment of parameters alone
would change what nobody calls. So its functions get another description.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import yaml

from tools.paths import BUILD, BUILT_TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FUNCTION = "AWS::Serverless::Function"


def mark(parameters: Mapping[str, str]) -> Path:
    """Write the built template with the parameters' mark in it, and return where."""
    template = yaml.safe_load(BUILT_TEMPLATE.read_text())
    own = fingerprint(parameters)
    for resource in template["Resources"].values():
        if resource["Type"] == FUNCTION:
            properties = resource["Properties"]
            properties["Description"] = f"{properties['Description']} (parameters {own})"
    # Beside the built one, from where the paths of the code start.
    marked = BUILD / f"template-{own}.yaml"
    marked.write_text(json.dumps(template, indent=1) + "\n")
    return marked


def fingerprint(parameters: Mapping[str, str]) -> str:
    """Return ten characters that are others for other parameters."""
    text = json.dumps(dict(parameters), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
