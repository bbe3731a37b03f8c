"""Log events, metrics and states in the docs, each part between two comments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial

from dispatcher.delivery.transitions import TABLE
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


def state_diagram() -> str:
    """Return the diagram in Mermaid, with one edge per pair of states."""
    labels: dict[tuple[str, str], list[str]] = {}
    for changes in TABLE.values():
        for (before, after), label in changes.items():
            of_edge = labels.setdefault((before or "[*]", after), [])
            if label not in of_edge:
                of_edge.append(label)
    # Within a label, Mermaid allows neither a colon nor a semicolon.
    edges = [
        f"  {before} --> {after}: {'<br/>'.join(of_edge)}\n"
        for (before, after), of_edge in labels.items()
    ]
    return "".join(["```mermaid\n", "stateDiagram-v2\n", *edges, "```\n"])


PARTS = {"log events": event_table, "metrics": metric_table, "state diagram": state_diagram}


def with_parts(*names: str) -> Callable[[str], str]:
    """Return a function that writes these parts of a page as the code has them."""

    def text(page: str) -> str:
        for name in names:
            begin = re.escape(f"<!-- begin {name}: make event-catalogue writes ")
            part = re.compile(f"({begin}\\w+ -->\n).*?(<!-- end {name} -->\n)", re.DOTALL)
            page = replaced(part, partial(_between, PARTS[name]()), page)
        return page

    return text


def _between(made: str, comments: re.Match[str]) -> str:
    return f"{comments[1]}\n{made}\n{comments[2]}"


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heading = list(heading)
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
