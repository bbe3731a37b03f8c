"""One contract suite for the table in DynamoDB and the one in memory: the fake cannot lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from dispatcher.adapters.dynamodb import DeliveryTable
from dispatcher.delivery.protocol import (
    STILL_WAITS,
    WITHOUT_SUCCESS,
    Change,
    Clause,
    Put,
    Write,
    absent,
    claim,
    equals,
    give_back,
    key_of,
    present,
    release,
)
from dispatcher.delivery.rows import Delivery, Status
from dispatcher.errors import ConditionFailed, UnavailableError
from tests.fakes import FakeIdGenerator, MemoryDeliveries

if TYPE_CHECKING:
    from dispatcher.delivery.ports import Page

NOW = 1_800_000_000.125


@pytest.fixture(params=["memory", "dynamodb"])
def table(request):
    """Both implementations of the port."""
    if request.param == "memory":
        return MemoryDeliveries()
    client = request.getfixturevalue("dynamodb")
    return DeliveryTable(client, "DeliveriesTable", token=FakeIdGenerator().token)


def delivery(number: int, **fields) -> Delivery:
    """Make a pending delivery of the user ``ada``."""
    common = {
        "user_id": "ada",
        "delivery_id": f"00000000-0000-7000-8000-{number:012d}",
        "request_id": "r-1",
        "integration_type": "TEST",
        "status": Status.PENDING,
        "priority": 5,
        "max_attempts": 2,
        "retry_delay_seconds": 10,
        "created_at": NOW,
        "due_at": NOW,
        "fingerprint": "f",
        "sweep_shard": 3,
        "sweep_at": NOW + 60,
    }
    return Delivery(**{**common, **fields})


def put(table, *rows: Delivery) -> None:
    """Store rows as they are."""
    for row in rows:
        table.commit(
            [Write(key_of(row.user_id, row.delivery_id), Put(item=row.as_item(), when=()))]
        )


def test_a_row_comes_back_as_it_was_put(table):
    """Text, whole numbers, times to the millisecond, lists, mappings and flags survive storage."""
    row = delivery(
        1,
        session_id="s",
        first_attempt_at=NOW + 0.001,
        metadata={"status": 202, "id": "x"},
        attempt_log=({"number": 1, "started_at": NOW, "duration_ms": None, "code": None},),
        chain=("a", "b"),
        waits=True,
        forced=True,
    )

    put(table, row)

    assert Delivery.of(table.get(key_of("ada", row.delivery_id))) == row


def test_there_is_nothing_where_nothing_was_put(table):
    """A missing row is None."""
    found = table.get(("ada", "DELIVERY#x"))

    assert found is None


def test_a_change_returns_the_row_as_it_is_then(table):
    """Setting, adding and removing happen together."""
    row = delivery(1, tries=1, rings=3)
    put(table, row)

    changed = table.apply(key_of("ada", row.delivery_id), claim("mine", NOW + 5))

    assert Delivery.of(changed) == Delivery.of(table.get(key_of("ada", row.delivery_id)))
    assert Delivery.of(changed) == delivery(
        1, tries=2, owner="mine", lease_until=NOW + 65, sweep_at=NOW + 65
    )


def test_a_refused_change_shows_what_stood_in_the_way(table):
    """A second claim changes nothing and is given the row with its owner."""
    key = key_of("ada", delivery(1).delivery_id)
    put(table, delivery(1))
    claimed = table.apply(key, claim("first", NOW))

    with pytest.raises(ConditionFailed) as refused:
        table.apply(key, claim("second", NOW))

    assert refused.value.rows == {0: claimed}
    assert table.get(key) == claimed


def test_a_change_of_a_missing_row_is_refused_without_a_row(table):
    """Conditions on a row that is not there do not hold, and nothing is created."""
    key = ("ada", "DELIVERY#missing")

    with pytest.raises(ConditionFailed) as refused:
        table.apply(key, give_back("mine", NOW))

    assert refused.value.rows == {0: None}
    assert table.get(key) is None


@pytest.mark.parametrize(
    ("clause", "held"),
    [
        (equals("round", 1), True),
        (equals("round", 2), False),
        (equals("due_at", NOW), True),
        (absent("owner"), True),
        (absent("round"), False),
        (present("round"), True),
        (present("owner"), False),
        (Clause("at_most", "due_at", NOW), True),
        (Clause("at_most", "due_at", NOW - 0.001), False),
        (Clause("absent_or_above", "ttl", NOW), True),
        (Clause("absent_or_above", "due_at", NOW), False),
        (Clause("absent_or_above", "due_at", NOW - 0.001), True),
        (Clause("absent_or_below", "ttl", NOW), True),
        (Clause("absent_or_below", "due_at", NOW), False),
        (Clause("absent_or_below", "due_at", NOW + 0.001), True),
        (Clause("one_of", "status", (Status.FAILED, Status.PENDING)), True),
        (Clause("one_of", "status", (Status.FAILED, Status.SKIPPED)), False),
    ],
)
def test_each_clause_means_what_it_says(table, clause, held):
    """A change happens exactly when its clause holds."""
    key = key_of("ada", delivery(1).delivery_id)
    put(table, delivery(1))

    try:
        table.apply(key, Change(when=(clause,), set={"session_id": "seen"}))
        happened = True
    except ConditionFailed:
        happened = False

    assert (happened, table.get(key).get("session_id") == "seen") == (held, held)


def test_a_transaction_does_all_or_nothing(table):
    """One refused write undoes the others, and each refusal is named by its place."""
    first, second, third = delivery(1, waits=True), delivery(2), delivery(3, status=Status.SUCCESS)
    put(table, first, second, third)
    before = [table.get(key_of("ada", row.delivery_id)) for row in (first, second, third)]

    with pytest.raises(ConditionFailed) as refused:
        table.commit(
            [
                Write(key_of("ada", first.delivery_id), release(first, NOW)),
                Write(key_of("ada", second.delivery_id), release(second, NOW)),
                Write(key_of("ada", third.delivery_id), WITHOUT_SUCCESS),
            ]
        )

    assert refused.value.rows == {1: before[1], 2: before[2]}
    assert [table.get(key_of("ada", row.delivery_id)) for row in (first, second, third)] == before


def test_a_transaction_checks_puts_and_changes_together(table):
    """A check changes nothing, a put writes a whole row, a change its part."""
    put(table, delivery(1, waits=True), delivery(2, status=Status.FAILED))

    table.commit(
        [
            Write(
                key_of("ada", delivery(1).delivery_id), Change(when=STILL_WAITS, remove=("waits",))
            ),
            Write(key_of("ada", delivery(2).delivery_id), WITHOUT_SUCCESS),
            Write(key_of("ada", delivery(3).delivery_id), Put(item=delivery(3).as_item(), when=())),
        ]
    )

    rows = [Delivery.of(table.get(key_of("ada", delivery(n).delivery_id))) for n in (1, 2, 3)]
    assert rows == [delivery(1), delivery(2, status="failed"), delivery(3)]


def ids(page: Page) -> list[int]:
    """Return the numbers of a page's deliveries."""
    return [int(row["delivery_id"][-12:]) for row in page.rows]


