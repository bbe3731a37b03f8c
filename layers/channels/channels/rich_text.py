"""Slack's ``rich_text`` blocks, made from Markdown and cut to what Slack accepts.

Styles are data beside the text, so no text needs escaping or can mention a user.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from markdown_it.tree import SyntaxTreeNode

from channels.characters import character_ends
from channels.markdown import tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LONGEST_BLOCK = 3000
"""Characters in one block: the limit of a section's text; Slack documents none for rich text."""

LONGEST_LINK = 2000
"""Characters of a link's target; a longer one is shown as text, which can be cut."""

PART_COST = 100
"""Characters that Slack may count for the JSON around a part's runs. Slack counts more than the
text of a message and does not document how."""

_MARK_ROOM = 200
"""Characters that are reserved for the note on how much is missing."""

_LEAST_PIECE = 300
"""Characters; a shorter piece of a part that does not fit is omitted."""

_STYLES = {"strong": "bold", "em": "italic", "s": "strike"}

_TARGET = re.compile(
    r"https?://[a-z0-9.-]+(:[0-9]{1,5})?([/?#][!-~]*)?|mailto:[!-~]+@[!-~]+",
    re.ASCII | re.IGNORECASE,
)
"""An address that Slack certainly accepts; it may refuse a message for an invalid link."""


