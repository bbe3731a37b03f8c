"""The type of a field that names an integration."""

from __future__ import annotations

from typing import Annotated

from dispatcher.integrations import catalogue, read_type
from dispatcher.integrations.integration import Check

IntegrationType = Annotated[
    str, Check(lambda name, _environ: read_type(name), {"enum": [*catalogue()]})
]
"""The name of an integration, in any case; in upper case once read."""
