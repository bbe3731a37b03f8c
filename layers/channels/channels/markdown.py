"""The parser of a caller's Markdown, for all channels that show more than plain text.

It differs from CommonMark where CommonMark would lose or change words that were not meant as
markup: raw HTML and entities are text, ``[LABEL]: word`` is not a definition (it would disappear),
and ``object.__name__`` is not emphasis. Every run of letters and digits is shown, also a fence's
opening line, a link's title, cells beyond the header, and an ordered list's numbers. The only
exception is the target of a link that has a label.
Links lead to the web or to a mailbox. An image becomes a link, because loading it would show its
owner who reads the message, and when.
"""

from __future__ import annotations

import re
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import regex
from linkify_it import LinkifyIt
from markdown_it import MarkdownIt, helpers
from markdown_it.common.normalize_url import normalizeLink
from markdown_it.common.utils import ESCAPE_CHAR, escapeHtml
from markdown_it.rules_block import table
from markdown_it.rules_block.table import escapedSplit, getLine
from markdown_it.rules_inline import emphasis, linkify, strikethrough
from markdown_it.token import Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from linkify_it.main import Match
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline

    InlineRule = Callable[[StateInline, bool], bool]

SCHEMES = ("http", "https", "mailto")

DEEPEST = 20
"""Nesting levels of quotes, lists and emphasis; the parser drops deeper blocks."""

MOST_STEPS = 30_000
"""Steps and tokens of the parser; a message that needs more is shown as plain text.

All deliveries of a process wait while one is rendered. Without a limit, 128 KiB of ``- a`` took
1.3 s; this many steps take 0.3 s, and 128 KiB of formatted prose needs fewer.
"""

LONGEST_WORD = 2000
"""Characters of a word; in text with a longer word, bare addresses do not become links.

At each ``http://`` the search for addresses reads to the end of the word and cannot be interrupted:
128 KiB of them would block the worker, and all users' messages, for minutes.
"""

_TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol",
    "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES: dict[str, set[str]] = {
    "a": {"href"}, "li": {"value"}, "td": {"align"}, "th": {"align"}, "*": set(),
}  # fmt: skip
_ENDLESS = re.compile(rf"\S{{{LONGEST_WORD + 1}}}")
_WEB = re.compile(r"(?:^|[^a-z0-9.+-])https?$", re.ASCII | re.IGNORECASE)
_USUAL = re.compile(
    r"https?://([a-z0-9-]+\.)*[a-z][a-z0-9-]*(:[0-9]{1,4})?([/?#]|$)",
    re.ASCII | re.IGNORECASE,
)
_QUOTES = re.compile(r"""<[^>]*>|["']""")
_ENTITIES = {'"': "&quot;", "'": "&#x27;"}

_VISIBLE = regex.compile(r"[^\s\p{C}\p{Default_Ignorable_Code_Point}\u2800]")

_AFTER_ADDRESS = regex.compile(
    r"[[\p{Terminal_Punctuation}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\s]--[\x21-\x7e]]", regex.V1
)
"""Characters that end an address in running text: white space, and the punctuation of scripts that
put no space after it. ASCII punctuation may belong to the address."""


class _TooMuchError(Exception):
    """The text needs more steps than permitted."""


def html(text: str) -> str:
    """Return a fragment of HTML that contains no tag, entity or attribute of the caller."""
    import nh3

    reader = _reader(finds_addresses=True)
    rendered = reader.renderer.render(tokens(text), reader.options, {})
    clean = nh3.clean(
        rendered,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=set(SCHEMES),
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
    )
    # Quotes are escaped too, in case a mail program moves text into a tag.
    return _QUOTES.sub(lambda found: _ENTITIES.get(found[0], found[0]), clean)


def tokens(text: str) -> list[Token]:
    """Parse Markdown; return plain text if it would lose content or need too many steps."""
    try:
        found = _reader(finds_addresses=_ENDLESS.search(text) is None).parse(text, {})
    except _TooMuchError:
        return _plain(text)
    return _plain(text) if any(map(_is_too_deep, found)) or not _shows(found) else found


def _is_too_deep(token: Token) -> bool:
    return token.level >= DEEPEST - 1 or any(map(_is_too_deep, token.children or ()))


def _shows(found: Sequence[Token]) -> bool:
    return any(
        _VISIBLE.search("" if token.type == "inline" else token.content)
        or _shows(token.children or ())
        for token in found
    )


def _plain(text: str) -> list[Token]:
    return _paragraph(_words(re.sub(r"\r\n?", "\n", text.strip())))


