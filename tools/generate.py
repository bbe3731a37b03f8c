"""Write everything that is made from the code, or check it.

    python -m tools.generate [--check] [FILE …]

`make generate` writes all files. With ``--check`` nothing is written.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from tools import catalogue_parts, event_catalogue
from tools.api_document import document
from tools.paths import ROOT

PARTS: Mapping[str, Callable[[str], str]] = {
    "docs/openapi.json": lambda _: document.text(),
    "docs/operations.md": event_catalogue.with_parts("log events", "metrics"),
    "docs/architecture.md": event_catalogue.with_parts("state diagram"),
    **catalogue_parts.PARTS,
}
"""Returns a file's text with its generated parts as the code has them."""


def main(arguments: list[str]) -> int:
    """Write the named files, or all; with ``--check`` return 1 if one differs from the code."""
    is_check = "--check" in arguments
    outdated = []
    for name in [one for one in arguments if one != "--check"] or PARTS:
        file = ROOT / name
        written = file.read_text() if file.exists() else ""
        made = PARTS[name](written)
        if made != written:
            outdated.append(name)
            if not is_check:
                file.write_text(made)
    if is_check and outdated:
        print(f"{', '.join(outdated)} differs from the code: make generate", file=sys.stderr)
    return int(is_check and bool(outdated))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