def listing(table, **wanted) -> Page:
    """List deliveries of ``ada``, newest first unless told."""
    return table.listing("ada", "DELIVERY#", **{"newest_first": True, "now": NOW, **wanted})


def test_a_listing_goes_on_where_the_page_before_ended(table):
    """Pages follow one another without gap or overlap, and the last one says so."""
    put(table, *(delivery(n) for n in range(1, 6)))

    first = listing(table, limit=2)
    second = listing(table, limit=2, after=first.after)
    third = listing(table, limit=2, after=second.after)

    assert [ids(first), ids(second), ids(third)] == [[5, 4], [3, 2], [1]]
    assert (first.after, third.after) == (f"DELIVERY#{delivery(4).delivery_id}", None)


def test_a_full_last_page_has_nothing_after_it(table):
    """As many rows as the page holds are the last page."""
    put(table, *(delivery(n) for n in (1, 2)))

    page = listing(table, limit=2)

    assert (ids(page), page.after) == ([2, 1], None)


def test_a_listing_can_begin_with_the_oldest(table):
    """The order is the caller's."""
    put(table, *(delivery(n) for n in (1, 2, 3)))

    page = listing(table, limit=2, newest_first=False)

    assert ids(page) == [1, 2]


def test_a_filtered_listing_finds_all_in_the_end(table):
    """A filter may make pages short, but following them misses nothing."""
    kinds = ["TEST", "WEBHOOK", "TEST", "TEST", "WEBHOOK"]
    put(table, *(delivery(n, integration_type=kind) for n, kind in enumerate(kinds, start=1)))

    found, after = [], None
    while True:
        page = listing(table, limit=2, equal={"integration_type": "WEBHOOK"}, after=after)
        found += ids(page)
        after = page.after
        if after is None:
            break

    assert found == [5, 2]


