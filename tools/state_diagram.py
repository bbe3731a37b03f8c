"""Write the state diagram of docs/architecture.md, or check it (`--check`).

It is drawn from the table of transitions, between two comments of the page.
"""

from __future__ import annotations

import sys

from dispatcher.delivery.transitions import TABLE
from tools.paths import ROOT

PAGE = ROOT / "docs" / "architecture.md"

BEGIN = "<!-- begin state diagram: python -m tools.state_diagram writes it -->\n"
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
    before, begun, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise ValueError("There are no comments that begin and end the state diagram.")
    return f"{before}{BEGIN}\n{diagram()}\n{END}{after}"


def main(options: list[str]) -> int:
    """Write the diagram, or report that it differs from the table."""
    page = PAGE.read_text()
    if "--check" not in options:
        PAGE.write_text(with_diagram(page))
    elif page != with_diagram(page):
        print(
            "docs/architecture.md differs from transitions.TABLE: python -m tools.state_diagram",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
