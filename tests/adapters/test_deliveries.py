"""One contract suite for the stores in DynamoDB and those in memory.

It keeps the fakes true: what a test of behavior learns from them holds for the real table.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings

from channels.mailbox import TTL
from channels.mailbox import Mailbox as MailboxChannel
from dispatcher.adapters.dynamodb import DeliveryTable
from dispatcher.adapters.items import message_item, request_item
from dispatcher.adapters.overrides import OverrideTable
from dispatcher.configuration.rows import Override, UserOverrides
from dispatcher.delivery.ports import VisitRead
from dispatcher.delivery.rows import (
    LogEntry,
    MailboxRow,
    PlannedDelivery,
    RequestRow,
    SkippedType,
    shard_of,
)
from dispatcher.errors import UnavailableError
from dispatcher.integrations.integration import Address, Recipient
from dispatcher.messages.history import History
from dispatcher.messages.ports import HistoryPage, MessageCount
from tests.adapters.channels.contract import message_for
from tests.fakes import FakeClock, MemoryOverrides, MemoryTable
from tests.histories import NOW, Reading, check_pages, message_id, message_row, readings

if TYPE_CHECKING:
    from collections.abc import Callable

EMAIL = Override({"enabled": False}, created_at=NOW, updated_at=NOW)
REV, OTHER_REV = b"\x00" * 8, b"\xff" * 8


@dataclass
class Stores:
    """One implementation of the stores, and what else a test needs of it."""

    table: MemoryTable | DeliveryTable
    overrides: MemoryOverrides | OverrideTable
    remove: Callable[[str, str], object]
    """Deletes a row by user and sort key, as DynamoDB deletes an expired one."""
    deliver: Callable[[MailboxRow], object]
    """Puts a message into a mailbox, as its channel does."""


def in_memory() -> Stores:
    """Return the fakes."""
    overrides = MemoryOverrides()
    table = MemoryTable(overrides)
    return Stores(
        table, overrides, remove=lambda user, sk: table.rows.pop((user, sk)), deliver=table.put
    )


def in_dynamodb(client: Any) -> Stores:
    """Return the adapters over DynamoDB."""

    def deliver(row: MailboxRow) -> None:
        message = message_for(
            row.integration_type,
            Address("mailbox", row.user_id),
            user_id=row.user_id,
            delivery_id=row.message_id,
            request_id=row.request_id,
            session_id=row.session_id,
            agent_id=row.agent_id,
            subject=row.subject,
            content=row.content,
            attempted_at=row.created_at,
        )
        MailboxChannel(client, "DeliveriesTable").put(message)

    return Stores(
        DeliveryTable(client, "DeliveriesTable", "OverridesTable"),
        OverrideTable(client, "OverridesTable"),
        remove=lambda user, sk: client.delete_item(
            TableName="DeliveriesTable", Key={"user_id": {"S": user}, "sk": {"S": sk}}
        ),
        deliver=deliver,
    )


@pytest.fixture(params=["memory", "dynamodb"])
def stores(request):
    """Both implementations of the stores."""
    if request.param == "memory":
        return in_memory()
    return in_dynamodb(request.getfixturevalue("dynamodb"))


@pytest.fixture
def table(stores):
    """Both implementations of the deliveries table."""
    return stores.table


def request_row(name: str = "r-1", **fields: Any) -> RequestRow:
    """Return a request of the user ``ada`` with every field set."""
    of_all = {
        "user_id": "ada",
        "request_id": name,
        "message_id": message_id(1),
        "fingerprint": bytes(range(32)),
        "ttl": int(NOW) + 86_400,
        "subject": "Rain",
        "content": "Take an umbrella \u2602",
        "agent_id": "a-1",
        "session_id": "s-1",
        "recipient": Recipient(email="ada@example.com"),
        "mode": "first_success",
        "forced": True,
        "created_at": NOW + 0.125,
        "due_at": NOW + 60.25,
        "expires_at": NOW + 3600,
        "deliveries": (
            PlannedDelivery(
                type="TEST", priority=5, max_attempts=2, retry_delay_seconds=10, extra={"new": 1}
            ),
        ),
        "skipped": (SkippedType(type="SMS", reason="no_address"),),
        "extra": {"digest": "news", "nested": [{"a": None}]},
    }
    return RequestRow(**{**of_all, **fields})


def mailbox_row(number: int, integration_type: str = "CLI", **fields: Any) -> MailboxRow:
    """Return a mailbox row of the user ``ada``."""
    created_at = fields.get("created_at", NOW + 0.125)
    of_all = {
        "user_id": "ada",
        "integration_type": integration_type,
        "message_id": message_id(number)[:-2] + "01",
        "request_id": f"r-{number}",
        "session_id": None,
        "agent_id": None,
        "subject": None,
        "content": f"message {number}",
        "created_at": created_at,
        "ttl": int(created_at) + TTL,
    }
    return MailboxRow(**{**of_all, **fields})


# Messages -----------------------------------------------------------------------------------------


def full_row(detail: str):
    """Return a message row with every field set."""
    row = message_row(
        1,
        "pending",
        "failed",
        session_id="s-1",
        subject="For \u00c5da",
        mode="first_success",
        forced=True,
        expires_at=NOW + 60.125,
        owner="token",
        lease_until=NOW + 60,
        current=0,
        last_owner="before",
        rings=3,
        sweep_at=NOW + 60.125,
        extra={"digest": "news"},
    )
    entry = LogEntry(
        number=1,
        round=2,
        started_at=NOW + 0.001,
        duration_ms=None,
        outcome="unknown",
        code=None,
        detail=detail,
        extra={"new": True},
    )
    first, second = row.deliveries
    first = replace(
        first,
        round=2,
        tries=2,
        unknown=1,
        attempts=1,
        opened_by="opener",
        first_attempt_at=NOW,
        last_attempt_at=NOW + 0.001,
        attempt_log=(entry, replace(entry, number=2, code="http_503", duration_ms=12)),
        extra={"newer": "key"},
    )
    second = replace(
        second,
        dead_letter_owed=True,
        delivered_at=NOW,
        error_code="http_404",
        error_message="no",
        metadata={"status": 202, "id": "x"},
    )
    return replace(row, deliveries=(first, second), ttl=None)


@pytest.mark.parametrize("detail", ["", "x" * 300], ids=["small", "large"])
def test_a_message_row_comes_back_as_it_was_written(table, detail):
    """Texts, numbers, times to the millisecond and unknown keys survive storage."""
    row = full_row(detail)

    table.create(row)

    assert table.message("ada", row.message_id) == row
    written = replace(row, rev=OTHER_REV, ttl=int(NOW), sweep_at=None)
    assert table.write(written, on=row.rev) == written
    assert table.message("ada", row.message_id) == written


def test_a_missing_message_is_none(table):
    """A message belongs to one user."""
    table.create(message_row(1))

    assert table.message("ada", message_id(2)) is None
    assert table.message("Ada", message_id(1)) is None


def test_creating_a_message_again_changes_nothing(table):
    """The row that exists stays, whatever happened to it."""
    row = message_row(1)
    table.create(row)
    written = table.write(replace(row, rev=OTHER_REV, rings=1), on=row.rev)

    table.create(replace(row, rev=REV))

    assert table.message("ada", row.message_id) == written


def test_a_write_on_the_rev_that_was_read_replaces_the_row(table):
    """The write returns the row as it is stored then."""
    row = message_row(1, sweep_at=NOW)
    table.create(row)
    successor = replace(row, rev=OTHER_REV, owner="me", lease_until=NOW + 60, sweep_at=NOW + 60)

    assert table.write(successor, on=row.rev) == successor
    assert table.message("ada", row.message_id) == successor


def test_a_write_on_another_rev_is_refused(table):
    """The write returns the row that refused it, and changes nothing."""
    row = message_row(1)
    table.create(row)
    stored = table.write(replace(row, rev=OTHER_REV, owner="first"), on=row.rev)

    refused = table.write(replace(row, rev=REV, owner="second"), on=row.rev)

    assert refused == stored
    assert table.message("ada", row.message_id) == stored


def test_a_write_that_is_repeated_finds_its_own_rev(table):
    """Its response was lost: the refusal shows the row that this very write made."""
    row = message_row(1)
    table.create(row)
    successor = replace(row, rev=OTHER_REV, owner="me")
    table.write(successor, on=row.rev)

    assert table.write(successor, on=row.rev) == successor


def test_a_message_that_is_gone_is_never_written_again(stores):
    """DynamoDB deleted the expired row: the write returns ``None`` and makes no new row."""
    row = message_row(1)
    stores.table.create(row)
    stores.remove("ada", f"MESSAGE#{row.message_id}")

    assert stores.table.write(replace(row, rev=OTHER_REV), on=row.rev) is None
    assert stores.table.message("ada", row.message_id) is None
    assert stores.table.history("ada", limit=5, newest=None, after=None) == HistoryPage((), None)


# Visits -------------------------------------------------------------------------------------------


def test_a_visit_reads_message_request_and_overrides(stores):
    """One read gives all three, of this user alone."""
    row, request = message_row(1), request_row()
    stores.table.create(row)
    stores.table.create(message_row(2))
    stores.table.put_request(request, now=NOW)
    stores.overrides.create("ada", "EMAIL", EMAIL, now=NOW, token="t")
    overrides = stores.overrides.get("ada")

    visits = [
        stores.table.visit("ada", row.message_id, "r-1"),
        stores.table.visit("ada", row.message_id, None),
        stores.table.visit("ada", message_id(3), "r-2"),
        stores.table.visit("bob", row.message_id, "r-1"),
    ]

    assert overrides.by_type == {"EMAIL": EMAIL}
    assert visits == [
        VisitRead(row, request, overrides),
        VisitRead(row, None, overrides),
        VisitRead(None, None, overrides),
        VisitRead(None, None, UserOverrides()),
    ]


# Overdue messages ---------------------------------------------------------------------------------


def in_shard(shard: int, count: int) -> list[int]:
    """Return the numbers of messages that belong to a shard."""
    numbers = (number for number in itertools.count(1) if shard_of(message_id(number)) == shard)
    return [*itertools.islice(numbers, count)]


def test_overdue_messages_come_oldest_first(table):
    """Rows of the shard whose ``sweep_at`` has come; rows without one are not in the index."""
    first, second, third, later, ended = in_shard(3, 5)
    (other,) = in_shard(4, 1)
    for number, sweep_at in (
        (first, NOW - 1),
        (second, NOW - 5.125),
        (third, NOW),
        (later, NOW + 0.001),
        (ended, None),
        (other, NOW - 9),
    ):
        table.create(message_row(number, sweep_at=sweep_at, user_id=f"user-{number}"))

    overdue = [*table.overdue(3, NOW)]

    assert overdue == [(f"user-{number}", message_id(number)) for number in (second, first, third)]
    assert [*table.overdue(5, NOW)] == []


def test_pending_messages_of_a_user_come_newest_first(table):
    """Only rows that the sweeper reads are pending; other users are left out."""
    for number, fields in {
        1: {"sweep_at": NOW},
        2: {"sweep_at": None, "ttl": int(NOW)},
        3: {"sweep_at": NOW + 5},
        4: {"sweep_at": NOW, "user_id": "grace"},
    }.items():
        table.create(message_row(number, **{"user_id": "ada", **fields}))

    rows, is_all = table.pending("ada", pages=4)

    assert [row.message_id for row in rows] == [message_id(3), message_id(1)]
    assert is_all
    assert table.pending("bob", pages=4) == ((), True)


@pytest.mark.parametrize(
    ("first", "last", "limit", "expected"),
    [
        ("", "~", 10, [1, 2, 3, 4, 5]),
        (message_id(2), message_id(4), 10, [2, 3, 4]),
        (message_id(2) + "~", message_id(4) + "~", 10, [3, 4]),
        (message_id(2), "~", 2, [2, 3]),
        (message_id(9), "~", 10, []),
    ],
)
def test_messages_between_two_ids_come_oldest_first(five, first, last, limit, expected):
    """Both ends belong to the range; a page that is full may name where it stopped."""
    rows, stopped = five.between("ada", first, last, limit=limit)

    assert [len(row.deliveries) for row in rows] == expected
    assert stopped == (rows[-1].message_id if limit == len(expected) else None)
    assert five.between("eve", first, last, limit=limit) == ((), None)


def test_a_written_row_moves_in_the_index(table):
    """A later ``sweep_at`` moves the row; without one it leaves the index, and may come back."""
    (number,) = in_shard(3, 1)
    row = message_row(number, sweep_at=NOW)
    table.create(row)
    found = []

    for count, sweep_at in enumerate((NOW + 60, None, NOW - 1)):
        written = replace(row, rev=bytes([count] * 8), sweep_at=sweep_at)
        row = table.write(written, on=row.rev)
        found.append(len([*table.overdue(3, NOW)]))

    assert found == [0, 0, 1]


# Requests -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["short", "x" * 2000], ids=["small", "large"])
def test_a_request_row_comes_back_as_it_was_put(table, content):
    """The put returns the row that is stored then."""
    row = request_row(content=content)

    assert table.put_request(row, now=NOW) == row
    assert table.request("ada", "r-1") == row


def test_a_request_row_with_the_least_comes_back(table):
    """Absent values are absent, not empty."""
    row = request_row(
        subject=None,
        agent_id=None,
        session_id=None,
        recipient=Recipient(),
        mode="all",
        forced=False,
        expires_at=None,
        deliveries=(),
        skipped=(),
        extra={},
    )

    table.put_request(row, now=NOW)

    assert table.request("ada", "r-1") == row


def test_a_missing_request_is_none(table):
    """A request belongs to one user; its name is compared as it is."""
    table.put_request(request_row(), now=NOW)

    assert table.request("ada", "R-1") is None
    assert table.request("bob", "r-1") is None


@pytest.mark.parametrize(("late", "is_taken_over"), [(-0.001, False), (0, False), (0.001, True)])
def test_a_request_keeps_its_name_until_its_ttl(table, late, is_taken_over):
    """After that another request takes the name over, even if the row is still stored."""
    first = request_row()
    second = request_row(message_id=message_id(2), content="Other", fingerprint=b"f" * 32)
    table.put_request(first, now=NOW)

    stored = table.put_request(second, now=first.ttl + late)

    assert stored == (second if is_taken_over else first)
    assert table.request("ada", "r-1") == stored


def test_requests_of_other_names_and_users_are_put_beside(table):
    """A name is in the scope of its user."""
    rows = [request_row(), request_row("r-2"), request_row(user_id="bob")]

    assert [table.put_request(row, now=NOW) for row in rows] == rows
    assert [table.request(row.user_id, row.request_id) for row in rows] == rows


# History ------------------------------------------------------------------------------------------


def numbers(page: HistoryPage) -> list[int]:
    """Return the numbers of a page's messages."""
    return [int(row.message_id[-12:-2], 16) for row in page.rows]


