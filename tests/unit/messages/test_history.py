"""Pages of a user's deliveries, and one delivery with its attempts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from dispatcher.delivery.describe import delivery_detail, delivery_response
from dispatcher.delivery.outcomes import Permanent
from dispatcher.delivery.rows import place_of
from dispatcher.errors import FieldError, InvalidInputError, NotFoundError, UnavailableError
from dispatcher.messages.history import History
from tests.catalogues import KNOWN_TYPES
from tests.fakes import FakeClock, Faulty, MemoryOverrides, MemoryTable
from tests.histories import NOW, Reading, check_pages, message_id, message_row, readings
from tests.world import USER, World


def sent(world, count: int, user: str = USER) -> list[str]:
    """Accept so many messages, and return the IDs of their deliveries, newest first."""
    ids = []
    for number in range(count):
        response = world.acceptance.accept(
            user, {"content": "x", "request_id": f"r-{number}"}
        ).response
        ids += [one["delivery_id"] for one in response["deliveries"]]
        world.clock.advance(1)
    return ids[::-1]


def page(world, user: str = USER, **params: str) -> tuple[list[str], str | None]:
    """Return the IDs of a page, and its cursor."""
    response = world.history.page(user, params)
    return [one["delivery_id"] for one in response["deliveries"]], response["next_cursor"]


def field_errors(world, **params: str) -> tuple[FieldError, ...]:
    """Return what is invalid about a query."""
    with pytest.raises(InvalidInputError) as caught:
        world.history.page(USER, params)
    return caught.value.field_errors


class LargeRows(MemoryTable):
    """A table in which a query returns few rows, as DynamoDB's does once it has read 1 MB."""

    def __init__(self, longest_query: int) -> None:
        super().__init__(MemoryOverrides())
        self.longest_query = longest_query
        self.queries = 0

    def history(self, user_id, *, limit, newest, after):
        """Count the query and cut it short."""
        self.queries += 1
        most = min(limit, self.longest_query)
        return super().history(user_id, limit=most, newest=newest, after=after)


def history_of(rows, longest_query: int = 1000) -> History:
    """Return the history of rows that are stored as they are."""
    table = LargeRows(longest_query)
    for row in rows:
        table.put(row)
    return History(store=table, clock=FakeClock(NOW))


# Pages --------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(readings(most_rows=40))
def test_pages_are_slices_of_a_flat_list(reading: Reading):
    """Limits, offsets, cursors and filters are exact, however messages and expired rows lie."""
    check_pages(history_of(reading.rows, reading.longest_query), reading)


def test_a_user_without_deliveries_has_an_empty_page(world):
    """The page is the last one."""
    assert world.history.page(USER, {}) == {
        "user_id": USER,
        "deliveries": [],
        "limit": 50,
        "offset": 0,
        "next_cursor": None,
    }


def test_a_page_lists_deliveries_without_their_attempts(world):
    """The newest message comes first; requests, mailboxes and other users are left out."""
    ids = sent(world, 2)
    sent(world, 1, "grace")
    world.run()

    response = world.history.page(USER, {"limit": "5"})

    assert response == {
        "user_id": USER,
        "deliveries": [delivery_response(world.row(name), 0) for name in ids],
        "limit": 5,
        "offset": 0,
        "next_cursor": None,
    }
    assert "attempt_log" not in response["deliveries"][0]


def test_a_listed_delivery_has_the_subject_of_its_message(world):
    """The subject's variables are filled in; it is null if there is none."""
    world.send(subject="For $who", template_variables={"who": "Ada"})
    world.clock.advance(1)
    world.send()

    response = world.history.page(USER, {})

    assert [one["subject"] for one in response["deliveries"]] == [None, "For Ada"]


def test_the_last_place_of_a_message_comes_first(world):
    """Delivery IDs descend through the whole history."""
    world.webhook()
    first, second = world.send()
    world.clock.advance(1)
    third, fourth = world.send()

    assert page(world) == ([fourth, third, second, first], None)
    assert page(world, limit="3") == ([fourth, third, second], second)
    assert page(world, limit="3", cursor=second) == ([first], None)


def test_a_page_has_50_deliveries_by_default(world):
    """The next page continues with the 51st."""
    ids = sent(world, 51)

    found, cursor = page(world)

    assert (found, cursor) == (ids[:50], ids[49])
    assert page(world, cursor=cursor) == (ids[50:], None)


def test_a_cursor_holds_while_messages_are_added(world):
    """A cursor is a place in time, not a number."""
    ids = sent(world, 4)
    _, cursor = page(world, limit="2")
    world.acceptance.accept(USER, {"content": "new"})

    assert page(world, cursor=cursor) == (ids[2:], None)


def test_a_cursor_shows_no_other_user(world):
    """Another user's cursor is only a place in time."""
    ids = sent(world, 3)
    sent(world, 3, "grace")
    _, cursor = page(world, "grace", limit="1")

    assert page(world, cursor=cursor) == (ids, None)


