"""Markdown as HTML: what a caller wrote is shown, and nothing of it acts."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels import markdown
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
NUMBER = ' value="[0-9]+"'
ALIGNED = ' align="(left|center|right)"'
LINK = ' href="(https?://|mailto:)[^"]*" rel="noopener noreferrer nofollow"'


OWN = {"a": LINK, "li": NUMBER, "td": ALIGNED, "th": ALIGNED}

PIECES = [
    "W", " ", "\n", "\n\n", "\r\n", "\t", "    ", "  \n", "\\\n", "> ", "- ", "* ", "1. ", "# ",
    "W\n===\n", "---\n", "**", "_", "~~", "`", "```W W\n", "```\n", "~~~W\n", "W**W**W",
    "中**“W”**中", "W_W_W", "\\*W\\*", "[W](https://e.com/W)", "[](https://e.com/W)",
    "[ ](https://e.com/W 'W')", '[**W**](<https://e.com/W> "W &amp; W")',
    "![W](https://e.com/W (W))", "![](https://e.com/W)",
    "[![W](https://e.com/p)](https://e.com/p)", "[![](https://e.com/W)](https://e.com/W)",
    "[W]( 'W')", "![W]()", "[W](javascript:W)",
    "[W](https://e.com:W/W)", "[W](https://256.0.0.1/W)", "[W]: https://e.com/W 'W'\n", "[W][W]",
    "[^W]",
    "[^W]: W\n", "<!-- W -->", "<b title='W'>W</b>", "<br>", "&W;", "&amp;", "- [x] W\n",
    "|W|W|\n|-|:-:|\n", "|W|W|W|W\\|W|\n", "|W|\n", "<https://e.com/W>", "<W@e.com>",
    "https://e.com/W。W", "mailto:W@e.com", "\u200bW", "\u200b", "<!channel>", "<@U0W>",
    "<https://e.com/W|W>", "3) W\n", "3. W\n7. W\n",
]  # fmt: skip


def _written(pieces):
    numbers = itertools.count(1000)
    return re.sub("W", lambda _: f"w{next(numbers)}x", "".join(pieces))


MESSAGES = st.lists(st.sampled_from(PIECES), max_size=12).map(_written)
"""Markdown of every kind, each word in it another one."""


class Page(HTMLParser):
    """The text that a person sees of HTML, and the targets of its links."""

    def __init__(self, text):
        super().__init__()
        self.shown = ""
        self.targets = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Number the items of lists, as a browser does."""
        self.shown += {"br": "\n", "li": f"{dict(attributes).get('value', '')} "}.get(tag, "")
        if tag == "a":
            self.targets.append(dict(attributes)["href"])

    def handle_data(self, data):
        """Show text."""
        self.shown += data


def hidden(text, shown, targets):
    """Return the words of a text that are neither shown nor in the target of a link."""
    led = unquote(" ".join(targets))
    words = re.findall(r"[^\W_]+", text)
    return [word for word in words if word not in shown and word not in led]


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
        ("[x](https://)", "<p>[x](https://)</p>"),
        ("[x](https://e.com:70000/a)", "<p>[x](https://e.com:70000/a)</p>"),
        ("[x](https://256.0.0.1/a)", "<p>[x](https://256.0.0.1/a)</p>"),
        ("https://e.com:70000/a", "<p>https://e.com:70000/a</p>"),
        ("[x]() ![y]()", "<p>x y</p>"),
        ("[INFO]: started", "<p>[INFO]: started</p>"),
        ("x.__class__.__mro__ _y_.", "<p>x.__class__.__mro__ <em>y</em>.</p>"),
        ("snake_case_name", "<p>snake_case_name</p>"),
        ("``", "<p>``</p>"),
        ("```\n```", "<p>```<br>\n```</p>"),
        ("a\r\n```\r\nb\r\n```", "<p>a</p>\n<pre><code>b\n</code></pre>"),
        (
            "```ERROR at line 5\nstack trace```\nThanks",
            "<p><code>ERROR at line 5</code></p>\n<pre><code>stack trace```\nThanks</code></pre>",
        ),
        ("foo**bar**baz", "<p>foo<strong>bar</strong>baz</p>"),
        ("中文**粗体**中文", "<p>中文<strong>粗体</strong>中文</p>"),
        ("中文**“粗体”**中文", "<p>中文<strong>“粗体”</strong>中文</p>"),
        ("これは~~「旧」~~です", "<p>これは<s>「旧」</s>です</p>"),
        ("a ** b ** c", "<p>a ** b ** c</p>"),
        ("\\*args\\*", "<p>*args*</p>"),
        ("- [ ] a\n- [x] b", "<ul>\n<li>[ ] a</li>\n<li>[x] b</li>\n</ul>"),
        ("3. a\n2. b", '<ol>\n<li value="3">a</li>\n<li value="2">b</li>\n</ol>'),
        ("1. a\n1. b", '<ol>\n<li value="1">a</li>\n<li value="2">b</li>\n</ol>'),
        ("1. a\n07. b", '<ol>\n<li value="1">a</li>\n<li value="7">07. b</li>\n</ol>'),
        ("07. # a", '<ol>\n<li value="7">\n<p>07. </p>\n<h1>a</h1>\n</li>\n</ol>'),
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
        ("[a](HTTPS://e.com/A)", "https://e.com/A", "a"),
        ("![pixel](https://e.com/p.png)", "https://e.com/p.png", "pixel"),
        ("![](https://e.com/p.png)", "https://e.com/p.png", "https://e.com/p.png"),
        ("[![p](https://e.com/p.png)](https://e.com)", "https://e.com", "p"),
        ("[](https://e.com/r)", "https://e.com/r", "https://e.com/r"),
        ("[ \u200b](https://e.com/r)", "https://e.com/r", " \u200bhttps://e.com/r"),
        ("[![](https://e.com/p.png)](https://e.com)", "https://e.com", "https://e.com/p.png"),
        ("请看https://e.com/路径。谢谢", "https://e.com/%E8%B7%AF%E5%BE%84", "https://e.com/路径"),
        ("https://e.com/a、b", "https://e.com/a", "https://e.com/a"),
        ("「https://e.com/a」", "https://e.com/a", "https://e.com/a"),
        ("https://e.com/ジョン・レノン", None, "https://e.com/ジョン・レノン"),
        ("https://e.com/a।", "https://e.com/a", "https://e.com/a"),
        ("https://e.com/a?b=1,2;c.", "https://e.com/a?b=1,2;c", "https://e.com/a?b=1,2;c"),
        ("https://e.com/%41", "https://e.com/%41", "https://e.com/%41"),
    ],
)
def test_links_and_images(text, target, label):
    """Both are links; nothing is loaded."""
    (link,) = re.findall(
        r'<a href="([^"]*)" rel="noopener noreferrer nofollow">(.*?)</a>', html(text)
    )

    assert (unescape(link[0]), unescape(link[1])) == (target or unescape(link[0]), label)
    assert "<img" not in html(text)