@pytest.fixture
def five(stores):
    """A table with five messages of ``ada``, one of them expired, and other rows beside them."""
    for number in range(1, 6):
        ttl = int(NOW) - 1 if number == 3 else None
        stores.table.create(message_row(number, *["pending"] * number, ttl=ttl))
    stores.table.create(message_row(6, user_id="bob"))
    stores.table.put_request(request_row(), now=NOW)
    stores.deliver(mailbox_row(7))
    return stores.table


@pytest.mark.parametrize(
    ("newest", "after", "expected"),
    [
        (None, None, [5, 4, 3, 2, 1]),
        (3, None, [3, 2, 1]),
        (None, 3, [2, 1]),
        (5, 3, [2, 1]),
        (3, 3, [2, 1]),
        (9, None, [5, 4, 3, 2, 1]),
        (0, None, []),
        (None, 1, []),
        (None, 9, [5, 4, 3, 2, 1]),
    ],
)
def test_a_history_begins_where_it_is_told(five, newest, after, expected):
    """``newest`` is included, ``after`` is not; neither has to exist. Expired rows are included."""
    page = five.history(
        "ada",
        limit=10,
        newest=newest if newest is None else message_id(newest),
        after=after if after is None else message_id(after),
    )

    assert (numbers(page), page.last) == (expected, None)
    assert [len(row.deliveries) for row in page.rows] == expected


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_history_pages_follow_one_another(five, limit):
    """Each page continues after the last row of the one before, without gap or overlap."""
    found, after = [], None
    while True:
        page = five.history("ada", limit=limit, newest=None, after=after)
        assert len(page.rows) <= limit
        found += numbers(page)
        after = page.last
        if after is None:
            break
        assert after == page.rows[-1].message_id

    assert found == [5, 4, 3, 2, 1]


