"""Random histories, and the check that their pages equal slices of a flat list of deliveries.

The same check runs over the table in memory and over DynamoDB.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from dispatcher.delivery.rows import Delivery, MessageRow, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dispatcher.messages.history import History

NOW = 1_800_000_000.0
"""The time at which histories are read."""

TTLS = (None, None, int(NOW) - 1, int(NOW), int(NOW) + 1)
"""Most rows have no ``ttl``; an expired one may still be stored."""


@dataclass(frozen=True)
class Reading:
    """The rows of one user, oldest first, and how they are read."""

    rows: tuple[MessageRow, ...]
    limit: int
    offset: int
    cursor: str
    """The ID of any place in time, whether or not there is such a delivery."""
    longest_query: int
    """Message rows that one query returns at most, as if they were large."""

    @property
    def flat(self) -> list[tuple[str, str]]:
        """Return ID and status of every delivery, newest first, without expired ones."""
        return [
            (row.delivery_id(place), row.deliveries[place].status)
            for row in reversed(self.rows)
            if row.ttl is None or row.ttl >= NOW
            for place in reversed(range(len(row.deliveries)))
        ]

    def of_user(self, user_id: str) -> Reading:
        """Return the same history of another user."""
        return replace(self, rows=tuple(replace(row, user_id=user_id) for row in self.rows))


def message_row(number: int, *statuses: str, user_id: str = "ada", **fields: object) -> MessageRow:
    """Return the message row with a number: a higher one is newer."""
    deliveries = tuple(
        Delivery(
            type="TEST",
            status=Status(status),
            priority=5,
            max_attempts=2,
            retry_delay_seconds=10,
            due_at=NOW,
        )
        for status in statuses or ("pending",)
    )
    of_all = {
        "user_id": user_id,
        "message_id": message_id(number),
        "rev": number.to_bytes(8, "big"),
        "request_id": f"r-{number}",
        "session_id": None,
        "subject": None,
        "mode": "all",
        "forced": False,
        "created_at": NOW - 1000 + number,
        "expires_at": None,
        "keep_until": NOW + 86_400,
        "deliveries": deliveries,
    }
    return MessageRow(**{**of_all, **fields})


def message_id(number: int) -> str:
    """Return the ID of the message with a number."""
    return f"01a3185c-0000-7000-8000-{number:010x}00"


@st.composite
def readings(draw: st.DrawFn, most_rows: int) -> Reading:
    """Draw a history and a way to read it."""
    statuses = st.lists(st.sampled_from(["success", "failed"]), min_size=1, max_size=7)
    drawn = draw(st.lists(st.tuples(statuses, st.sampled_from(TTLS)), max_size=most_rows))
    rows = tuple(
        message_row(number, *statuses, ttl=ttl)
        for number, (statuses, ttl) in zip(count(1), drawn, strict=False)
    )
    message, place = draw(st.integers(0, len(rows) + 1)), draw(st.integers(0, 8))
    return Reading(
        rows,
        limit=draw(st.sampled_from([1, 2, 3, 5, 50])),
        offset=draw(st.sampled_from([0, 0, 1, 3, 20, 200])),
        cursor=f"{message_id(message)[:-2]}{place:02x}",
        longest_query=draw(st.sampled_from([1, 2, 1000])),
    )


def check_pages(history: History, reading: Reading, user_id: str = "ada") -> None:
    """Check that pages by offset, by cursor and with a filter are slices of the flat list."""
    ids = [name for name, _ in reading.flat]
    limit, offset = reading.limit, reading.offset
    pages = [*_pages(history, user_id, limit=str(limit), offset=str(offset))]
    assert pages[0] == ids[offset : offset + limit]
    assert [name for page in pages for name in page] == ids[offset:]
    # Only the last page may be short, and none is empty but the only one.
    assert all(len(page) == limit for page in pages[:-1])
    assert len(pages) == max(1, -(-len(ids[offset:]) // limit))
    below = [name for name in ids if name < reading.cursor]
    pages = [*_pages(history, user_id, limit=str(limit), cursor=reading.cursor)]
    assert [name for page in pages for name in page] == below
    assert all(len(page) == limit for page in pages[:-1])
    pages = [*_pages(history, user_id, limit=str(limit), status="failed")]
    failed = [name for name, status in reading.flat if status == "failed"]
    assert [name for page in pages for name in page] == failed
    assert all(len(page) <= limit for page in pages)


def _pages(history: History, user_id: str, **params: str) -> Iterator[list[str]]:
    """Yield the IDs of each page, following the cursors."""
    while True:
        page = history.page(user_id, params)
        yield [delivery["delivery_id"] for delivery in page["deliveries"]]
        if page["next_cursor"] is None:
            return
        params.pop("offset", None)
        params["cursor"] = page["next_cursor"]
