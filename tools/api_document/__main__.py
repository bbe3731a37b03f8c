"""Write the document (`make openapi`), or compare it with the committed file (`--check`)."""

from __future__ import annotations

import sys

from tools.api_document.document import text
from tools.paths import ROOT

DOCUMENT = ROOT / "docs" / "openapi.json"


def main(options: list[str]) -> int:
    """Write the document; with ``--check`` return 1 if the committed file differs."""
    if "--check" not in options:
        DOCUMENT.write_text(text())
    elif not DOCUMENT.exists() or DOCUMENT.read_text() != text():
        print("docs/openapi.json differs from the code: run make openapi", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
