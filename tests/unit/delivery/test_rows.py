"""IDs, places, shards and lifetimes of the rows of the deliveries table."""

from __future__ import annotations

import zlib
from dataclasses import FrozenInstanceError, replace

import pytest

from dispatcher.delivery import rows
from tests.rows import DELIVERY, FAILED, ID_1, MESSAGE_ID, NOW, SKIPPED, SUCCESS, message


@pytest.mark.parametrize(
    ("place", "digits"), [(0, "01"), (1, "02"), (6, "07"), (14, "0f"), (15, "10"), (254, "ff")]
)
def test_a_delivery_id_is_the_message_id_with_its_place(place, digits):
    """The last two hex digits are place + 1, and lead back to the place and the message."""
    delivery_id = rows.delivery_id(MESSAGE_ID, place)

    assert delivery_id == message().delivery_id(place) == MESSAGE_ID[:-2] + digits
    assert rows.place_of(delivery_id) == place
    assert rows.message_id_of(delivery_id) == MESSAGE_ID


def test_a_message_id_has_no_place():
    """The digits 00 name the whole message."""
    assert rows.place_of(MESSAGE_ID) == -1
    assert rows.message_id_of(MESSAGE_ID) == MESSAGE_ID


def test_messages_are_spread_over_32_shards():
    """The shard is the CRC-32 of the message ID modulo 32."""
    ids = [f"{MESSAGE_ID[:-4]}{number:02x}00" for number in range(256)]

    assert [rows.shard_of(one) for one in ids] == [zlib.crc32(one.encode()) % 32 for one in ids]
    assert {rows.shard_of(one) for one in ids} == set(range(32))


@pytest.mark.parametrize(
    ("ttl", "live"), [(None, True), (NOW + 0.001, True), (NOW, True), (NOW - 0.001, False)]
)
def test_a_row_lives_until_its_ttl_is_over(ttl, live):
    """An expired row counts as deleted, whether or not DynamoDB has deleted it."""
    assert rows.is_live(ttl, NOW) is live


@pytest.mark.parametrize(
    ("delivery", "pending"),
    [(DELIVERY, True), (SUCCESS, False), (FAILED, False), (SKIPPED, False)],
)
def test_only_pending_is_not_final(delivery, pending):
    """All other statuses are final until a new round begins."""
    assert delivery.is_pending is pending


def test_a_row_is_a_value():
    """A row cannot be changed, only replaced."""
    row = message()

    with pytest.raises(FrozenInstanceError):
        row.rings = 1  # type: ignore[misc]  # a frozen row is what the test is about

    assert replace(row, rings=0) == row
    assert replace(row, rings=1) != row
    assert row.delivery_id(0) == ID_1
