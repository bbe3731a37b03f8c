"""Pages of one user's rows: what a query may ask for, and the cursors that lead on."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING

from dispatcher.errors import FieldError, InvalidInputError
from dispatcher.identifiers import DELIVERY_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

Range = tuple[int, int, int]
"""Lowest, highest and default value."""

LIMIT: Range = (1, 200, 50)
"""Rows of a page."""


def unknown(params: Mapping[str, str], known: tuple[str, ...]) -> list[FieldError]:
    """Name the parameters that the query has no use for."""
    rule = f"is not a known parameter; the known ones are {', '.join(known)}"
    return [FieldError(f"/{name}", rule) for name in params if name not in known]


def number(params: Mapping[str, str], name: str, allowed: Range, hint: str = "") -> int:
    """Read a whole number within its range."""
    low, high, default = allowed
    text = params.get(name, str(default))
    # isascii first: isdigit alone takes digits of every script, and int() takes "+5" and "1_0".
    if not (
        text.isascii()
        and text.isdigit()
        and len(text) <= len(str(high))
        and low <= int(text) <= high
    ):
        rule = f"must be a whole number from {low} to {high}{hint}"
        raise InvalidInputError(FieldError(f"/{name}", rule))
    return int(text)


def cursor(user_id: str, sort_key: str) -> str:
    """Name a place among one user's rows: the id in its key, and a digest of user and key."""
    row_id = sort_key.rpartition("#")[2]
    raw = bytes.fromhex(row_id.replace("-", "")) + _digest(user_id, sort_key)
    return base64.urlsafe_b64encode(raw).decode()


def sort_key(user_id: str, prefix: str, params: Mapping[str, str], name: str) -> str | None:
    """Read the cursor that a parameter holds; one of another user or listing is none."""
    if name not in params:
        return None
    try:
        raw = base64.b64decode(params[name].encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raw = b""
    digits = raw[:16].hex()
    row_id = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    key = prefix + row_id
    if not DELIVERY_ID.fullmatch(row_id) or raw[16:] != _digest(user_id, key):
        rule = "is not one that this user's list gave out: start again without it"
        raise InvalidInputError(FieldError(f"/{name}", rule))
    return key


def _digest(user_id: str, sort_key: str) -> bytes:
    return hashlib.sha256(f"{user_id}\n{sort_key}".encode()).digest()[:8]