class Run(NamedTuple):
    """Text of one style."""

    text: str
    styles: frozenset[str] = frozenset()
    url: str = ""

    def element(self) -> dict[str, Any]:
        """Return the run as Slack's element."""
        element = {"type": "link", "url": self.url} if self.url else {"type": "text"}
        style = {"style": dict.fromkeys(sorted(self.styles), True)} if self.styles else {}
        return {**element, "text": self.text, **style}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Paragraphs, an item of a list, the paragraphs of a quote, or code."""

    runs: tuple[Run, ...]
    kind: str = "section"
    """``section``, ``list``, ``quote`` or ``preformatted``."""
    border: bool = False
    indent: int = 0
    """Level of a list; Slack allows 8, and the parser finds none that deep."""
    number: int | None = None
    """Number of an ordered item; ``None`` in a bullet list."""

    @property
    def text(self) -> str:
        """Return the text without styles."""
        return "".join(run.text for run in self.runs)

    @property
    def cost(self) -> int:
        """Return the characters that Slack may count."""
        elements = [run.element() for run in self.runs]
        return PART_COST + size(json.dumps(elements, ensure_ascii=False))

    def pieces(self, limit: int) -> Iterator[Part]:
        """Split a part that is longer than ``limit``; only its first piece is a list item."""
        piece = self
        for start, end in cuts(self.text, limit):
            if runs := tuple(_sliced(self.runs, start, end)):
                yield replace(piece, runs=runs)
                if self.kind == "list":
                    piece = replace(self, kind="quote" if self.border else "section")


def size(text: str) -> int:
    """Return the number of UTF-16 code units, the highest count that Slack could use."""
    return len(text.encode("utf-16-le")) // 2


def cuts(text: str, limit: int) -> Iterator[tuple[int, int]]:
    """Split a text at ends of paragraphs, lines or words, else between visible characters.

    Yields start and end of each piece, without the white space at its end.
    """
    start = 0
    while start < len(text):
        end = _reach(text, start, limit)
        for separator in ("\n\n", "\n", " ") if end < len(text) else ():
            found = text.rfind(separator, (start + end) // 2, end)
            cut = found + len(separator)
            # A combining accent may follow the space.
            if found > start and next(character_ends(text, cut - 1)) == cut:
                end = cut
                break
        yield start, start + len(text[start:end].rstrip())
        start = end


def _reach(text: str, start: int, limit: int) -> int:
    reached, width = start, 0
    for end in character_ends(text, start):
        width += size(text[reached:end])
        if width > limit:
            break
        reached = end
    # A single character may have any number of accents.
    return reached if reached > start else start + limit // 2


def _sliced(runs: Iterable[Run], start: int, end: int) -> Iterator[Run]:
    for run in runs:
        if text := run.text[max(0, start) : max(0, end)]:
            yield run._replace(text=text)
        start, end = start - len(run.text), end - len(run.text)


def parts(markdown: str) -> list[Part]:
    """Parse Markdown into the parts that Slack can show, in order."""
    nodes = SyntaxTreeNode(tokens(markdown)).children
    found = (part for node in nodes for part in _parts(node, quotes=0, lists=0))
    return list(_joined(part for part in found if part.text.strip()))


def _joined(found: Iterable[Part]) -> Iterator[Part]:
    """Join consecutive paragraphs, with an empty line between them."""
    for kind, same in groupby(found, lambda part: part.kind):
        if kind in {"section", "quote"}:
            runs = [run for part in same for run in (Run("\n\n"), *part.runs)]
            yield Part(runs=_merged(runs[1:]), kind=kind, border=kind == "quote")
        else:
            yield from same


def blocks(found: Sequence[Part], room: int, most: int) -> list[dict[str, Any]]:
    """Return at most ``most`` blocks of at most ``room`` characters, with a note on the rest."""
    filled: list[list[Part]] = []
    left, room = 0, room - _MARK_ROOM
    pieces = (piece for part in found for piece in part.pieces(LONGEST_BLOCK))
    for piece in pieces:
        shown = _within(piece, room)
        needed = size(shown.text) + 2 if shown else 0
        if needed > left:
            if len(filled) == most - 1:
                shown = None
            else:
                filled.append([])
                left = LONGEST_BLOCK + 2
        if shown:
            filled[-1].append(shown)
            left, room = left - needed, room - shown.cost
        if shown is not piece:
            missing = sum(len(part.text) for part in found)
            missing -= sum(len(part.text) for block in filled for part in block)
            filled.append([Part(runs=(Run(f"… ({missing} characters more)"),))])
            break
    return [{"type": "rich_text", "elements": _elements(block)} for block in filled]


def _within(piece: Part, room: int) -> Part | None:
    """Return as much of a piece as fits into ``room``; ``None`` if that is too little to show."""
    if piece.cost <= room:
        return piece
    rest = room - piece.cost + size(piece.text)
    return next(piece.pieces(rest), None) if rest >= _LEAST_PIECE else None


def _elements(block: Iterable[Part]) -> list[dict[str, Any]]:
    elements: list[dict[str, Any]] = []
    before = None
    for part in block:
        runs = [run.element() for run in part.runs]
        if before and _continues(before, part):
            elements[-1]["elements"].append(_section(runs))
        else:
            elements.append(_element(part, runs))
        before = part
    return elements


def _continues(before: Part, part: Part) -> bool:
    number = before.number and before.number + 1
    return part.kind == "list" and replace(before, runs=part.runs, number=number) == part


def _element(part: Part, runs: list[dict[str, Any]]) -> dict[str, Any]:
    element: dict[str, Any] = {"type": f"rich_text_{part.kind}", "elements": runs}
    if part.kind == "list":
        element["elements"] = [_section(runs)]
        element |= {"style": "ordered" if part.number else "bullet", "indent": part.indent}
        if part.number and part.number > 1:
            element["offset"] = part.number - 1
    # Slack draws a border for each quote itself.
    if part.border and part.kind != "quote":
        element["border"] = 1
    return element


def _section(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": runs}


def _parts(node: SyntaxTreeNode, *, quotes: int, lists: int) -> Iterator[Part]:
    border = quotes > 0
    match node.type:
        case "fence" | "code_block":
            runs = (Run(node.content.rstrip("\n")),)
            yield Part(runs=runs, kind="preformatted", border=border)
        case "blockquote":
            for child in node.children:
                yield from _parts(child, quotes=quotes + 1, lists=lists)
        case "bullet_list" | "ordered_list":
            for item in node.children:
                yield from _item(item, quotes=quotes, lists=lists)
        case kind:
            # Slack has no nested quotes.
            lines = _merged([Run("> " * (quotes - 1)), *_lines(node, kind)])
            yield Part(runs=lines, kind="quote" if border else "section", border=border)


def _item(item: SyntaxTreeNode, *, quotes: int, lists: int) -> Iterator[Part]:
    """Yield an item with its first paragraphs, then its nested lists and other blocks."""
    border = quotes > 0
    number = int(item.attrs["value"]) if item.info else None
    inner = [
        part for child in item.children for part in _parts(child, quotes=quotes, lists=lists + 1)
    ]
    runs: list[Run] = []
    while inner and inner[0].kind == ("quote" if border else "section"):
        runs += [Run("\n")] * bool(runs) + [*inner.pop(0).runs]
    # Slack replaces the numbers of nested lists with letters.
    if number is not None and (lists or not runs or not number):
        runs.insert(0, Run(f"{number}{item.markup} "))
        number = None
    yield Part(
        runs=_merged(runs),
        kind="list",
        border=border,
        indent=lists,
        number=number,
    )
    yield from inner


def _lines(node: SyntaxTreeNode, kind: str) -> Iterator[Run]:
    if kind == "hr":
        yield Run("———")
    elif kind == "table":
        rows = [row for group in node.children for row in group.children]
        for place, row in enumerate(rows):
            styles = frozenset({"bold"} if not place else ())
            for column, cell in enumerate(row.children):
                yield Run(" | " if column else "\n" * bool(place))
                yield from _runs(cell, styles)
    else:
        yield from _runs(node, frozenset({"bold"} if kind == "heading" else ()))


def _runs(node: SyntaxTreeNode, styles: frozenset[str], url: str = "") -> Iterator[Run]:
    match node.type:
        case "text":
            yield Run(node.content, styles, url)
        case "code_inline":
            yield Run(node.content, styles | {"code"}, url)
        case "softbreak" | "hardbreak":
            yield Run(" " if url else "\n", styles, url)
        case kind:
            if kind == "link":
                url = str(node.attrs["href"])
            is_link = len(url) <= LONGEST_LINK and _TARGET.fullmatch(url)
            styles = styles | {_STYLES[kind]} if kind in _STYLES else styles
            inner = [
                run
                for child in node.children
                for run in _runs(child, styles, url if is_link else "")
            ]
            yield from inner
            if kind == "link" and not is_link and url != "".join(run.text for run in inner):
                yield Run(f" ({url})", styles)


def _merged(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Join adjacent runs of the same style."""
    joined = (
        Run("".join(run.text for run in same), styles, url)
        for (styles, url), same in groupby(runs, lambda run: run[1:])
    )
    return tuple(run for run in joined if run.text)
