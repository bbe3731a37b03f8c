"""Slack's rich text: nothing is too long, nothing is torn, every word is shown as it is meant."""

from __future__ import annotations

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.rich_text import LONGEST_BLOCK, blocks, cuts, parts, size
from tests.fake_servers.slack_server import Post, is_sound
from tests.unit.channels.test_markdown import MARKUP, MESSAGES, hidden

FAMILY, FLAG, ACCENTED = "👩\u200d👩\u200d👧", "🇩🇪", "e\u0301\u0302"


def posted(text, room=40_000, most=48):
    """Return the blocks of a text, each of which Slack would accept."""
    found = blocks(parts(text), room, most)
    assert all(map(is_sound, found))
    return found


def shown(text):
    """Return what a person reads, block by block."""
    return "\n\n".join(Post("", "", {"blocks": posted(text)}).blocks)


def runs(text):
    """Return each run of a text: its words, its styles, and where it leads."""
    return [
        (run["text"], *run.get("style", {}), *filter(None, [run.get("url")]))
        for block in posted(text)
        for part in block["elements"]
        for item in (part["elements"] if part["type"] == "rich_text_list" else [part])
        for run in item["elements"]
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a **b** *c*", [("a ",), ("b", "bold"), (" ",), ("c", "italic")]),
        ("~~d~~ `e`", [("d", "strike"), (" ",), ("e", "code")]),
        ("**a *b* `c`**", [
            ("a ", "bold"), ("b", "bold", "italic"), (" ", "bold"), ("c", "bold", "code"),
        ]),
        ("# A `b`", [("A ", "bold"), ("b", "bold", "code")]),
        ("foo**bar**baz", [("foo",), ("bar", "bold"), ("baz",)]),
        ("中文**粗体**中文", [("中文",), ("粗体", "bold"), ("中文",)]),
        ("\\*args\\* a_b_c *x", [("*args* a_b_c *x",)]),
        ("a & b < c > d &lt; :smile:", [("a & b < c > d &lt; :smile:",)]),
        ("<!channel> <@U024BE7LH> <!subteam^S1>", [("<!channel> <@U024BE7LH> <!subteam^S1>",)]),
        ("[<!here>|x](https://e.com/?a&b|c)", [("<!here>|x", "https://e.com/?a&b%7Cc")]),
        ("[a **b**\nc](https://e.com)", [
            ("a ", "https://e.com"), ("b", "bold", "https://e.com"), (" c", "https://e.com"),
        ]),
        ("[](https://e.com)", [("https://e.com", "https://e.com")]),
        ("https://e.com/a。b", [("https://e.com/a", "https://e.com/a"), ("。b",)]),
        ("![p](https://e.com/p.png 't')", [("p", "https://e.com/p.png"), (" (t)",)]),
        ("[x](javascript:alert(1))", [("[x](javascript:alert(1))",)]),
        # A target that Slack may not accept as an address is shown beside the label.
        ("[x](https://[::1]/a)", [("x (https://[::1]/a)",)]),
        ("<https://e.com|@channel>", [("https://e.com|@channel (https://e.com%7C@channel)",)]),
        ("``a ``` b``", [("a ``` b", "code")]),
        ("```py\na ``` b\n```", [("py", "code"), ("a ``` b",)]),
    ],
)  # fmt: skip
def test_styles_are_data(text, expected):
    """Marks become styles, and no character of a text acts."""
    assert runs(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\ntwo\n\nthree", "one\ntwo\n\nthree"),
        ("> a\n> b\n>\n> > c", "│ a\n│ b\n│ \n│ > c"),
        ("- a\n  - b\n- c\n\n  d", "• a\n    • b\n• c\nd"),
        ("3. a\n4. b\n9. c\n2. d", "3. a\n4. b\n9. c\n2. d"),
        ("1. a\n1. b", "1. a\n2. b"),
        # Slack counts with letters within lists, and a message may refer to its numbers.
        ("- a\n  1. b\n  2. c", "• a\n    • 1. b\n    • 2. c"),
        ("07. a\n0. b", "7. 07. a\n• 0. b"),
        ("1. a\n\n   ```\n   b\n   ```\n2. c", "1. a\nb\n2. c"),
        ("2. ```\n   a\n   ```", "• 2.\na"),
        ("> - a\n>   - b", "│ • a\n│     • b"),
        ("- > a\n\n  |b|\n  |-|\n  |c|d|", "│ a\nb\nc | d"),
        ("- [x] a", "• [x] a"),
        ("|a|b|\n|-|-:|\n|1|2|3|", "a | b\n1 | 2 | 3"),
        ("a\n\n---\n\nb", "a\n\n———\n\nb"),
        ("- " * 8 + "deep", " " * 28 + "• deep"),
        ("[a]: b", "[a]: b"),
        ("> " * 30 + "deep", "> " * 30 + "deep"),
    ],
)
def test_what_is_shown(text, expected):
    """Slack's layout for what Slack knows, and words for the rest."""
    assert shown(text) == expected


