"""The fenced blocks of our documents, and what the tests read out of them.

The word after a fence says what its block is; a second one says how it is tested:

- ``bash``: run against the suite's own cloud. A number (``bash 409``) is the status that the last
  command of the block must get; without one, all must succeed.
- ``bash make``: starts or builds something; only the names of its targets are looked up.
- ``bash aws``: needs an account; its parameters and environments are read as SAM reads them
  (tests/tools/test_documented_deployments.py), and those of docs/deploy.md are run against a local
  cloud (tests/e2e/test_deploy.py).
- ``bash cli``: the AWS CLI's; run against the suite's own cloud, with a fake ``aws``.
- ``bash debug``: stops in a debugger; run by tests/tools/test_support.py.
- ``bash email``: needs a received email, or a service of `make up` and its delivery; its parts are
  checked by tests/tools/test_documents.py.
- ``bash docker``: needs a container engine; run where there is one.
- ``json`` right after a ``bash`` block: the response. ``…`` in a text means any characters, and
  ``"…": "…"`` in an object for more members.
- ``text`` right after a ``bash`` block without ``curl``: what it prints, ``…`` again for the rest.
- ``python``: imported, and called by a test that knows it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from tools.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REST = "…"
_FENCE = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One fenced block."""

    document: str
    line: int
    language: str
    mark: str | None
    text: str


def documents() -> list[Path]:
    """Return everything that we write for people."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks() -> Iterator[Block]:
    """Yield the blocks of all documents in the order in which they are read."""
    for path in documents():
        text = path.read_text()
        for found in _FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(str(path.relative_to(ROOT)), line, *found.groups())


def differences(shown: object, came: object, where: str = "") -> Iterator[str]:
    """Yield the differences between a response and the one that a document shows."""
    if isinstance(shown, dict) and isinstance(came, dict):
        wanted = shown.keys() - {REST}
        yield from (f"{where}/{name} did not come" for name in wanted - came.keys())
        if REST not in shown:
            yield from (f"{where}/{name} is not shown" for name in came.keys() - wanted)
        for name in wanted & came.keys():
            yield from differences(shown[name], came[name], f"{where}/{name}")
    elif isinstance(shown, list) and isinstance(came, list) and len(shown) == len(came):
        for index, (one, other) in enumerate(zip(shown, came, strict=True)):
            yield from differences(one, other, f"{where}/{index}")
    elif not _same(shown, came):
        yield f"{where} shows {shown!r}, {came!r} came"


def reads_as(shown: str, came: str) -> bool:
    """Return whether a text is the one that a document shows."""
    pattern = ".*".join(map(re.escape, shown.split(REST)))
    return re.fullmatch(pattern, came, re.DOTALL) is not None


def _same(shown: object, came: object) -> bool:
    if isinstance(shown, str) and isinstance(came, str):
        return reads_as(shown, came)
    # 1 is not true, and 5.0 not 5, to a reader of JSON.
    return type(shown) is type(came) and shown == came


def runbook(heading: str) -> str:
    """Return the commands of the AWS CLI under one heading of the operators' document."""
    text = (ROOT / "docs" / "operations.md").read_text()
    section = re.split("^#+ ", text.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)
    found = [body for language, mark, body in _FENCE.findall(section[0]) if mark == "cli"]
    assert found, f"there are no commands under {heading!r}"
    return "".join(found)


def rows(document: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading."""
    text = (ROOT / document).read_text()
    section = re.split("^#+ ", text.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)
    table = re.search(r"(?:^\|.*\|\n)+", section[0], re.MULTILINE)
    assert table, f"{document} has no table under {heading!r}"
    lines = table.group().splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
