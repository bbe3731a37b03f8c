"""The delivery history: pages of a user's deliveries, newest first, and single deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher import paging
from dispatcher.delivery.describe import delivery_detail, delivery_response
from dispatcher.delivery.rows import (
    Status,
    delivery_id,
    is_live,
    message_id_of,
    place_of,
)
from dispatcher.errors import FieldError, InvalidInputError, NotFoundError
from dispatcher.identifiers import REQUEST_ID, REQUEST_ID_RULE
from dispatcher.integrations import read_type
from dispatcher.ranges import Range

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dispatcher.delivery.ports import Clock
    from dispatcher.delivery.rows import Delivery, MessageRow
    from dispatcher.messages.ports import HistoryStore
    from dispatcher.responses import (
        DeliveryDetailResponse,
        DeliveryResponse,
        ListDeliveriesResponse,
    )

OFFSET = paging.Parameter("offset", Range(0, 10_000), 0)
"""Deliveries to skip; each costs as much as a read of its message."""

PARAMETERS = ("limit", "offset", "cursor", "status", "integration_type", "request_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Reads the deliveries of one user at a time.

    Messages come newest first, and within a message the last place first, so delivery IDs descend:
    a cursor is the ID of the last delivery of a page.
    """

    store: HistoryStore
    clock: Clock

    def page(self, user_id: str, params: Mapping[str, str]) -> ListDeliveriesResponse:
        """Return a page, by ``cursor`` or by ``offset``; ``params`` are the query's, as text."""
        errors = paging.unknown(params, PARAMETERS)
        if "cursor" in params and "offset" in params:
            errors.append(FieldError("/offset", "cannot be combined with cursor: give one of them"))
        if errors:
            raise InvalidInputError(*errors)
        limit = paging.number(params, paging.LIMIT)
        offset = paging.number(params, OFFSET, hint="; for further pages use cursor")
        below = paging.cursor(params, "cursor")
        matches = _filter(params)
        deliveries: list[DeliveryResponse] = []
        next_cursor: str | None = None
        if "request_id" in params:
            found = self._of_request(user_id, params["request_id"])
            flat = [*_flattened(found, below, matches)][offset:]
            deliveries = flat[:limit]
            next_cursor = deliveries[-1]["delivery_id"] if len(flat) > limit else None
        else:
            if offset:
                below = self._skip(user_id, offset)
            if not offset or below is not None:
                filtered = bool({"status", "integration_type"} & params.keys())
                deliveries, next_cursor = self._read(
                    user_id, limit, below, matches, one_query=filtered
                )
        return {
            "user_id": user_id,
            "deliveries": deliveries,
            "limit": limit,
            "offset": offset,
            "next_cursor": next_cursor,
        }

    def detail(self, user_id: str, name: str) -> DeliveryDetailResponse:
        """Return one delivery with its attempts."""
        row, place = self.store.message(user_id, message_id_of(name)), place_of(name)
        if row is None or not self._is_live(row) or not 0 <= place < len(row.deliveries):
            raise NotFoundError(f"User {user_id} has no delivery {name}.")
        return delivery_detail(row, place)

    def _read(
        self,
        user_id: str,
        limit: int,
        below: str | None,
        matches: Callable[[Delivery], bool],
        *,
        one_query: bool,
    ) -> tuple[list[DeliveryResponse], str | None]:
        """Return up to ``limit`` deliveries below a cursor, and the cursor of the next page.

        A page of ``one_query`` may be short and still have a cursor.
        """
        found: list[DeliveryResponse] = []
        newest = after = None
        if below is not None:
            # No delivery of the message is below its first place.
            message_id, inclusive = message_id_of(below), place_of(below) > 0
            newest, after = (message_id, None) if inclusive else (None, message_id)
        while True:
            # One more row than deliveries shows whether this is the last page.
            rows, after = self.store.history(user_id, limit=limit + 1, newest=newest, after=after)
            for row in filter(self._is_live, rows):
                for delivery in _flattened(row, below, matches):
                    if len(found) == limit:
                        return found, found[-1]["delivery_id"]
                    found.append(delivery)
            if after is None or one_query:
                return found, after

    def _skip(self, user_id: str, offset: int) -> str | None:
        """Return the ID of the delivery at an offset, counted from 1; ``None`` if all are fewer."""
        # A message has one delivery at least, so the first query suffices unless rows have expired.
        for message in self.store.counts(user_id, limit=offset):
            if not is_live(message.ttl, self.clock.now()):
                continue
            if offset <= message.deliveries:
                # Within a message the last place comes first.
                return delivery_id(message.message_id, message.deliveries - offset)
            offset -= message.deliveries
        return None

    def _of_request(self, user_id: str, request_id: str) -> MessageRow | None:
        request = self.store.request(user_id, request_id)
        if request is None or not is_live(request.ttl, self.clock.now()):
            return None
        row = self.store.message(user_id, request.message_id)
        return row if row and self._is_live(row) else None

    def _is_live(self, row: MessageRow) -> bool:
        return is_live(row.ttl, self.clock.now())


def _flattened(
    row: MessageRow | None, below: str | None, matches: Callable[[Delivery], bool]
) -> list[DeliveryResponse]:
    """Return the deliveries of a message below a cursor, the last place first."""
    if row is None:
        return []
    return [
        delivery_response(row, place)
        for place in reversed(range(len(row.deliveries)))
        if (below is None or row.delivery_id(place) < below) and matches(row.deliveries[place])
    ]


def _filter(params: Mapping[str, str]) -> Callable[[Delivery], bool]:
    status, name = params.get("status"), params.get("integration_type")
    integration_type: str | None = None
    if status is not None and status not in list(Status):
        raise InvalidInputError(FieldError("/status", f"must be one of {', '.join(Status)}"))
    if name is not None:
        try:
            integration_type = read_type(name)
        except ValueError as error:
            raise InvalidInputError(FieldError("/integration_type", str(error))) from None
    if "request_id" in params and not REQUEST_ID.fullmatch(params["request_id"]):
        raise InvalidInputError(FieldError("/request_id", REQUEST_ID_RULE))
    return lambda delivery: (
        status in {None, delivery.status} and integration_type in {None, delivery.type}
    )
