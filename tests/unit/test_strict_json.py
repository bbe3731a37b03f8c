"""JSON as the RFC has it."""

from __future__ import annotations

import pytest

from dispatcher.strict_json import DEEPEST, MalformedJsonError, read_json

TWICE = "contains a key twice in one object"
CONSTANT = "contains NaN or Infinity, which JSON does not allow"
TOO_DEEP = "is nested deeper than 32 levels"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        (" 5 ", 5),
        ('"\\u00e9"', "\u00e9"),
        ('{"a": [1, 2.5, true, {}]}', {"a": [1, 2.5, True, {}]}),
        ('[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
        ('"\\ud83d"', "\ud83d"),
    ],
)
def test_json_is_read(text, value):
    """Any value; its meaning is not checked here."""
    assert read_json(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not valid JSON: it is empty"),
        (" ", "is not valid JSON: see line 1, column 2"),
        ("{'a': 1}", "is not valid JSON: see line 1, column 2"),
        ("{a: 1}", "is not valid JSON: see line 1, column 2"),
        ('{"a": 1} x', "is not valid JSON: see line 1, column 10"),
        (
            "\ufeff{}",
            "is not valid JSON: see line 1, column 1",
        ),
        ('"\n"', "is not valid JSON: see line 1, column 2"),
        ("1" * 5000, "contains a number with too many digits"),
        ("NaN", CONSTANT),
        ('{"a": Infinity}', CONSTANT),
        ("[1e999]", "contains a number that is too large"),
        ("[-Infinity]", CONSTANT),
        ('{"a": 1, "a": 1}', TWICE),
        ('[{"b": {"a": 1, "\\u0061": 2}}]', TWICE),
        ("[" * 20_000 + "]" * 20_000, TOO_DEEP),
    ],
)
def test_what_the_rfc_does_not_know_is_refused(text, reason):
    """The reason quotes nothing of the text."""
    with pytest.raises(MalformedJsonError) as caught:
        read_json(text)

    assert str(caught.value) == reason


@pytest.mark.parametrize(("begin", "inner", "end"), [("[", "", "]"), ("[", "1", "]")])
def test_the_deepest_level_is_the_last(begin, inner, end):
    """32 levels are read, 33 are not, whether or not the innermost holds anything."""
    assert read_json(begin * DEEPEST + inner + end * DEEPEST)

    with pytest.raises(MalformedJsonError, match=TOO_DEEP):
        read_json(begin * (DEEPEST + 1) + inner + end * (DEEPEST + 1))
