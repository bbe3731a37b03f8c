"""Whole numbers as text brings them."""

from __future__ import annotations

import pytest

from dispatcher.ranges import Range


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("100", 100),
        ("007", 7),
        ("0", None),
        ("101", None),
        ("0007", None),
        ("", None),
        ("-1", None),
        ("+5", None),
        ("1_0", None),
        (" 5", None),
        ("5.0", None),
        ("²", None),
        ("٣", None),
        ("9" * 5000, None),
    ],
)
def test_only_ascii_digits_within_the_range_are_a_number(text, number):
    """A text is read if it consists of ASCII digits and its number is in the range."""
    assert Range(1, 100).read(text) == number


@pytest.mark.parametrize(("number", "expected"), [(0, False), (1, True), (100, True), (101, False)])
def test_both_ends_belong_to_the_range(number, expected):
    """A range includes its lowest and its highest number."""
    assert (number in Range(1, 100)) is expected


def test_a_range_describes_itself():
    """Error texts quote the range."""
    assert str(Range(0, 20)) == "a whole number from 0 to 20"
