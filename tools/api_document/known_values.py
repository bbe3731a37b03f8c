"""The known values of the open strings in responses, by the name of their type."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dispatcher.configuration.resolution import (
    DISABLED_BY_DEFAULT,
    DISABLED_BY_RECEIVER,
    DISABLED_BY_USER,
    NOT_CONFIGURED,
)
from dispatcher.delivery.rows import Status
from dispatcher.integrations import catalogue
from tools.paths import ROOT

OPERATIONS = ROOT / "docs" / "operations.md"


def known_values() -> Mapping[str, tuple[str, ...]]:
    """Return the values that the service uses now."""
    reasons = (DISABLED_BY_DEFAULT, NOT_CONFIGURED, DISABLED_BY_USER, DISABLED_BY_RECEIVER)
    return {
        "IntegrationType": tuple(catalogue()),
        "DeliveryStatus": tuple(map(str, Status)),
        "SkipReason": (*reasons, "no_address"),
        "ErrorCode": _error_codes(),
    }


def _error_codes() -> tuple[str, ...]:
    # The runbook's table is complete: a test compares it with the code.
    section = OPERATIONS.read_text().partition("\n## Error codes\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    return tuple(code for cell in cells for code in re.findall(r"`(\w+)`", cell))
