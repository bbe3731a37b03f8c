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

SETTINGS = {
    "STAGE": "local",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",  # pragma: allowlist secret
    "OVERRIDES_TABLE": "overrides",
    "DELIVERIES_TABLE": "deliveries",
    "KEY_ARN": "arn:aws:kms:eu-central-1:123456789012:key/1",
    "RETENTION_DAYS": "90",
    "TEST_ENABLED": "false",
    "WEBHOOK_ALLOWED_CIDRS": "127.0.0.0/8",
    "WEBHOOK_ALLOW_HTTP": "true",
    "POWERTOOLS_SERVICE_NAME": "integration-dispatcher",
    "POWERTOOLS_LOG_LEVEL": "INFO",
    "TOOL_BUS_NAME": "tools",
    "STACK_NAME": "bench",
    "PUBLIC_DOCS": "true",
    "CONSOLE_ENABLED": "true",
    "PAUSE_RULES": "10/43200/3600/86400/604800",
    "CONSOLE_TITLE": "Messages",
    "CONSOLE_SCOPE": "openid",
    "LINK_SESSION_SECONDS": "900",
    "PUBLIC_URL": "https://notify.example.com",
    "AUTH_MODE": "required",
    "USER_CLAIM": "sub",
    "API_KEYS_SECRET": "keys",  # pragma: allowlist secret
    # As in Lambda: an installation elsewhere on this machine has no say.
    "LANG": "C.UTF-8",
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