def test_a_listing_leaves_out_what_nobody_asked_for(table):
    """Attributes named in ``without`` and rows past their time to live are not shown."""
    put(table, delivery(1, ttl=NOW - 1), delivery(2, ttl=NOW + 1, session_id="s"))

    page = listing(table, limit=5, without=("session_id", "fingerprint"))

    assert ids(page) == [2]
    assert not {"session_id", "fingerprint"} & set(page.rows[0])


def test_a_listing_is_of_one_user_and_one_kind(table):
    """Other users' rows and other kinds of rows are not in it."""
    other = delivery(1, user_id="bob")
    request = Put(item={"user_id": "ada", "sk": "REQUEST#r"}, when=())
    put(table, other, delivery(2))
    table.commit([Write(("ada", "REQUEST#r"), request)])

    page = listing(table, limit=5)

    assert ids(page) == [2]


@pytest.mark.parametrize(("count", "left"), [(1, [2, 1]), (2, [1]), (3, []), (4, [])])
def test_skipping_leaves_what_lies_behind(table, count, left):
    """After the n newest rows come the others; None says that nothing does."""
    put(table, *(delivery(n) for n in (1, 2, 3)))

    after = table.skip("ada", "DELIVERY#", count)

    assert ([] if after is None else ids(listing(table, limit=5, after=after))) == left


def test_the_sweep_index_shows_what_is_due_oldest_first(table):
    """Only rows of the shard whose time has come, with all that the sweeper reads."""
    put(
        table,
        delivery(1, sweep_at=NOW - 1, rings=2, ticket_owed=True),
        delivery(2, sweep_at=NOW - 5),
        delivery(3, sweep_at=NOW + 1),
        delivery(4, sweep_at=NOW - 9, sweep_shard=4),
        delivery(5, sweep_at=None),
    )

    found = list(table.due(3, NOW))

    names = ("delivery_id", "status", "round", "tries", "rings", "due_at", "request_id", "sweep_at")
    wanted = [
        {name: row.as_item()[name] for name in names if name in row.as_item()}
        for row in (delivery(2, sweep_at=NOW - 5), delivery(1, sweep_at=NOW - 1, rings=2))
    ]
    assert [{name: row[name] for name in names if name in row} for row in found] == wanted
    assert [row.get("ticket_owed") for row in found] == [None, True]


# Faults of the real table ------------------------------------------------------------------------


@pytest.fixture
def stubbed(dynamodb):
    """The real adapter over a client that answers from a script, and the pauses that it took."""
    pauses = []
    table = DeliveryTable(
        dynamodb, "DeliveriesTable", token=FakeIdGenerator().token, pause=pauses.append
    )
    with Stubber(dynamodb) as stubber:
        yield table, stubber, pauses


