"""A caller's Markdown, read once for all channels that show more than plain text.

The reader differs from CommonMark where that would lose or change words of a message that was never
meant as markup: raw HTML and entities are text, ``[LABEL]: word`` is no definition (it would
vanish), and ``object.__name__`` is no emphasis. Links lead to the web or to a mailbox; an image is
a link to it, because loading it would tell its owner who reads the message, and when.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markdown_it.rules_inline import emphasis, linkify
from markdown_it.token import Token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline

SCHEMES = ("http", "https", "mailto")

DEEPEST = 20
"""Levels within each other, of quotes and lists as of emphasis; the reader drops deeper blocks."""

LONGEST_WORD = 2000
"""Characters without a space; where there are more, an address that is no link's stays text.

The search for addresses reads on to the end of the word at each ``http://`` in it, and nothing can
stop it meanwhile: 128 KiB of them would hold up the worker, and everybody's messages, for minutes.
"""

_TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol",
    "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES: dict[str, set[str]] = {"a": {"href"}, "ol": {"start"}, "*": set()}
_ENDLESS = re.compile(rf"\S{{{LONGEST_WORD + 1}}}")
_WEB = re.compile(r"(?:^|[^a-z0-9.+-])https?$", re.IGNORECASE)
_QUOTES = re.compile(r"""<[^>]*>|["']""")
_ENTITIES = {'"': "&quot;", "'": "&#x27;"}

_VISIBLE = frozenset({"text", "code_inline", "code_block", "fence", "link_open"})


def html(text: str) -> str:
    """Return a fragment of HTML in which no tag, entity or attribute is the caller's own."""
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
    # Quotes too, outside of tags: inert then even where a mail program moves text into a tag.
    return _QUOTES.sub(lambda found: _ENTITIES.get(found[0], found[0]), clean)


def tokens(text: str) -> list[Token]:
    """Read Markdown; what would come out empty or cut short is taken as plain text."""
    found = _reader(finds_addresses=_ENDLESS.search(text) is None).parse(text)
    return _plain(text) if any(map(_is_too_deep, found)) or not any(map(_shows, found)) else found


def _is_too_deep(token: Token) -> bool:
    return token.level >= DEEPEST - 1 or any(map(_is_too_deep, token.children or ()))


def _shows(token: Token) -> bool:
    is_visible = token.type in _VISIBLE and (
        token.type == "link_open" or bool(token.content.strip())
    )
    return is_visible or any(map(_shows, token.children or ()))


def _plain(text: str) -> list[Token]:
    children: list[Token] = []
    for number, line in enumerate(text.strip().splitlines()):
        if number:
            children.append(Token("softbreak", "br", 0))
        children.append(Token("text", "", 0, content=line))
    return [
        Token("paragraph_open", "p", 1, block=True),
        Token("inline", "", 0, content=text, children=children, block=True),
        Token("paragraph_close", "p", -1, block=True),
    ]


@cache
def _reader(*, finds_addresses: bool) -> MarkdownIt:
    options = {"html": False, "linkify": finds_addresses, "breaks": True, "maxNesting": DEEPEST}
    reader = MarkdownIt("js-default", options).disable(["entity", "reference"])
    reader.validateLink = _leads_somewhere  # type: ignore[method-assign] # its documented seam
    reader.inline.ruler.at("emphasis", _emphasis)
    reader.inline.ruler.at("linkify", _address)
    reader.core.ruler.push("mend_links", _mend_links)
    if reader.linkify is not None:
        for scheme in ("ftp:", "//"):
            reader.linkify.add(scheme, None)
        # Only what is written as an address: not every name.ending is a host.
        reader.linkify.set({"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
    return reader


def _leads_somewhere(url: str) -> bool:
    return url.lower().startswith(("http://", "https://", "mailto:"))


def _address(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the reader's signature
    """Look for an address behind a scheme, and not through all the text before it each time."""
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
    """Let ``_`` begin an emphasis only at the beginning of a word."""
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


def _mend_links(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "inline" and token.children:
            token.children = list(_mended(token.children))


def _mended(children: list[Token]) -> Iterator[Token]:
    """Make links of images, outside of links, and plain words of links without a target."""
    inside, nowhere = False, False
    for token in children:
        match token.type:
            case "link_open":
                inside, nowhere = True, not token.attrs.get("href")
                if not nowhere:
                    yield token
            case "link_close":
                if not nowhere:
                    yield token
                inside = nowhere = False
            case "image":
                source = str(token.attrs.get("src", ""))
                label = Token("text", "", 0, content=token.content or source)
                if inside or not source:
                    yield label
                else:
                    yield Token("link_open", "a", 1, attrs={"href": source})
                    yield label
                    yield Token("link_close", "a", -1)
            case _:
                yield token