def test_counts_are_those_of_all_messages(five):
    """Newest first, with the ``ttl`` that tells an expired row."""
    assert [*five.counts("ada", limit=9)] == [
        MessageCount(message_id(number), number, int(NOW) - 1 if number == 3 else None)
        for number in (5, 4, 3, 2, 1)
    ]
    assert [*five.counts("eve", limit=9)] == []


# Mailboxes ----------------------------------------------------------------------------------------


def box(table, **query: Any) -> tuple[list[int], str | None]:
    """Return the numbers of a mailbox page, and where it continues."""
    whole = {"integration_type": "CLI", "limit": 10, "after": None, "now": NOW, **query}
    page = table.mailbox("ada", **whole)
    return [int(row.content.split()[1]) for row in page.rows], page.after


def test_a_mailbox_row_comes_back_as_its_channel_wrote_it(stores):
    """The channel writes the attributes that the mailbox reads."""
    rows = [
        mailbox_row(1, session_id="s-1", agent_id="weather", subject="Rain"),
        mailbox_row(2),
    ]
    for row in rows:
        stores.deliver(row)

    assert [*stores.table.mailbox("ada", "CLI", limit=5, after=None, now=NOW).rows] == rows


def test_a_mailbox_is_read_page_by_page_oldest_first(stores):
    """A full last page has nothing after it."""
    for number in (3, 1, 4, 2):
        stores.deliver(mailbox_row(number))
    stores.deliver(mailbox_row(5, "TEST"))
    stores.deliver(mailbox_row(6, user_id="bob"))
    second = mailbox_row(2).message_id

    assert box(stores.table, limit=2) == ([1, 2], second)
    assert box(stores.table, limit=2, after=second) == ([3, 4], None)
    assert box(stores.table, limit=4) == ([1, 2, 3, 4], None)
    assert box(stores.table, limit=4, after=mailbox_row(4).message_id) == ([], None)
    assert box(stores.table, integration_type="TEST") == ([5], None)


