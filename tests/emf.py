"""Reads a line of the log as CloudWatch Logs does, and refuses what CloudWatch would drop.

By the specification of the embedded metric format, and the limits of CloudWatch's metrics.
"""

from __future__ import annotations

import json
from typing import NamedTuple

UNITS = {"Count", "Milliseconds", "Seconds"}
"""Of all that there are, those that we use."""


class Datum(NamedTuple):
    """One value of one metric."""

    name: str
    dimensions: dict[str, str]
    value: float
    unit: str


def metrics(line: str) -> list[Datum]:
    """Return what a line of the log publishes; nothing for one without metrics."""
    assert len(line.encode()) <= 256 * 1024
    root = json.loads(line)
    assert isinstance(root, dict)
    if "_aws" not in root:
        return []
    meta = root["_aws"]
    assert set(meta) == {"Timestamp", "CloudWatchMetrics"}
    assert type(meta["Timestamp"]) is int
    # Milliseconds: in seconds, or in microseconds, it would be another century.
    assert 1_500_000_000_000 < meta["Timestamp"] < 4_000_000_000_000
    assert meta["CloudWatchMetrics"]
    return [datum for one in meta["CloudWatchMetrics"] for datum in _published(root, one)]


def _published(root, directive):
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert 1 <= len(directive["Namespace"]) <= 255
    assert not directive["Namespace"].startswith("AWS/")
    assert 1 <= len(directive["Metrics"]) <= 100
    assert directive["Dimensions"]
    for names in directive["Dimensions"]:
        assert len(names) <= 30
        dimensions = {name: root[name] for name in names}
        assert all(isinstance(value, str) and value for value in dimensions.values())
        assert all(len(value) <= 1024 and value.isascii() for value in dimensions.values())
        for metric in directive["Metrics"]:
            assert set(metric) == {"Name", "Unit"}
            assert metric["Unit"] in UNITS
            value = root[metric["Name"]]
            assert type(value) in {int, float}, "a boolean is no number, and a text is none"
            yield Datum(metric["Name"], dict(dimensions), value, metric["Unit"])
