"""Write the tables of log events and metrics (`make event-catalogue`), or check them (`--check`).

They are in ``docs/operations.md``, each between two comments.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from dispatcher.events import EVENTS, Metric
from dispatcher.integrations import catalogue
from tools.paths import ROOT

DOCUMENT = ROOT / "docs" / "operations.md"


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
        begin, end = (
            f"<!-- begin {name}: make event-catalogue writes them -->\n",
            f"<!-- end {name} -->\n",
        )
        before, begun, rest = document.partition(begin)
        _, ended, after = rest.partition(end)
        if not (begun and ended):
            raise ValueError(f"There are no comments that begin and end the table of {name}.")
        document = f"{before}{begin}\n{table}\n{end}{after}"
    return document


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heading = list(heading)
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def main(options: list[str]) -> int:
    """Write the tables, or say that they are not what the code says."""
    written = DOCUMENT.read_text()
    if "--check" not in options:
        DOCUMENT.write_text(text(written))
    elif written != text(written):
        print("docs/operations.md differs from events.py: make event-catalogue", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