@pytest.mark.parametrize(("offset", "begin"), [(0, 0), (1, 1), (3, 3), (4, 4), (5, 4), (10_000, 4)])
def test_an_offset_skips_the_newest_deliveries(world, offset, begin):
    """Beyond the end the page is empty."""
    ids = sent(world, 4)

    response = world.history.page(USER, {"offset": str(offset), "limit": "2"})

    assert [one["delivery_id"] for one in response["deliveries"]] == ids[begin : begin + 2]
    assert (response["offset"], response["limit"]) == (offset, 2)
    assert (response["next_cursor"] is None) == (begin >= 2)


def test_an_offset_counts_only_rows_that_have_not_expired():
    """An expired row is neither counted nor listed, whether or not DynamoDB has deleted it."""
    rows = [
        message_row(1, "success", "failed"),
        message_row(2, "success", "success", "success", ttl=int(NOW) - 1),
        message_row(3, "failed", ttl=int(NOW)),
    ]
    response = history_of(rows).page("ada", {"offset": "2", "limit": "5"})

    assert [one["delivery_id"] for one in response["deliveries"]] == [message_id(1)[:-2] + "01"]


@pytest.mark.parametrize("limit", ["1", "200", "050"])
def test_a_limit_is_1_to_200(world, limit):
    """Both ends are allowed."""
    assert world.history.page(USER, {"limit": limit})["limit"] == int(limit)


LIMIT = FieldError("/limit", "must be a whole number from 1 to 200")
OFFSET = FieldError(
    "/offset", "must be a whole number from 0 to 10000; for further pages use cursor"
)
CURSOR = FieldError("/cursor", "must be the next_cursor of the page before")
STATUS = FieldError("/status", "must be one of pending, success, failed, skipped")
TYPE = FieldError("/integration_type", f"must be one of {KNOWN_TYPES}")
REQUEST = FieldError("/request_id", "must be 1-256 visible ASCII characters")
GOOD = message_id(1)


@pytest.mark.parametrize(
    ("params", "field_error"),
    [
        *(
            ({"limit": text}, LIMIT)
            for text in ("0", "201", "-1", "+5", "", " 5", "5.0", "abc", "1_0", "\u0665", "0005")
        ),
        *(({"offset": text}, OFFSET) for text in ("-1", "10001", "0.5", "", "\u00b2", "9" * 500)),
        *(
            ({"cursor": text}, CURSOR)
            for text in ("", "x", "\u00e9", GOOD[:-1], GOOD + "0", GOOD.upper(), f"MESSAGE#{GOOD}")
        ),
        *(({"status": text}, STATUS) for text in ("", "SUCCESS", "done")),
        *(({"integration_type": text}, TYPE) for text in ("", "FAX", "SMS ", "\u017fMS")),
        *(({"request_id": text}, REQUEST) for text in ("", "a b", "r" * 257, "\u00e9")),
        (
            {"page": "2"},
            FieldError(
                "/page",
                "is not a known parameter; the known ones are limit, offset, cursor, status, "
                "integration_type, request_id",
            ),
        ),
        (
            {"cursor": GOOD, "offset": "0"},
            FieldError("/offset", "cannot be combined with cursor: give one of them"),
        ),
    ],
)
def test_an_invalid_query_is_rejected(world, params, field_error):
    """The error names the parameter and its rule."""
    assert field_errors(world, **params) == (field_error,)


# Filters ------------------------------------------------------------------------------------------


def mixed() -> tuple[World, list[str]]:
    """Return a world with a failed, a delivered and a pending message over two integrations."""
    world = World()
    world.webhook()
    world.channels["TEST"].outcomes.append(Permanent("http_404", "no"))
    ids = sent(world, 3)
    rung = world.doorbells.taken()
    for _, doorbell, _ in rung[:2]:
        world.handle(doorbell)
    return world, ids


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"status": "pending"}, [0, 1]),
        ({"status": "success"}, [2, 3, 5]),
        ({"status": "failed"}, [4]),
        ({"status": "skipped"}, []),
        ({"integration_type": "webhook"}, [1, 3, 5]),
        ({"integration_type": "TEST"}, [0, 2, 4]),
        ({"request_id": "r-1"}, [2, 3]),
        ({"request_id": "r-9"}, []),
        ({"status": "success", "integration_type": "WEBHOOK", "request_id": "r-0"}, [5]),
        ({"status": "failed", "request_id": "r-0", "offset": "1"}, []),
        ({"request_id": "r-1", "offset": "1"}, [3]),
        ({"request_id": "r-1", "offset": "2"}, []),
    ],
)
def test_a_filter_leaves_what_matches(params, expected):
    """All filters have to match; the order stays."""
    world, ids = mixed()

    assert page(world, **params) == ([ids[index] for index in expected], None)


