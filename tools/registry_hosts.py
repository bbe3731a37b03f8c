"""Check that no file of the repository names the host of a package registry.

Where packages come from is each user's own setting: a mirror, a proxy, a company's index.
"""

from __future__ import annotations

import re
import subprocess
import sys

from tools.paths import ROOT

# [.] keeps this file from matching itself.
HOSTS = re.compile(
    r"\b(?:[a-z-]+[.])*(?:pypi[.](?:org|io|python[.]org)|pythonhosted[.]org|npmjs[.](?:org|com)"
    r"|yarnpkg[.]com|deb[.]debian[.]org|crates[.]io|proxy[.]golang[.]org|rubygems[.]org)\b",
    re.IGNORECASE,
)


def named_in(text: str) -> list[tuple[int, str]]:
    """Return the line number and the name of every registry host in a text."""
    return [
        (number, match.group())
        for number, line in enumerate(text.splitlines(), start=1)
        for match in HOSTS.finditer(line)
    ]


def main() -> int:
    """Check every file that is committed or could be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = 0
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if not path.is_file():
            continue
        for number, host in named_in(path.read_text(errors="replace")):
            print(f"{name}:{number}: names {host}: leave the address out", file=sys.stderr)
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