def _paragraph(child: Token) -> list[Token]:
    return [
        Token("paragraph_open", "p", 1, block=True),
        Token("inline", "", 0, children=[child], block=True),
        Token("paragraph_close", "p", -1, block=True),
    ]


@cache
def _reader(*, finds_addresses: bool) -> MarkdownIt:
    options = {"html": False, "linkify": finds_addresses, "breaks": True, "maxNesting": DEEPEST}
    reader = MarkdownIt("js-default", options).disable(["entity", "reference"])
    reader.validateLink = _leads_somewhere  # type: ignore[method-assign] # its documented seam
    # The text of a link stays as it is written; ``_mended`` normalizes the targets.
    # The library documents these attributes as replaceable, but its types do not allow it.
    reader.normalizeLink = reader.normalizeLinkText = _as_written  # type: ignore[assignment, method-assign]
    reader.helpers = SimpleNamespace(**{**vars(helpers), "parseLinkTitle": _title})  # type: ignore[assignment]
    everywhere = ["paragraph", "blockquote", "list", "table"]
    reader.block.ruler.before("table", "count", _count, {"alt": everywhere})
    reader.block.ruler.at("table", _table, {"alt": ["paragraph"]})
    reader.inline.ruler.before("text", "count", _count)
    reader.inline.ruler.at("strikethrough", _strikethrough)
    reader.inline.ruler.at("emphasis", _emphasis)
    reader.inline.ruler.at("linkify", _address)
    reader.core.ruler.push("mend", _mend)
    reader.add_render_rule("text", _text)
    reader.linkify = _Addresses()
    for scheme in ("ftp:", "//"):
        reader.linkify.add(scheme, None)
    # Only complete addresses become links: not every name.ending is a host.
    reader.linkify.set({"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
    return reader


def _as_written(url: str) -> str:
    return url


def _leads_somewhere(url: str) -> bool:
    """Return whether the cleaner keeps this target; otherwise the link stays text."""
    if not url.lower().startswith(("http://", "https://", "mailto:")):
        return False
    if _USUAL.match(url):
        return True
    import nh3

    # Only the cleaner's own parser knows what it drops, such as port 70,000 or "%" in a host.
    link = f'<a href="{escapeHtml(normalizeLink(url))}">'
    return "href" in nh3.clean(link, tags={"a"}, attributes={"a": {"href"}}, link_rel=None)


def _count(state: StateBlock | StateInline, *_: object) -> bool:
    """Count a step of the parser; never matches."""
    state.env["steps"] = steps = state.env.get("steps", 0) + 1
    if max(steps, len(state.tokens)) > MOST_STEPS:
        raise _TooMuchError
    return False


def _table(state: StateBlock, line: int, end: int, silent: bool) -> bool:  # noqa: FBT001 - the reader's signature
    """Keep the extra cells of a row that has more cells than the header."""
    begin = len(state.tokens)
    if not table(state, line, end, silent):
        return False
    found, columns = state.tokens[begin:], 0
    del state.tokens[begin:]
    for token in found:
        if token.type == "th_open":
            columns += 1
        elif token.type == "tr_open":
            row = token.map or [line]
        elif token.type == "tr_close":
            cells = escapedSplit(getLine(state, row[0]).strip().removeprefix("|"))
            opening, cell, closing = state.tokens[-3:]
            for content in cells[columns : len(cells) - (not cells[-1])]:
                inline = cell.copy(content=content.strip(), children=[])
                state.tokens += [opening.copy(attrs={}), inline, closing]
        state.tokens.append(token)
    return True


class _Addresses(LinkifyIt):  # type: ignore[misc] # it has no types
    def match_at_start(self, text: str) -> Match | None:
        """Search for an address only as far as it can reach."""
        return super().match_at_start(_AFTER_ADDRESS.split(text, 1)[0])


def _address(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the reader's signature
    """Search for an address after a scheme, without scanning the text before it each time."""
    text, last = state.pending, state.pending[-len("-https") :]
    if state.src[state.pos] != ":" or not _WEB.search(last):
        return False
    if not silent and len(text) > len(last):
        state.pending = text[: -len(last)]
        state.pushPending()
    state.pending = last
    found = linkify(state, silent)
    if silent:
        state.pending = text
    return found


def _emphasis(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the reader's signature
    """Allow ``_`` to begin emphasis only at the beginning of a word."""
    source, start, end = state.src, state.pos, state.pos
    if source[start] == "_":
        while start > 0 and source[start - 1] == "_":
            start -= 1
        while end < len(source) and source[end] == "_":
            end += 1
        before, after = source[max(0, start - 1) : start] or " ", source[end : end + 1] or " "
        if after.isalnum() and not (before.isspace() or before in "(*~"):
            return False
        return emphasis.tokenize(state, silent)
    return _marks(emphasis.tokenize, state, silent)


def _strikethrough(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the reader's signature
    return _marks(strikethrough.tokenize, state, silent)


def _marks(rule: InlineRule, state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - see above
    """Allow emphasis beside the punctuation of scripts that put no space around words.

    CommonMark would show the marks of ``中文**“引号”**中文`` as text. Here only ASCII punctuation
    has this effect.
    """
    start, known = state.pos, len(state.delimiters)
    if not rule(state, silent):
        return False
    before = state.src[start - 1 : start] or " "
    after = state.src[state.pos : state.pos + 1] or " "
    if not (before + after).isascii():
        outside = before.isspace() or _is_mark(before), after.isspace() or _is_mark(after)
        for delimiter in state.delimiters[known:]:
            delimiter.open = not after.isspace() and (not _is_mark(after) or outside[0])
            delimiter.close = not before.isspace() and (not _is_mark(before) or outside[1])
    return True


def _is_mark(character: str) -> bool:
    return character.isascii() and not character.isalnum() and not character.isspace()


def _title(*arguments: Any) -> Any:  # noqa: ANN401 - the reader's own types
    """Parse a link's title without replacing its entities."""
    found = helpers.parseLinkTitle(*arguments)
    if found.ok:
        source, start, *_ = arguments
        found.str = ESCAPE_CHAR.sub(r"\1", source[start + 1 : found.pos - 1])
    return found


def _text(_: RendererHTML, found: Sequence[Token], index: int, *__: object) -> str:
    return escapeHtml(found[index].content).replace("\n", "<br>\n")


def _mend(state: StateCore) -> None:
    _number(state.tokens)
    state.tokens = list(_blocks(state.tokens))


def _number(found: list[Token]) -> None:
    """Keep the numbers of ordered lists as they are written, unless all are the same."""
    lists: list[list[Token]] = []
    for token in found:
        if token.type in {"ordered_list_open", "bullet_list_open"}:
            lists.append([])
        elif token.type == "list_item_open":
            lists[-1].append(token)
        elif token.type in {"ordered_list_close", "bullet_list_close"}:
            items = [item for item in lists.pop() if item.info]
            numbers = [int(item.info) for item in items]
            if len(set(numbers)) == 1:
                numbers = [numbers[0] + place for place in range(len(items))]
            for item, number in zip(items, numbers, strict=True):
                item.attrs = {"value": number}


def _blocks(found: list[Token]) -> Iterator[Token]:
    """Turn attributes into text: a fence's opening line, the leading zeros of a number."""
    for place, token in enumerate(found):
        if token.type == "fence" and token.info.strip():
            yield from _paragraph(Token("code_inline", "code", 0, content=token.info.strip()))
            token.info = ""
        elif token.type in {"th_open", "td_open"} and token.attrs:
            token.attrs = {"align": str(token.attrs["style"]).removeprefix("text-align:")}
        elif token.type == "inline":
            token.children = _inlines(token.children or [])
        yield token
        if token.type == "list_item_open" and token.info.startswith("0") and token.info != "0":
            number = _words(f"{token.info}{token.markup} ")
            if found[place + 1].type == "paragraph_open":
                found[place + 2].children = [number, *(found[place + 2].children or [])]
            else:
                yield from _paragraph(number)


def _inlines(children: list[Token]) -> list[Token]:
    """Turn attributes of links and images into text: titles, and targets without a label.

    Images outside of links become links; links without a target become text.
    """
    shown: list[Token] = []
    link: Token | None = None
    begin = 0
    for token in children:
        if token.type == "link_open":
            link, begin = token, len(shown)
        elif token.type == "link_close" and link:
            shown[begin:] = _link(str(link.attrs["href"]), shown[begin:], link)
            link = None
        elif token.type == "image":
            source = str(token.attrs["src"])
            label = [_words(token.content if _VISIBLE.search(token.content) else source)]
            shown += _link("" if link else source, label, token)
        else:
            shown.append(token)
    return shown


def _link(target: str, label: list[Token], token: Token) -> list[Token]:
    if target:
        # Slack may accept schemes only in lower case.
        scheme, colon, rest = normalizeLink(target).partition(":")
        opening = Token("link_open", "a", 1, attrs={"href": f"{scheme.lower()}{colon}{rest}"})
        label = label if _shows(label) else [*label, _words(target)]
        label = [opening, *label, Token("link_close", "a", -1)]
    title = token.attrs.get("title")
    return [*label, _words(f" ({title})")] if title else label


def _words(text: str) -> Token:
    return Token("text", "", 0, content=text)
