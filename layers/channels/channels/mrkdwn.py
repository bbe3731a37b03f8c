"""Slack's own markup, mrkdwn, made from Markdown and cut into what Slack takes.

``&``, ``<`` and ``>`` of a caller's text are escaped once, in that order, and every other ``<`` is
ours: it opens a link to http, https or mailto. So no text, label or address can mention anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from markdown_it.tree import SyntaxTreeNode

from channels.markdown import tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SECTION = 3000
"""Characters that Slack takes in the text of one section."""

LONGEST_LINK = 1000
"""Characters; what is longer is shown as label and address, which can be cut like any text."""

FENCE = "```"

_MARKS = {"strong": "*", "em": "_", "s": "~"}
_MARK_ROOM = 50


class Paragraph(NamedTuple):
    """One block of a message; code is cut at its lines and fenced again."""

    text: str
    is_code: bool = False


def escape(text: str) -> str:
    """Make text mean itself."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def size(text: str) -> int:
    """Count characters as the most careful counter would: those beyond U+FFFF are two."""
    return len(text.encode("utf-16-le")) // 2


def render(markdown: str) -> list[Paragraph]:
    """Turn Markdown into mrkdwn, block by block."""
    blocks = (_paragraph(node) for node in SyntaxTreeNode(tokens(markdown)).children)
    return [block for block in blocks if block.text.strip()]


def sections(paragraphs: Iterable[Paragraph]) -> list[str]:
    """Fill sections with paragraphs; one that is too long alone is cut where it hurts least."""
    filled: list[str] = []
    for paragraph in paragraphs:
        for text in _cut(paragraph):
            if filled and size(filled[-1]) + 2 + size(text) <= SECTION:
                filled[-1] += "\n\n" + text
            else:
                filled.append(text)
    return filled


def shortened(texts: Sequence[str], room: int, most: int) -> list[str]:
    """Keep what fits into the room and the number of sections, and say how much does not."""
    if len(texts) <= most and sum(map(size, texts)) <= room:
        return list(texts)
    beginning: list[str] = []
    room -= _MARK_ROOM
    for text in texts[: most - 1]:
        if size(text) > room:
            if room > SECTION // 10 and FENCE not in text:
                beginning.append(next(pieces(text, room)))
            break
        beginning.append(text)
        room -= size(text)
    missing = sum(map(len, texts)) - sum(map(len, beginning))
    return [*beginning, f"… ({missing} characters more)"]


def pieces(text: str, limit: int) -> Iterator[str]:
    """Cut a text at ends of paragraphs, lines or words, and never inside a link or an entity."""
    while len(text) > limit or size(text) > limit:
        window = text[:limit].encode("utf-16-le")[: 2 * limit].decode("utf-16-le", "ignore")
        end = len(window)
        for opening, closing in (("<", ">"), ("&", ";")):
            begin = window.rfind(opening)
            if begin > 0 and closing not in window[begin:]:
                end = min(end, begin)
        for separator in ("\n\n", "\n", " "):
            cut = window.rfind(separator, end // 2, end)
            if cut > 0:
                end = cut + len(separator)
                break
        yield text[:end].rstrip()
        text = text[end:]
    if text.strip():
        yield text


def _cut(paragraph: Paragraph) -> Iterator[str]:
    if not paragraph.is_code:
        yield from pieces(paragraph.text, SECTION)
        return
    for piece in pieces(paragraph.text, SECTION - 2 * len(FENCE) - 2):
        yield f"{FENCE}\n{piece}\n{FENCE}"


def _paragraph(node: SyntaxTreeNode) -> Paragraph:
    if node.type in {"fence", "code_block"}:
        return Paragraph(escape(node.content.rstrip("\n")), is_code=True)
    return Paragraph(_block(node))


def _block(node: SyntaxTreeNode) -> str:
    match node.type:
        case "fence" | "code_block":
            return f"{FENCE}\n{escape(node.content.rstrip())}\n{FENCE}"
        case "heading":
            return f"*{''.join(_inline(child, bold=True) for child in node.children)}*"
        case "blockquote":
            return "\n".join(f"&gt; {line}" for line in _blocks(node, "\n\n").split("\n"))
        case "bullet_list" | "ordered_list":
            return "\n".join(_items(node))
        case "tr":
            return " | ".join(_blocks(cell, "") for cell in node.children)
        case "hr":
            return "———"
        case _:
            return _inline(node) if node.type == "inline" else _blocks(node, "\n")


def _blocks(node: SyntaxTreeNode, separator: str) -> str:
    return separator.join(_block(child) for child in node.children)


def _items(node: SyntaxTreeNode) -> Iterator[str]:
    first = int(node.attrs.get("start", 1))
    for number, item in enumerate(node.children, first):
        mark = f"{number}." if node.type == "ordered_list" else "•"
        yield f"{mark} " + _blocks(item, "\n").replace("\n", "\n    ")


def _inline(node: SyntaxTreeNode, *, bold: bool = False) -> str:
    match node.type:
        case "text":
            return escape(node.content)
        case "code_inline":
            # Slack knows no code that holds a backtick.
            mark = "" if "`" in node.content else "`"
            return mark + escape(node.content) + mark
        case "softbreak" | "hardbreak":
            return "\n"
        case "link":
            return _link(str(node.attrs["href"]), _words(node))
        case kind:
            mark = "" if bold and kind == "strong" else _MARKS.get(kind, "")
            return mark + "".join(_inline(child, bold=bold) for child in node.children) + mark


def _link(address: str, label: str) -> str:
    target, words = escape(address).replace("|", "%7C"), escape(label)
    if not label or words == target:
        return f"<{target}>" if len(target) <= LONGEST_LINK else target
    if len(target) + len(words) > LONGEST_LINK:
        return f"{words} ({target})"
    return f"<{target}|{words}>"


def _words(node: SyntaxTreeNode) -> str:
    if node.type in {"text", "code_inline"}:
        return node.content
    if node.type in {"softbreak", "hardbreak"}:
        return " "
    return "".join(map(_words, node.children))
