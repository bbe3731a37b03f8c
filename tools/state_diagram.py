"""The state diagram of docs/architecture.md, drawn from the table of transitions."""

from __future__ import annotations

from dispatcher.delivery.transitions import TABLE
from tools.event_catalogue import between

BEGIN = "<!-- begin state diagram: make event-catalogue writes it -->\n"
END = "<!-- end state diagram -->\n"

LINE_BREAK = "<br/>"
"""Within a label of Mermaid, which may contain neither a colon nor a semicolon."""


def diagram() -> str:
    """Return the diagram in Mermaid, with one edge per pair of states."""
    labels: dict[tuple[str, str], list[str]] = {}
    for changes in TABLE.values():
        for (before, after), label in changes.items():
            of_edge = labels.setdefault((before or "[*]", after), [])
            if label not in of_edge:
                of_edge.append(label)
    edges = [
        f"  {before} --> {after}: {LINE_BREAK.join(of_edge)}\n"
        for (before, after), of_edge in labels.items()
    ]
    return "".join(["```mermaid\n", "stateDiagram-v2\n", *edges, "```\n"])


def with_diagram(page: str) -> str:
    """Return the page with the diagram as the code has it."""
    return between(BEGIN, diagram(), END, page)