def test_expired_messages_leave_no_gap_in_a_page(stores):
    """A page is full however many expired rows lie between its messages."""
    for number in range(1, 10):
        created_at = NOW if number % 4 == 1 else NOW - 1000
        stores.deliver(mailbox_row(number, created_at=created_at))
    now = int(NOW) + TTL

    assert box(stores.table, limit=2, now=now) == ([1, 5], mailbox_row(5).message_id)
    assert box(stores.table, limit=2, now=now, after=mailbox_row(5).message_id) == ([9], None)
    assert box(stores.table, now=now + 1) == ([], None)


def test_removing_a_message_returns_it(stores):
    """The second removal finds none; other mailboxes keep theirs."""
    row = mailbox_row(1)
    stores.deliver(row)
    stores.deliver(mailbox_row(1, "TEST"))

    removed = [stores.table.remove_from_mailbox("ada", "CLI", row.message_id) for _ in range(2)]

    assert removed == [row, None]
    assert stores.table.remove_from_mailbox("bob", "TEST", row.message_id) is None
    assert box(stores.table) == ([], None)
    assert box(stores.table, integration_type="TEST") == ([1], None)


# The real table -----------------------------------------------------------------------------------


@pytest.fixture
def real(dynamodb):
    """The adapter over DynamoDB."""
    return DeliveryTable(dynamodb, "DeliveriesTable", "OverridesTable")