def test_a_filtered_page_comes_from_one_query():
    """The page may be short; its cursor is the ID of the last message that was read."""
    rows = [message_row(number, "failed" if number == 1 else "success") for number in range(1, 6)]
    history = history_of(rows)

    first = history.page("ada", {"limit": "2", "status": "failed"})
    second = history.page("ada", {"limit": "2", "status": "failed", "cursor": first["next_cursor"]})

    assert (first["deliveries"], first["next_cursor"]) == ([], message_id(3))
    assert message_id(3).endswith("00")
    assert second["deliveries"] == [delivery_response(rows[0], 0)]
    assert (second["next_cursor"], history.store.queries) == (None, 2)


def test_a_full_filtered_page_has_the_cursor_of_its_last_delivery():
    """A message with more matches than the page holds is continued."""
    history = history_of([message_row(1, "failed", "failed", "success", "failed")])
    params = {"limit": "1", "status": "failed"}
    found, cursor = [], {}

    for _ in range(3):
        response = history.page("ada", {**params, **cursor})
        found += [one["delivery_id"][-2:] for one in response["deliveries"]]
        cursor = {"cursor": response["next_cursor"]}

    assert (found, response["next_cursor"]) == (["04", "02", "01"], None)


def test_the_deliveries_of_a_request_are_paged_too():
    """``request_id`` works with limit and cursor."""
    world, ids = mixed()

    first, cursor = page(world, request_id="r-1", limit="1")
    second, end = page(world, request_id="r-1", limit="1", cursor=cursor)

    assert (first, cursor, second, end) == ([ids[2]], ids[2], [ids[3]], None)


def test_a_request_without_a_message_has_no_deliveries(world):
    """Everything was skipped, or the request was never accepted."""
    world.send(request_id="r-1", integration_types=["SLACK"])
    fates = ["throttled"]
    orphaned = World(
        wrap=lambda port: Faulty(port, lambda _: fates.pop() if fates else "", "create")
    )
    with pytest.raises(UnavailableError):
        orphaned.send(request_id="r-1")

    assert page(world, request_id="r-1") == ([], None)
    assert page(orphaned, request_id="r-1") == ([], None)


@pytest.mark.parametrize(("late", "is_shown"), [(0.0, True), (0.001, False)])
def test_an_expired_request_has_no_deliveries(world, late, is_shown):
    """After its ``ttl`` the name is free; DynamoDB may delete the row at any time."""
    (only,) = sent(world, 1)
    world.clock.seconds = world.table.request(USER, "r-0").ttl + late

    assert page(world, request_id="r-0") == ([only] if is_shown else [], None)


# Expired rows and single deliveries ---------------------------------------------------------------


@pytest.mark.parametrize(("late", "is_shown"), [(0.0, True), (0.001, False)])
def test_an_expired_message_is_hidden(world, late, is_shown):
    """Whether or not DynamoDB has deleted the row."""
    ids = sent(world, 2)
    world.put(ids[0], ttl=int(world.clock.now()) + 10)
    world.clock.advance(10 + late)

    found, _ = page(world)

    assert found == (ids if is_shown else ids[1:])
    assert page(world, request_id="r-1") == (ids[:1] if is_shown else [], None)
    if is_shown:
        assert world.history.detail(USER, ids[0])["delivery_id"] == ids[0]
    else:
        with pytest.raises(NotFoundError):
            world.history.detail(USER, ids[0])


def test_a_detail_has_the_attempts(world):
    """The detail of a delivery has all fields of a page and the attempt log."""
    world.webhook()
    ids = world.send()
    world.run()

    details = [world.history.detail(USER, name) for name in ids]

    assert details == [delivery_detail(world.row(name), place_of(name)) for name in ids]
    assert [one["integration_type"] for one in details] == ["WEBHOOK", "TEST"]
    assert [[entry["outcome"] for entry in one["attempt_log"]] for one in details] == [
        ["delivered"],
        ["delivered"],
    ]


@pytest.mark.parametrize("user", ["grace", USER])
@pytest.mark.parametrize("digits", ["00", "01", "02", "ff"])
def test_an_unknown_delivery_is_not_found(world, user, digits):
    """A delivery belongs to one user; the ID of a whole message names no delivery."""
    (only,) = sent(world, 1)
    name = only[:-2] + digits
    if (user, name) == (USER, only):
        name = world.id_generator.message_id(world.clock.now())[:-2] + digits

    with pytest.raises(NotFoundError) as caught:
        world.history.detail(user, name)

    assert str(caught.value) == f"User {user} has no delivery {name}."


def test_a_query_that_fails_returns_no_page(world):
    """An incomplete page would look like the last one."""
    sent(world, 1)
    broken = Faulty(world.table, lambda _: "throttled", "history")

    with pytest.raises(UnavailableError):
        replace(world.history, store=broken).page(USER, {})
