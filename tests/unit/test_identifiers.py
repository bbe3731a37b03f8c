"""The shapes of the names that callers use."""

from __future__ import annotations

import pytest

from dispatcher.identifiers import DELIVERY_ID, REQUEST_ID, UNSTORABLE, USER_ID

ID = "01a0c2d4-9f3b-7abc-8def-0123456789ab"


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        (USER_ID, "a", True),
        (USER_ID, "0", True),
        (USER_ID, "Ada.Lovelace_1@example.com", True),
        (USER_ID, "a" + "._@+|:-", True),
        (USER_ID, "a" * 128, True),
        (USER_ID, "a" * 129, False),
        (USER_ID, "", False),
        (USER_ID, ".a", False),
        (USER_ID, "..", False),
        (USER_ID, "a b", False),
        (USER_ID, "a/b", False),
        (USER_ID, "a#b", False),
        (USER_ID, "a*", False),
        (USER_ID, "a\n", False),
        (USER_ID, "\u00e9", False),
        (USER_ID, "a\u0660", False),
        (REQUEST_ID, "!", True),
        (REQUEST_ID, "~" * 256, True),
        (REQUEST_ID, "~" * 257, False),
        (REQUEST_ID, "", False),
        (REQUEST_ID, "a b", False),
        (REQUEST_ID, "a\x7f", False),
        (REQUEST_ID, "a\n", False),
        (REQUEST_ID, "\u00e9", False),
        (DELIVERY_ID, ID, True),
        (DELIVERY_ID, ID.upper(), False),
        (DELIVERY_ID, ID[:-1], False),
        (DELIVERY_ID, f"{ID}0", False),
        (DELIVERY_ID, f"{ID}\n", False),
        (DELIVERY_ID, ID.replace("-", ""), False),
        (DELIVERY_ID, f"{{{ID}}}", False),
    ],
)
def test_a_name_fits_whole_or_not(pattern, text, fits):
    """Both sides of every bound of the contract."""
    assert bool(pattern.fullmatch(text)) is fits


def test_unstorable_is_what_a_queue_refuses():
    """No C0 control but tab, CR and LF, no lone surrogate, no U+FFFE, no U+FFFF."""
    refused = {number for number in range(0x11_0000) if UNSTORABLE.match(chr(number))}

    assert refused == {
        *(set(range(0x20)) - {0x09, 0x0A, 0x0D}),
        *range(0xD800, 0xE000),
        0xFFFE,
        0xFFFF,
    }