_users = itertools.count()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reading=readings(most_rows=12))
def test_pages_over_dynamodb_are_slices_of_a_flat_list(real, reading: Reading):
    """Key conditions, limits and last keys give exact pages. Each example is another user's."""
    user = f"user-{next(_users)}"
    for row in reading.of_user(user).rows:
        real.create(row)

    check_pages(History(store=real, clock=FakeClock(NOW)), reading, user)


def test_a_page_continues_where_a_query_ended_at_1_mb(real, asked):
    """Large rows make a query return fewer rows than asked for."""
    noise = random.Random(1)
    rows = [
        message_row(number, extra={"noise": noise.randbytes(150_000).hex()})
        for number in range(1, 12)
    ]
    for row in rows:
        real.create(row)
    asked.clear()

    page = History(store=real, clock=FakeClock(NOW)).page("ada", {})

    assert [one["delivery_id"] for one in page["deliveries"]] == [
        row.delivery_id(0) for row in reversed(rows)
    ]
    assert page["next_cursor"] is None
    assert len(asked) > 1


def test_pending_messages_are_read_in_so_many_pages_of_1_mb(real, asked):
    """A page ends at 1 MB, whatever the filter leaves of it; then the rest is not known."""
    noise = random.Random(1)
    for number in range(1, 9):
        extra = {"noise": noise.randbytes(150_000).hex()}
        real.create(message_row(number, user_id="ada", sweep_at=NOW, extra=extra))

    first, is_all = real.pending("ada", pages=1)
    everything = real.pending("ada", pages=4)

    assert 0 < len(first) < 8
    assert not is_all
    assert [row.message_id for row in everything[0]] == [*map(message_id, range(8, 0, -1))]
    assert everything[1]


