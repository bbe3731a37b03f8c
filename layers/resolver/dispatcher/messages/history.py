"""Shows what was delivered.

Pages of a user's deliveries, newest first, and one delivery with its attempts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dispatcher import paging
from dispatcher.delivery.protocol import key_of
from dispatcher.delivery.rows import DELIVERY, Delivery, Status, kept
from dispatcher.errors import FieldError, InvalidInputError, NotFoundError
from dispatcher.identifiers import REQUEST_ID
from dispatcher.integrations import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dispatcher.delivery.ports import Clock, Deliveries

OFFSET: paging.Range = (0, 10_000, 0)
"""Rows to skip: each costs what reading it does."""

PARAMETERS = ("limit", "offset", "cursor", "status", "integration_type", "request_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Reads the delivery log of one user at a time."""

    deliveries: Deliveries
    clock: Clock

    def page(self, user_id: str, params: Mapping[str, str]) -> dict[str, Any]:
        """Return a page, by ``cursor`` or by ``offset``; ``params`` are the query's, as text."""
        field_errors = paging.unknown(params, PARAMETERS)
        if "cursor" in params and "offset" in params:
            field_errors.append(
                FieldError("/offset", "cannot be combined with cursor: give one of them")
            )
        if field_errors:
            raise InvalidInputError(*field_errors)
        limit = paging.number(params, "limit", paging.LIMIT)
        offset = paging.number(params, "offset", OFFSET, hint=": page on with cursor")
        filters = _filters(params)
        after = paging.sort_key(user_id, DELIVERY, params, "cursor")
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
        "next_cursor": None if after is None else paging.cursor(user_id, after),
    }


def _filters(params: Mapping[str, str]) -> dict[str, str]:
    filters = {}
    if "status" in params:
        if params["status"] not in list(Status):
            raise InvalidInputError(FieldError("/status", f"must be one of {', '.join(Status)}"))
        filters["status"] = params["status"]
    if "integration_type" in params:
        name = params["integration_type"].upper()
        # isascii: upper() maps a few foreign letters onto ASCII ones.
        if not params["integration_type"].isascii() or name not in catalogue():
            raise InvalidInputError(
                FieldError("/integration_type", f"must be one of {', '.join(catalogue())}")
            )
        filters["integration_type"] = name
    if "request_id" in params:
        if not REQUEST_ID.fullmatch(params["request_id"]):
            raise InvalidInputError(
                FieldError("/request_id", "must be 1-256 visible ASCII characters")
            )
        filters["request_id"] = params["request_id"]
    return filters
