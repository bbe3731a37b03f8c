"""The tables of log events and metrics in ``docs/operations.md``, each between two comments."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dispatcher.events import EVENTS, Metric
from dispatcher.integrations import catalogue
from tools.catalogue_parts import replaced


def event_table() -> str:
    """Return the table of log events."""
    return _table(
        ("Event", "Level", "Written by", "Fields", "When it occurs", "What to do"),
        (
            (
                _code([name]),
                event.level,
                ", ".join(event.functions),
                _code(event.fields)
                + (f"; in some lines {_code(event.optional)}" if event.optional else ""),
                event.description,
                event.action,
            )
            for name, event in EVENTS.items()
        ),
    )


def metric_table() -> str:
    """Return the table of metrics, each with the events whose lines it is read from."""
    events: dict[Metric, list[str]] = {}
    for name, event in EVENTS.items():
        for metric in event.metrics:
            events.setdefault(metric, []).append(name)
    return _table(
        ("Metric", "Unit", "Event", "By integration", "Description"),
        (
            (
                _code(names(metric)),
                metric.unit,
                _code(events[metric]),
                metric.by_integration,
                metric.description,
            )
            for metric in events
        ),
    )


def names(metric: Metric) -> list[str]:
    """Return the full names of a metric: one per integration if they contain it."""
    if metric.by_integration == "in the name":
        return [metric.name.format(integration_type.lower()) for integration_type in catalogue()]
    return [metric.name]


def text(document: str) -> str:
    """Return the document with its tables as the code has them."""
    for name, table in (("log events", event_table()), ("metrics", metric_table())):
        document = between(
            f"<!-- begin {name}: make event-catalogue writes them -->\n",
            table,
            f"<!-- end {name} -->\n",
            document,
        )
    return document


def between(begin: str, made: str, end: str, document: str) -> str:
    """Return the document with a text between two of its comments."""
    part = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    return replaced(part, lambda _: f"{begin}\n{made}\n{end}", document)


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heading = list(heading)
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
