"""Markdown as HTML: what a caller wrote is shown, and nothing of it acts."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from channels.markdown import html

MARKUP = st.text("ab 1\n\t<>&\"'`*_~[]()!#-+|\\/.:;=@{}$^é☂😀", max_size=80)
HOSTILE = st.lists(
    st.sampled_from([
        "<b>", "</p>", "<!channel>", "&lt;", "&#x3c;", "**", "__", "~~", "`", "```\n", "\n", "> ",
        "- ", "1. ", "[x](", ")", "![", "](javascript:y)", "<https://e.com>", "https://e.com/?a|b",
        "| a |\n|--|\n", "    ", "\\", "word", " ", "<@U024BE7LH>", "[a]: b", "\n\n", '"', "'",
    ]),
    max_size=30,
).map("".join)  # fmt: skip

TAG = re.compile(r"</?([a-z0-9]+)((?: [a-z]+=\"[^\"<>]*\")*)>")
LINK = ' href="(https?://|mailto:)[^"]*" rel="noopener noreferrer nofollow"'


ABBREVIATED = re.compile(r"\]\(|[|]|```|~~~")
"""Links, tables and fences, of which some words show elsewhere or not at all."""


def letters(text):
    """Leave what formatting cannot change."""
    return re.sub(r"[\W_]+", "", text)


def words(text):
    """Leave of the letters those that number no list."""
    return re.sub(r"[0-9]", "", letters(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a **b** *c* ~~d~~ `e`", "<p>a <strong>b</strong> <em>c</em> <s>d</s> <code>e</code></p>"),
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("<img src=x onerror=alert(1)>", "<p>&lt;img src=x onerror=alert(1)&gt;</p>"),
        ("\"a\" 'b'", "<p>&quot;a&quot; &#x27;b&#x27;</p>"),
        ("&#x3c;script&#x3e; &amp;", "<p>&amp;#x3c;script&amp;#x3e; &amp;amp;</p>"),
        ("javascript:alert(1)", "<p>javascript:alert(1)</p>"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        ("[x](&#106;avascript:alert(1))", "<p>[x](&amp;#106;avascript:alert(1))</p>"),
        ("[x](//evil.example)", "<p>[x](//evil.example)</p>"),
        ("[x](/path)", "<p>[x](/path)</p>"),
        ("[x]() ![y]()", "<p>x y</p>"),
        ("[INFO]: started", "<p>[INFO]: started</p>"),
        ("x.__class__.__mro__ _y_.", "<p>x.__class__.__mro__ <em>y</em>.</p>"),
        ("snake_case_name", "<p>snake_case_name</p>"),
        ("``", "<p>``</p>"),
        ("```\n```", "<p>```<br>\n```</p>"),
        ("> " * 30 + "deep", "<p>" + "&gt; " * 30 + "deep</p>"),
        ("*a " * 30 + "a*" * 30, "<p>" + "*a " * 30 + "a*" * 30 + "</p>"),
        ("report.txt a.b", "<p>report.txt a.b</p>"),
    ],
)
def test_what_is_shown(text, shown):
    """Formatting is formatting, and everything else is words."""
    assert html(text).strip() == shown


@pytest.mark.parametrize(
    ("text", "target", "label"),
    [
        ("[a](https://e.com/?x=1&y=2)", "https://e.com/?x=1&y=2", "a"),
        ("see https://e.com/a now", "https://e.com/a", "https://e.com/a"),
        ("<mailto:a@e.com>", "mailto:a@e.com", "mailto:a@e.com"),
        ("![pixel](https://e.com/p.png)", "https://e.com/p.png", "pixel"),
        ("![](https://e.com/p.png)", "https://e.com/p.png", "https://e.com/p.png"),
        ("[![p](https://e.com/p.png)](https://e.com)", "https://e.com", "p"),
        ('[a](https://e.com "title")', "https://e.com", "a"),
    ],
)
def test_links_and_images(text, target, label):
    """Both are links; nothing is loaded."""
    (link,) = re.findall(
        r'<a href="([^"]*)" rel="noopener noreferrer nofollow">(.*?)</a>', html(text)
    )

    assert (unescape(link[0]), unescape(link[1])) == (target, label)
    assert "<img" not in html(text)


def test_addresses_beside_an_endless_word_stay_text():
    """Links that are written as such stay links."""
    page = html("https://e.com/a [b](https://e.com/c) " + "d" * 2001)

    link = '<a href="https://e.com/c" rel="noopener noreferrer nofollow">b</a>'
    assert page == f"<p>https://e.com/a {link} {'d' * 2001}</p>\n"


READ = """
import resource, sys
from channels.markdown import html
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
html(sys.argv[1] * (512 * 1024 // len(sys.argv[1])))
"""


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param("http://a.b/(", id="an address that never ends"),
        pytest.param("x :// ", id="schemes that are none"),
        pytest.param("http://( ", id="schemes without an address"),
        pytest.param("a://" + "b" * 60 + " ", id="schemes that lead nowhere"),
    ],
)
def test_no_text_holds_a_worker_up(piece):
    """Four times the longest message costs seconds of the processor; its square would be minutes.

    The limit is the operating system's, on the processor's time: nothing within Python can stop
    a search of its own once it is under way.
    """
    read = subprocess.run([sys.executable, "-c", READ, piece], check=False)

    assert read.returncode == 0


@given(MARKUP | HOSTILE)
def test_nothing_acts(text):
    """Whatever is written: tags are ours, and links lead where they may."""
    page = html(text)

    rest = TAG.sub("", page)
    assert not set("<>\"'") & set(rest)
    for name, attributes in TAG.findall(page):
        assert not attributes or (name == "a" and re.fullmatch(LINK, attributes)) or name == "ol"


@given(MARKUP | HOSTILE)
def test_no_word_is_lost(text):
    """But for what names the language of code, and for links' targets, which links hold."""
    assume(not ABBREVIATED.search(text))

    assert words(unescape(TAG.sub("", html(text)))) == words(text)
