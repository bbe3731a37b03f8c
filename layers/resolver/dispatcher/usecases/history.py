"""Shows what was delivered.

Pages of a user's deliveries, newest first, and one delivery with its attempts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dispatcher.delivery import DELIVERY, Delivery, Status, kept
from dispatcher.errors import Flaw, InvalidInputError, NotFoundError
from dispatcher.identifiers import DELIVERY_ID, REQUEST_ID
from dispatcher.integrations import catalogue
from dispatcher.protocol import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatcher.ports import Clock, Deliveries

LIMITS = {"limit": (1, 200, 50), "offset": (0, 10_000, 0)}
"""Lowest, highest and default value."""

PARAMETERS = ("limit", "offset", "cursor", "status", "integration_type", "request_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Reads the delivery log of one user at a time."""

    deliveries: Deliveries
    clock: Clock

    def page(self, user_id: str, params: Mapping[str, str]) -> dict[str, Any]:
        """Return a page, by ``cursor`` or by ``offset``; ``params`` are the query's, as text."""
        flaws = [
            Flaw(
                f"/{name}", f"is not a known parameter; the known ones are {', '.join(PARAMETERS)}"
            )
            for name in params
            if name not in PARAMETERS
        ]
        if "cursor" in params and "offset" in params:
            flaws.append(Flaw("/offset", "cannot be combined with cursor: give one of them"))
        if flaws:
            raise InvalidInputError(*flaws)
        limit, offset = _number(params, "limit"), _number(params, "offset")
        filters = _filters(params)
        after = _sort_key(user_id, params["cursor"]) if "cursor" in params else None
        if offset:
            after = self.deliveries.skip(user_id, DELIVERY, offset)
            if after is None:
                return _answer(user_id, [], limit, offset, None)
        page = self.deliveries.listing(
            user_id,
            DELIVERY,
            limit=limit,
            newest_first=True,
            after=after,
            equal=filters,
            without=("attempt_log",),
            now=self.clock.now(),
        )
        return _answer(
            user_id, [Delivery.of(row).as_json() for row in page.rows], limit, offset, page.after
        )

    def detail(self, user_id: str, delivery_id: str) -> dict[str, Any]:
        """Return one delivery with its attempts."""
        item = self.deliveries.get(key_of(user_id, delivery_id))
        if item is None or not kept(item, self.clock.now()):
            raise NotFoundError(f"user {user_id} has no delivery {delivery_id}")
        return Delivery.of(item).as_json(with_log=True)


def _answer(
    user_id: str, rows: list[dict[str, Any]], limit: int, offset: int, after: str | None
) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "deliveries": rows,
        "limit": limit,
        "offset": offset,
        "next_cursor": None if after is None else _cursor(user_id, after),
    }


def _number(params: Mapping[str, str], name: str) -> int:
    low, high, default = LIMITS[name]
    text = params.get(name, str(default))
    # isascii first: isdigit alone takes digits of every script, and int() takes "+5" and "1_0".
    if not (
        text.isascii()
        and text.isdigit()
        and len(text) <= len(str(high))
        and low <= int(text) <= high
    ):
        hint = ": page on with cursor" if name == "offset" else ""
        raise InvalidInputError(
            Flaw(f"/{name}", f"must be a whole number from {low} to {high}{hint}")
        )
    return int(text)


def _filters(params: Mapping[str, str]) -> dict[str, str]:
    filters = {}
    if "status" in params:
        if params["status"] not in list(Status):
            raise InvalidInputError(Flaw("/status", f"must be one of {', '.join(Status)}"))
        filters["status"] = params["status"]
    if "integration_type" in params:
        name = params["integration_type"].upper()
        # isascii: upper() maps a few foreign letters onto ASCII ones.
        if not params["integration_type"].isascii() or name not in catalogue():
            raise InvalidInputError(
                Flaw("/integration_type", f"must be one of {', '.join(catalogue())}")
            )
        filters["integration_type"] = name
    if "request_id" in params:
        if not REQUEST_ID.fullmatch(params["request_id"]):
            raise InvalidInputError(Flaw("/request_id", "must be 1-256 visible ASCII characters"))
        filters["request_id"] = params["request_id"]
    return filters


def _cursor(user_id: str, sort_key: str) -> str:
    """Name a place in one user's history.

    The delivery's id and a digest that binds it to the user.
    """
    delivery_id = sort_key.removeprefix(DELIVERY)
    return base64.urlsafe_b64encode(
        bytes.fromhex(delivery_id.replace("-", "")) + _digest(user_id, delivery_id)
    ).decode()


def _sort_key(user_id: str, cursor: str) -> str:
    try:
        raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raw = b""
    digits = raw[:16].hex()
    delivery_id = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    if not DELIVERY_ID.fullmatch(delivery_id) or raw[16:] != _digest(user_id, delivery_id):
        raise InvalidInputError(
            Flaw("/cursor", "is not one that this user's history gave out: start again without it")
        )
    return DELIVERY + delivery_id


def _digest(user_id: str, delivery_id: str) -> bytes:
    return hashlib.sha256(f"{user_id}\n{delivery_id}".encode()).digest()[:8]
