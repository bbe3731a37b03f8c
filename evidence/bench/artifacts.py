"""The result of `make build`, as a Lambda process finds it."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tools.parameters import folders
from tools.paths import BUILD, BUILT_TEMPLATE

SETTINGS: dict[str, str] = {
    **yaml.safe_load(Path(__file__).with_name("environment.yaml").read_text()),
    "PATH": os.defpath,
}
"""A function's environment, without the addresses of AWS."""


def settings(endpoint: str) -> dict[str, str]:
    """Return a function's environment with all of AWS at one address."""
    queues = ("DELIVERY", "RETRY", "DEAD_LETTER", "PARKED", "INTAKE")
    urls = {f"{name}_QUEUE_URL": f"{endpoint}/123456789012/{name}" for name in queues}
    return {**SETTINGS, **urls, "AWS_ENDPOINT_URL": endpoint}


@cache
def functions() -> dict[str, dict[str, Any]]:
    """Return the properties of each function by the name of its folder."""
    template = yaml.safe_load(BUILT_TEMPLATE.read_text())
    resources = {name: one.get("Properties") for name, one in template["Resources"].items()}
    shared = template["Globals"]["Function"].get("Layers", [])
    return {
        folder: {
            "code": BUILD / logical_id,
            "layers": [
                BUILD / layer["Ref"] / "python"
                for layer in [*shared, *resources[logical_id].get("Layers", [])]
            ],
            "is_api": any(
                event["Type"] == "Api" for event in resources[logical_id].get("Events", {}).values()
            ),
        }
        for logical_id, folder in sorted(folders().items())
    }


def search_path(function: str) -> list[str]:
    """Return all that an import in a function's process looks through."""
    parts = functions()[function]
    return [str(path) for path in (parts["code"], *parts["layers"])]


def isolated(path: list[str], script: str, *arguments: str) -> list[str]:
    """Return the command that runs a script of ``inside`` with this path and nothing beside it.

    It writes no bytecode, so that the next process finds what this one found.
    """
    code = Path(__file__).with_name("inside").joinpath(f"{script}.py").read_text()
    beginning = f"import sys; sys.path[:0] = {path}\n"
    return [sys.executable, "-I", "-S", "-B", "-c", beginning + code, *arguments]