def test_titles_are_shown():
    """The title of a link or an image is behind it, its entities as they are written."""
    shown = Page(html("[a](https://e.com 'b &amp; c') ![d](https://e.com (e))")).shown

    assert shown.strip() == "a (b &amp; c) d (e)"


def test_every_cell_of_a_table_is_shown_and_aligned():
    """Cells beyond the header are kept, also in lists and quotes, and columns stay aligned."""
    table = "|a|b|\n|--:|:-:|\n|1|2|3 \\| 4|5\n|6|\n"

    cells = re.findall('<t[hd](?: align="(.*?)")?>(.*?)</t', html(table))
    assert cells == [
        ("right", "a"), ("center", "b"), ("right", "1"), ("center", "2"), ("", "3 | 4"), ("", "5"),
        ("right", "6"), ("center", ""),
    ]  # fmt: skip
    for prefix in ("> ", "  "):
        nested = "".join(prefix + line for line in table.splitlines(keepends=True))
        assert "<td>5</td>" in html("- x\n\n" * (prefix == "  ") + nested)


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
    a running search.
    """
    read = subprocess.run([sys.executable, "-c", READ, piece], check=False)

    assert read.returncode == 0


@given(MARKUP | HOSTILE)
def test_nothing_acts(text):
    """For any input, the tags are ours, and links lead where they may."""
    page = html(text)

    rest = TAG.sub("", page)
    assert not set("<>\"'") & set(rest)
    for name, attributes in TAG.findall(page):
        assert not attributes or re.fullmatch(OWN[name], attributes)


@settings(max_examples=60)
@given(MARKUP | MESSAGES)
def test_no_word_is_hidden(text):
    """Every run of letters and digits is shown, or is in the target of a link that has a label."""
    page = Page(html(text))

    assert hidden(text, page.shown, page.targets) == []


WIDE = "|" + "a|" * 300 + "\n|" + "-|" * 300 + "\n"
HEAVY = [
    "- a\n", "![", "[", "a\n", "> > > > a\n", "*a **b ", "_a*", "[a]: https://e.com\n", "# a\n",
    "|a" * 300 + "\n", "a|b\n-|-\n", WIDE + "|\n" * 65_000, WIDE * 9, "<https://e.com>", "~~a",
]  # fmt: skip


@pytest.mark.parametrize("piece", HEAVY, ids=lambda piece: repr(piece[:20]))
def test_costly_text_is_bounded(piece, monkeypatch):
    """No text takes more steps than are allowed; beyond them it is shown as it is written."""
    text = (piece * (131_072 // len(piece) + 1))[:131_072]
    steps = []
    count = markdown._count

    def counted(state, *rest):
        try:
            return count(state, *rest)
        finally:
            steps.append(len(state.tokens))

    monkeypatch.setattr(markdown, "_count", counted)
    markdown._reader.cache_clear()
    found = markdown.tokens(text)
    markdown._reader.cache_clear()

    assert len(steps) <= markdown.MOST_STEPS + 1
    # One table's row, or one list's item, may be begun before the count is checked.
    assert max(steps) <= markdown.MOST_STEPS + 1000
    if len(steps) > markdown.MOST_STEPS or max(steps) > markdown.MOST_STEPS:
        assert found[1].children[0].content == text.strip()


def test_usual_text_of_the_greatest_length_stays_formatted():
    """128 KiB of prose with formatting are below the bound."""
    line = (
        "A line of usual prose with **some words** that matter, a [link](https://e.com) and more.\n"
    )

    assert "<strong>some words</strong>" in html(line * (131_072 // len(line)))