def test_counting_continues_where_a_query_ended(five):
    """A query counts at most so many rows as are asked for."""
    assert [*five.counts("ada", limit=2)] == [*five.counts("ada", limit=9)]


def test_a_page_reads_no_row_behind_it(real, dynamodb):
    """A page costs its own rows and one more; only an offset also costs the rows that it skips."""
    for number in range(1, 12):
        real.create(message_row(number))
    read = []
    dynamodb.meta.events.register(
        "after-call.dynamodb.Query", lambda parsed, **_: read.append(parsed["ScannedCount"])
    )
    history = History(store=real, clock=FakeClock(NOW))

    skipped = history.page("ada", {"offset": "3", "limit": "2"})
    first = history.page("ada", {"limit": "2"})
    second = history.page("ada", {"cursor": first["next_cursor"], "limit": "2"})

    for page, numbers in ((skipped, (8, 7)), (first, (11, 10)), (second, (9, 8))):
        assert [one["delivery_id"] for one in page["deliveries"]] == [
            message_row(number).delivery_id(0) for number in numbers
        ]
    assert read == [3, 2 + 1, 2 + 1, 2 + 1]


@pytest.mark.parametrize(("subject", "kind"), [("x", "S"), ("x" * 998, "B")])
def test_a_small_body_is_text_and_a_large_one_is_compressed(real, dynamodb, subject, kind):
    """A row that can be read in the console costs no write unit more."""
    real.create(message_row(1, subject=subject))

    [item] = dynamodb.scan(TableName="DeliveriesTable")["Items"]

    assert set(item) == {"user_id", "sk", "rev", "n", "sweep_shard", "body"}
    assert [*item["body"]] == [kind]


