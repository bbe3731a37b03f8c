"""The channels layer: one module per way to deliver, each with ``channel(environ, aws)``.

A module is imported on first use. ``guard`` and ``signature`` serve the webhook channel. Imports go
down to ``dispatcher``, which names no channel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

ClientFactory = Callable[[str], Any]
"""Returns the client of an AWS service. ``Any``: each channel annotates the client that it asks for
with that service's own type."""