def cancelled(*codes: str) -> dict:
    """Describe a cancelled transaction as DynamoDB does."""
    reasons = [{"Code": code} for code in codes]
    return {
        "method": "transact_write_items",
        "service_error_code": "TransactionCanceledException",
        "modeled_fields": {"CancellationReasons": reasons},
    }


WRITE = [Write(("ada", "DELIVERY#1"), Change(when=(), set={"session_id": "s"}))]


def test_a_transaction_in_conflict_is_tried_again(stubbed):
    """Another transaction on the same row is waited for, with growing pauses."""
    table, stubber, pauses = stubbed
    for _ in range(2):
        stubber.add_client_error(**cancelled("TransactionConflict"))
    stubber.add_response("transact_write_items", {})

    table.commit(WRITE)

    stubber.assert_no_pending_responses()
    assert pauses == [0.02, 0.04]


def test_a_refused_condition_beside_a_conflict_is_a_refusal(stubbed):
    """Waiting for the conflict would change nothing: the condition is told at once."""
    table, stubber, pauses = stubbed
    stubber.add_client_error(**cancelled("None", "ConditionalCheckFailed", "TransactionConflict"))

    with pytest.raises(ConditionFailed) as refused:
        table.commit(WRITE * 3)

    assert (refused.value.rows, pauses) == ({1: None}, [])


def test_a_row_is_read_consistently(dynamodb, asked):
    """A read that lags would take a written row for missing; moto never lags, so look at the call.

    Only the index cannot be read like that.
    """
    table = DeliveryTable(dynamodb, "DeliveriesTable", token=FakeIdGenerator().token)

    table.get(("ada", "DELIVERY#1"))
    listing(table, limit=1)
    table.skip("ada", "DELIVERY#", 1)
    list(table.due(1, NOW))

    assert [(name, one.get("ConsistentRead")) for name, one in asked] == [
        ("GetItem", True),
        ("Query", True),
        ("Query", True),
        ("Query", None),
    ]


def test_a_change_in_conflict_is_tried_again(stubbed):
    """A single row's change waits for the transaction that holds it; botocore does not."""
    table, stubber, pauses = stubbed
    stubber.add_client_error("update_item", "TransactionConflictException")
    stubber.add_response("update_item", {"Attributes": {"sk": {"S": "DELIVERY#1"}}})

    changed = table.apply(("ada", "DELIVERY#1"), WRITE[0].step)

    assert (changed, pauses) == ({"sk": "DELIVERY#1"}, [0.02])


def test_a_conflict_without_end_is_unavailability(stubbed):
    """After six tries the caller is told, and may try again."""
    table, stubber, pauses = stubbed
    for _ in range(6):
        stubber.add_client_error(**cancelled("TransactionConflict"))

    with pytest.raises(UnavailableError, match="TransactionConflict"):
        table.commit(WRITE)

    assert len(pauses) == 5


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("get_item", lambda table: table.get(("ada", "x"))),
        ("update_item", lambda table: table.apply(("ada", "x"), WRITE[0].step)),
        ("transact_write_items", lambda table: table.commit(WRITE)),
        ("query", lambda table: listing(table, limit=1)),
        ("query", lambda table: table.skip("ada", "DELIVERY#", 3)),
        ("query", lambda table: list(table.due(1, NOW))),
    ],
)
def test_a_fault_of_aws_is_told_in_our_words(stubbed, method, call):
    """Operation and code are named; the original error is the cause."""
    table, stubber, _ = stubbed
    stubber.add_client_error(method, "AccessDeniedException")

    with pytest.raises(UnavailableError, match="failed: AccessDeniedException") as raised:
        call(table)

    assert isinstance(raised.value.__cause__, ClientError)


def test_values_that_no_row_can_hold_are_our_own_mistake(stubbed):
    """A set is refused before any call."""
    table, _, _ = stubbed

    with pytest.raises(TypeError, match="a set cannot be stored"):
        table.apply(("ada", "x"), Change(when=(), set={"session_id": {1}}))