def test_the_sweep_index_holds_keys_alone(real, dynamodb):
    """The sweeper reads the row itself, consistently."""
    real.create(message_row(1, sweep_at=NOW))

    [item] = dynamodb.scan(TableName="DeliveriesTable", IndexName="sweep")["Items"]

    assert item == {
        "user_id": {"S": "ada"},
        "sk": {"S": f"MESSAGE#{message_id(1)}"},
        "sweep_shard": {"S": str(shard_of(message_id(1)))},
        "sweep_at": {"N": "1800000000.0"},
    }


def test_rows_are_read_consistently(real, asked):
    """A read that lags would miss a row that was just written; moto never lags.

    Only the index cannot be read consistently.
    """
    real.message("ada", message_id(1))
    real.request("ada", "r-1")
    real.visit("ada", message_id(1), "r-1")
    real.history("ada", limit=1, newest=None, after=None)
    [*real.counts("ada", limit=1)]
    real.pending("ada", pages=1)
    real.mailbox("ada", "CLI", limit=1, after=None, now=NOW)
    [*real.overdue(1, NOW)]

    of_batch = asked[2][1].pop("RequestItems")
    assert [table["ConsistentRead"] for table in of_batch.values()] == [True, True]
    assert [(name, one.get("ConsistentRead")) for name, one in asked] == [
        ("GetItem", True),
        ("GetItem", True),
        ("BatchGetItem", None),
        ("Query", True),
        ("Query", True),
        ("Query", True),
        ("Query", True),
        ("Query", None),
    ]


def test_every_write_of_a_row_has_its_condition(real, asked):
    """``rev`` is the only condition on a row that exists; a refusal returns the row."""
    row = message_row(1)
    real.put_request(request_row(), now=NOW)
    real.create(row)
    real.write(replace(row, rev=OTHER_REV), on=row.rev)

    conditions = [
        (name, one["ConditionExpression"], one["ReturnValuesOnConditionCheckFailure"])
        for name, one in asked
    ]
    assert conditions == [
        ("PutItem", "attribute_not_exists(#sk) OR #ttl < :now", "ALL_OLD"),
        ("PutItem", "attribute_not_exists(#sk)", "ALL_OLD"),
        ("UpdateItem", "#rev = :on", "ALL_OLD"),
    ]


# Faults of the real table -------------------------------------------------------------------------


@pytest.fixture
def stubbed(dynamodb):
    """The real adapter over a client with scripted responses, and the pauses that it made."""
    pauses: list[float] = []
    table = DeliveryTable(dynamodb, "DeliveriesTable", "OverridesTable", pause=pauses.append)
    with Stubber(dynamodb) as stubber:
        yield table, stubber, pauses


ROW, REQUEST = message_row(1), request_row()
KEYS = {
    "DeliveriesTable": {
        "Keys": [
            {"user_id": {"S": "ada"}, "sk": {"S": f"MESSAGE#{ROW.message_id}"}},
            {"user_id": {"S": "ada"}, "sk": {"S": "REQUEST#r-1"}},
        ],
        "ConsistentRead": True,
    },
    "OverridesTable": {"Keys": [{"user_id": {"S": "ada"}}], "ConsistentRead": True},
}


