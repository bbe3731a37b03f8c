"""SMS: how long a text is, and where it is cut."""

from __future__ import annotations

import pytest

from channels.sms import GSM_7, UCS_2, alphabet, fitted, parts

FAMILY = "👩\u200d👩\u200d👧"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        # 76 pairs fill 152 of 153 septets, and a pair is never torn: 77 would need 154.
        ("€" * 152, 2),
        ("€" * 153, 3),
        ("é" * 160, 1),
        ("ê" * 70, 1),
        ("ê" * 71, 2),
        ("ê" * 134, 2),
        ("ê" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        # 33 pairs fill 66 of 67 units.
        ("😀" * 66, 2),
        ("😀" * 67, 3),
    ],
)
def test_a_text_is_counted_as_networks_do(text, expected):
    """160 or 153 septets, 70 or 67 units of UTF-16; a character of two units is not torn."""
    assert parts(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Hello £ à ü\n{[~]}€", GSM_7), ("Hello…", UCS_2), ("ç", UCS_2), ("`", UCS_2), ("\t", UCS_2)],
)
def test_one_foreign_character_changes_the_alphabet_of_all(text, expected):
    """GSM-7 has Ç and no ç, no backtick and no tab."""
    assert alphabet(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 1530, "a" * 1530),
        ("a" * 1531, "a" * 1527 + "..."),
        ("ê" * 670, "ê" * 670),
        ("ê" * 671, "ê" * 669 + "…"),
        ("€" * 761, "€" * 759 + "..."),
        ("😀" * 331, "😀" * 330 + "…"),
        ("a" * 100_000 + "ê", "a" * 1527 + "..."),
        ("a" * 1520 + " " * 20, "a" * 1520 + "..."),
    ],
)
def test_a_text_is_cut_at_ten_parts_with_a_mark(text, expected):
    """The mark is of the text's alphabet: "…" would make three parts of one."""
    assert fitted(text) == expected


@pytest.mark.parametrize(
    "whole", [FAMILY, "👍🏽", "e\u0301\u0302", "❤\ufe0f", "🇩🇪", "क्षि", "\u1112\u1161\u11ab"]
)
@pytest.mark.parametrize("start", range(660, 670))
def test_no_character_is_cut_in_two(whole, start):
    """A joined, toned or accented character or a flag goes whole or not at all (UAX 29)."""
    cut = fitted("ê" * start + whole * 3)

    rest = cut.removeprefix("ê" * start).removesuffix("…")
    assert cut.endswith("…") or cut == "ê" * start + whole * 3
    assert rest in [whole * count for count in range(4)]
    assert parts(cut) <= 10


def test_accents_without_end_are_cut():
    """A character that is longer than ten parts is cut; it is not dropped."""
    cut = fitted("e" + "\u0301" * 2000)

    assert (len(cut), parts(cut)) == (670, 10)