@settings(max_examples=60)
@given(MARKUP | MESSAGES)
def test_no_word_is_hidden(text):
    """Every run of letters and digits is shown, or is in the target of a link that has a label."""
    targets = [run[-1] for run in runs(text)]

    assert hidden(text, shown(text), targets) == []


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from([
            "word ", "x" * 700, "\n", "\n\n", "&" * 90, "😀" * 300, FAMILY * 50, FLAG * 90,
            ACCENTED * 200, " \u0301", "**bold** ", "- ", "> ", "```\n",
        ]),
        max_size=40,
    ).map("".join)
)  # fmt: skip
def test_blocks_are_short_and_whole(text):
    """However characters are counted, none is above the limit, and no character is torn."""
    found = Post("", "", {"blocks": posted(text)}).blocks

    letters = "".join(found)
    for whole in (FAMILY, FLAG, ACCENTED):
        assert letters.count(whole) == text.count(whole)
    for kept in ("word", "x", "😀", "bold"):
        assert letters.count(kept) == text.count(kept)


@pytest.mark.parametrize("whole", [FAMILY, FLAG, ACCENTED, "👍🏽", "각", "क्षि"])
@pytest.mark.parametrize("start", range(7))
def test_no_character_is_cut_in_two(whole, start):
    """A long word is cut between characters as people see them (UAX 29)."""
    text = "a" * start + whole * 30

    pieces = [text[begin:end] for begin, end in cuts(text, 20)]

    assert "".join(pieces) == text
    assert all(size(piece) <= 20 for piece in pieces)
    assert all(set(regex.findall(r"\X", piece)) <= {"a", whole} for piece in pieces)


def test_accents_without_end_are_cut():
    """A character that is longer than a block is the only one that is cut."""
    assert [end - begin for begin, end in cuts("e" + "\u0301" * 50, 20)] == [10, 10, 10, 10, 11]


def test_text_is_cut_where_it_hurts_least():
    """Between paragraphs, else between lines, else between words, else anywhere."""

    def pieces(text, limit):
        return [text[begin:end] for begin, end in cuts(text, limit)]

    assert pieces("aaaa\n\nbb b\n\ncc", 12) == ["aaaa\n\nbb b", "cc"]
    assert pieces("aaaa bb\nbb cc", 10) == ["aaaa bb", "bb cc"]
    assert pieces("aaaa bbbb cccc", 10) == ["aaaa bbbb", "cccc"]
    assert pieces("aaaaaaaaaabbb", 10) == ["aaaaaaaaaa", "bbb"]
    assert pieces("aaaaaa \u0301bbbbb", 10) == ["aaaaaa \u0301bb", "bbb"]


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("**" + "word " * 900 + "end**", {"bold": True}),
        ("- ~~" + "word " * 900 + "end~~", {"strike": True}),
        ("> *" + "word " * 900 + "end*", {"italic": True}),
    ],
)
def test_a_style_goes_on_in_the_next_block(text, style):
    """A cut leaves no style open and ends none early."""
    found = posted(text + "\n\nplain")

    runs = [
        run
        for block in found
        for part in block["elements"]
        for run in (part["elements"][0] if part["type"] == "rich_text_list" else part)["elements"]
    ]
    assert len(found) == 2
    words = {run["text"].split()[0]: run.get("style") for run in runs if run["text"].strip()}
    assert words == {"word": style, "plain": None}


def test_long_code_stays_code():
    """Each block holds whole lines of it, and nothing else."""
    found = posted("- a\n\n  ```\n" + "  line of code\n" * 400 + "  ```\n\nend")

    kinds = [[part["type"] for part in block["elements"]] for block in found]
    assert kinds == [
        ["rich_text_list", "rich_text_preformatted"],
        ["rich_text_preformatted", "rich_text_section"],
    ]
    code = [found[0]["elements"][1], found[1]["elements"][0]]
    lines = [line for part in code for line in part["elements"][0]["text"].split("\n")]
    assert lines == ["line of code"] * 400


def test_what_does_not_fit_is_counted():
    """A message is never cut silently: the last block says how much is missing."""
    *most, last = Post("", "", {"blocks": posted("word " * 20_000, 9000)}).blocks

    missing = int(last.removeprefix("… (").removesuffix(" characters more)"))
    # White space at the cuts is not shown.
    assert 99_990 <= missing + sum(map(len, most)) <= 100_000
    assert sum(map(len, most)) > 7000
    assert len(posted("- a\n\n" + "x" * 3000 + "\n\n", 100_000, 1)) == 1


def test_few_blocks_are_filled_and_no_more():
    """The number of blocks is bounded, too."""
    *most, last = Post("", "", {"blocks": posted("x" * 20_000, 100_000, 4)}).blocks

    assert (list(map(len, most)), last) == ([LONGEST_BLOCK] * 3, "… (11000 characters more)")
