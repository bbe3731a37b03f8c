"""Slack's mrkdwn: nobody is mentioned, nothing is too long, nothing is lost."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from channels.mrkdwn import SECTION, Paragraph, pieces, render, sections, shortened, size
from tests.unit.channels.test_markdown import ABBREVIATED, HOSTILE, MARKUP, letters, words

LINK = re.compile(r"<((?:https?://|mailto:)[^<>|]*)(?:\|([^<>]*))?>")


def written(text):
    """Return the whole as one text."""
    return "\n\n".join(sections(render(text)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a **b** *c* ~~d~~ `e`", "a *b* _c_ ~d~ `e`"),
        ("# Head **x**", "*Head x*"),
        ("a & b < c > d", "a &amp; b &lt; c &gt; d"),
        (
            "<!channel> <@U024BE7LH> <!subteam^S1>",
            "&lt;!channel&gt; &lt;@U024BE7LH&gt; &lt;!subteam^S1&gt;",
        ),
        ("&lt;!channel&gt;", "&amp;lt;!channel&amp;gt;"),
        ("[<!here>](https://e.com/?a&b|c)", "<https://e.com/?a&amp;b%7Cc|&lt;!here&gt;>"),
        ("[**b**](https://e.com)", "<https://e.com|b>"),
        ("https://e.com/", "<https://e.com/>"),
        ("<https://e.com|@channel>", "<https://e.com%7C@channel|https://e.com|@channel>"),
        ("[](https://e.com)", "<https://e.com>"),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
        ("[x]() ![y]()", "x y"),
        ("![p](https://e.com/p.png)", "<https://e.com/p.png|p>"),
        ("``a`<!here>``", "a`&lt;!here&gt;"),
        ("one\ntwo", "one\ntwo"),
        ("> a\n> b", "&gt; a\n&gt; b"),
        ("- a\n  - b\n- c", "• a\n    • b\n• c"),
        ("3. a\n4. b", "3. a\n4. b"),
        ("a\n\n---\n\nb", "a\n\n———\n\nb"),
        ("|a|b|\n|-|-|\n|c|d|", "a | b\nc | d"),
        ("```py\n<!here>\n```", "```\n&lt;!here&gt;\n```"),
        ("- x\n\n  ```\n  y\n  ```", "• x\n    ```\n    y\n    ```"),
        ("[a]: b", "[a]: b"),
    ],
)
def test_what_is_written(text, shown):
    """Slack's markup for what Slack knows, and words for the rest."""
    assert written(text) == shown


def test_a_long_address_stands_beside_its_label():
    """There it can be cut as any text; within a link it could not."""
    address = "https://e.com/" + "a" * 2000

    assert written(f"[label]({address})") == f"label ({address})"
    assert written(f"<{address}>") == address


def test_emphasis_without_end_is_text():
    """A tree of it would be deeper than Python climbs."""
    text = "*a " * 400 + "a*" * 400

    assert written(text) == text


@given(MARKUP | HOSTILE)
def test_nobody_is_mentioned(text):
    """Every bracket that stays opens a link of ours, and every ampersand an entity of ours."""
    rest = LINK.sub("", written(text))

    assert not set("<>") & set(rest)
    assert "&" not in re.sub(r"&(amp|lt|gt);", "", rest)


@given(MARKUP | HOSTILE)
def test_no_word_is_lost(text):
    """But for what names the language of code, and for links' targets, which links hold."""
    assume(not ABBREVIATED.search(text))

    shown = LINK.sub(lambda link: link[2] or link[1], written(text))
    assert words(html.unescape(shown)) == words(text)


@given(
    st.lists(
        st.sampled_from(["word ", "x" * 700, "\n", "\n\n", "&" * 90, "😀" * 300, "<b>"]),
        max_size=40,
    )
)
def test_sections_are_short_and_whole(parts):
    """None is above the limit, however characters are counted, and no word is missing."""
    paragraphs = [Paragraph(html.escape("".join(parts), quote=False))]

    filled = sections(paragraphs)

    assert all(0 < size(text) <= SECTION for text in filled)
    assert letters("".join(filled)) == letters(paragraphs[0].text)
    assert not [text for text in filled if re.search(r"&(?!amp;|lt;|gt;)", text)]


def test_text_is_cut_where_it_hurts_least():
    """Between paragraphs, else between lines, else between words, else anywhere."""
    assert [*pieces("aaaa\n\nbb b\n\ncc", 12)] == ["aaaa\n\nbb b", "cc"]
    assert [*pieces("aaaa bb\nbb cc", 10)] == ["aaaa bb", "bb cc"]
    assert [*pieces("aaaa bbbb cccc", 10)] == ["aaaa bbbb", "cccc"]
    assert [*pieces("aaaaaaaaaabbb", 10)] == ["aaaaaaaaaa", "bbb"]
    assert [*pieces("aaa <https://e.com|b>", 18)] == ["aaa", "<https://e.com|b>"]
    assert [*pieces("aaaaaaa&amp;b", 10)] == ["aaaaaaa", "&amp;b"]


def test_long_code_stays_code():
    """Each piece has fences of its own."""
    filled = sections(render("```\n" + "line of code\n" * 400 + "```"))

    assert len(filled) == 2
    assert all(text.startswith("```\n") and text.endswith("\n```") for text in filled)


@pytest.mark.parametrize(
    ("texts", "room", "most", "kept"),
    [
        (["aa", "bb"], 100, 5, ["aa", "bb"]),
        (
            ["a" * 100, "b" * 100, "c" * 100],
            260,
            5,
            ["a" * 100, "b" * 100, "… (100 characters more)"],
        ),
        (["aa", "bb", "cc"], 1000, 2, ["aa", "… (4 characters more)"]),
        (["a" * 100, "b" * 2000], 1150, 5, ["a" * 100, "b" * 1000, "… (1000 characters more)"]),
        (["```\n" + "b" * 2000 + "\n```"], 1000, 5, ["… (2008 characters more)"]),
    ],
)
def test_what_does_not_fit_is_counted(texts, room, most, kept):
    """Never cut silently."""
    assert shortened(texts, room, most) == kept
