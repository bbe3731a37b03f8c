"""The corpus of bad inputs, and what becomes of a WEBHOOK config that is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dispatcher.configuration.bodies import override_config
from dispatcher.errors import InvalidInputError
from dispatcher.integrations.webhook import INTEGRATION

CASES = json.loads((Path(__file__).parents[2] / "data" / "bad_inputs.json").read_text())["cases"]


def cases(kind):
    """Return the corpus cases of one kind."""
    return [
        pytest.param(case["input"], case["expect"], id=case["id"])
        for case in CASES
        if case["kind"] == kind
    ]


def accepted(config, environ=None):
    """Name what becomes of a config that is written."""
    try:
        override_config(INTEGRATION, config, environ or {})
    except InvalidInputError:
        return "reject_config"
    return "allow"