def test_keys_that_were_not_processed_are_requested_again(stubbed):
    """DynamoDB may return a part of a batch; that part is kept."""
    table, stubber, pauses = stubbed
    message, _ = KEYS["DeliveriesTable"]["Keys"]
    rest = {**KEYS, "DeliveriesTable": {"Keys": [message], "ConsistentRead": True}}
    last = {"DeliveriesTable": rest["DeliveriesTable"]}
    for keys, items, unprocessed in (
        (KEYS, {"DeliveriesTable": [request_item(REQUEST)]}, rest),
        (rest, {"DeliveriesTable": [], "OverridesTable": []}, last),
        (last, {"DeliveriesTable": [message_item(ROW)]}, {}),
    ):
        stubber.add_response(
            "batch_get_item",
            {"Responses": items, "UnprocessedKeys": unprocessed},
            {"RequestItems": keys},
        )

    assert table.visit("ada", ROW.message_id, "r-1") == VisitRead(ROW, REQUEST, UserOverrides())
    stubber.assert_no_pending_responses()
    assert pauses == [0.05, 0.1]


def test_keys_that_are_never_processed_make_the_read_fail(stubbed):
    """Half a read is a failed read: a missing request would look like expired content."""
    table, stubber, pauses = stubbed
    for _ in range(4):
        stubber.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": KEYS})

    with pytest.raises(UnavailableError, match="left keys unprocessed"):
        table.visit("ada", ROW.message_id, "r-1")

    assert len(pauses) <= 4


def test_all_pages_of_the_index_are_read(stubbed):
    """Each page is asked for only when the one before was handled."""
    table, stubber, _ = stubbed
    key = {
        "user_id": {"S": "ada"},
        "sk": {"S": f"MESSAGE#{message_id(1)}"},
        "sweep_shard": {"S": "3"},
        "sweep_at": {"N": "1800000000"},
    }
    query = {
        "TableName": "DeliveriesTable",
        "IndexName": "sweep",
        "KeyConditionExpression": "#shard = :shard AND #at <= :now",
        "ExpressionAttributeNames": {"#shard": "sweep_shard", "#at": "sweep_at"},
        "ExpressionAttributeValues": {":shard": {"S": "3"}, ":now": {"N": "1800000000.125"}},
    }
    stubber.add_response("query", {"Items": [key], "LastEvaluatedKey": key}, query)
    overdue = table.overdue(3, NOW + 0.125)

    assert next(overdue) == ("ada", message_id(1))
    stubber.assert_no_pending_responses()
    last = {**key, "sk": {"S": f"MESSAGE#{message_id(2)}"}}
    stubber.add_response("query", {"Items": [last]}, {**query, "ExclusiveStartKey": key})
    assert [*overdue] == [("ada", message_id(2))]


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("get_item", lambda table: table.message("ada", message_id(1))),
        ("get_item", lambda table: table.request("ada", "r-1")),
        ("batch_get_item", lambda table: table.visit("ada", message_id(1), "r-1")),
        ("put_item", lambda table: table.create(ROW)),
        ("put_item", lambda table: table.put_request(REQUEST, now=NOW)),
        ("update_item", lambda table: table.write(ROW, on=REV)),
        ("query", lambda table: [*table.overdue(1, NOW)]),
        ("query", lambda table: table.history("ada", limit=1, newest=None, after=None)),
        ("query", lambda table: [*table.counts("ada", limit=1)]),
        ("query", lambda table: table.pending("ada", pages=1)),
        ("query", lambda table: table.mailbox("ada", "CLI", limit=1, after=None, now=NOW)),
        ("delete_item", lambda table: table.remove_from_mailbox("ada", "CLI", message_id(1))),
    ],
)
def test_an_aws_error_is_unavailability(stubbed, method, call):
    """The error names operation and code; AWS's own error is the cause."""
    table, stubber, _ = stubbed
    stubber.add_client_error(method, "AccessDeniedException")

    with pytest.raises(UnavailableError, match="failed: AccessDeniedException") as raised:
        call(table)

    assert isinstance(raised.value.__cause__, ClientError)
