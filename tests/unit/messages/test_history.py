"""Pages of a user's deliveries, and one delivery with its attempts."""

from __future__ import annotations

import base64

import pytest

from dispatcher.delivery.outcomes import Permanent
from dispatcher.errors import FieldError, InvalidInputError, NotFoundError
from tests.world import USER, World


def sent(world, count: int, user: str = USER) -> list[str]:
    """Accept so many messages, and return their deliveries, newest first."""
    ids = []
    for number in range(count):
        answer = world.acceptance.accept(user, {"content": "x", "request_id": f"r-{number}"}).answer
        ids += [one["delivery_id"] for one in answer["deliveries"]]
        world.clock.advance(1)
    return ids[::-1]


def page(world, user: str = USER, **params: str) -> tuple[list[str], str | None]:
    """Return the ids of a page, and its cursor."""
    answer = world.history.page(user, params)
    return [one["delivery_id"] for one in answer["deliveries"]], answer["next_cursor"]


def field_errors(world, **params: str) -> tuple[FieldError, ...]:
    """Return what is wrong about a question."""
    with pytest.raises(InvalidInputError) as caught:
        world.history.page(USER, params)
    return caught.value.field_errors


def test_a_user_without_deliveries(world):
    """An empty page, the last."""
    assert world.history.page(USER, {}) == {
        "user_id": USER,
        "deliveries": [],
        "limit": 50,
        "offset": 0,
        "next_cursor": None,
    }


def test_a_page_shows_whole_deliveries_without_their_attempts(world):
    """Newest first; nothing of requests, mailboxes or other users."""
    ids = sent(world, 2)
    sent(world, 1, "grace")
    world.answer(world.doorbells.rung[0][1])

    answer = world.history.page(USER, {"limit": "5"})

    assert answer == {
        "user_id": USER,
        "deliveries": [world.row(one).as_json() for one in ids],
        "limit": 5,
        "offset": 0,
        "next_cursor": None,
    }
    assert "attempt_log" not in answer["deliveries"][0]


def test_fifty_are_a_page(world):
    """Where nobody says otherwise."""
    ids = sent(world, 51)

    found, cursor = page(world)

    assert (found, cursor is None) == (ids[:50], False)
    assert page(world, cursor=cursor) == (ids[50:], None)


@pytest.mark.parametrize("limit", range(1, 8))
def test_cursors_lead_through_everything_once(world, limit):
    """The last page has none, also where it is full."""
    ids = sent(world, 6)
    found, pages, cursor = [], 0, ""

    while cursor is not None:
        part, cursor = page(world, limit=str(limit), **({"cursor": cursor} if cursor else {}))
        found += part
        pages += 1

    assert (found, pages) == (ids, -(-6 // limit))


def test_a_cursor_stays_while_deliveries_are_added(world):
    """It names a place, not a number."""
    ids = sent(world, 4)
    _, cursor = page(world, limit="2")
    world.acceptance.accept(USER, {"content": "new"})

    assert page(world, cursor=cursor) == (ids[2:], None)


@pytest.mark.parametrize(
    ("offset", "begin"), [("0", 0), ("1", 1), ("3", 3), ("4", 4), ("5", 4), ("10000", 4)]
)
def test_an_offset_skips_the_newest(world, offset, begin):
    """Beyond the end lies an empty page."""
    ids = sent(world, 4)

    answer = world.history.page(USER, {"offset": offset, "limit": "2"})

    assert [one["delivery_id"] for one in answer["deliveries"]] == ids[begin : begin + 2]
    assert (answer["offset"], answer["limit"]) == (int(offset), 2)
    assert (answer["next_cursor"] is None) == (begin >= 2)


@pytest.mark.parametrize("limit", ["1", "200", "050"])
def test_a_limit_lies_between_1_and_200(world, limit):
    """Both ends."""
    assert world.history.page(USER, {"limit": limit})["limit"] == int(limit)


LIMIT = FieldError("/limit", "must be a whole number from 1 to 200")
OFFSET = FieldError("/offset", "must be a whole number from 0 to 10000: page on with cursor")
STATUS = FieldError("/status", "must be one of pending, success, failed, skipped")
TYPE = FieldError("/integration_type", "must be one of SLACK, EMAIL, WEBHOOK, SMS, TEST, CLI, TOOL")
REQUEST = FieldError("/request_id", "must be 1-256 visible ASCII characters")


@pytest.mark.parametrize(
    ("params", "field_error"),
    [
        *(
            ({"limit": text}, LIMIT)
            for text in ("0", "201", "-1", "+5", "", " 5", "5.0", "abc", "1_0", "\u0665", "0005")
        ),
        *(({"offset": text}, OFFSET) for text in ("-1", "10001", "0.5", "", "\u00b2", "9" * 500)),
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
            {"cursor": "x", "offset": "0"},
            FieldError("/offset", "cannot be combined with cursor: give one of them"),
        ),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(world, params, field_error):
    """With the parameter that is wrong and what it may be."""
    assert field_errors(world, **params) == (field_error,)


def cursor_of(world, user: str) -> str:
    """Return a cursor that a user's history gave out."""
    sent(world, 2, user)
    return page(world, user, limit="1")[1]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "",
        lambda _: "x",
        lambda _: "\u00e9",
        lambda _: "eyJwayI6IlVTRVIjdTIifQ",
        lambda good: good[:-4],
        lambda good: good + "AAAA",
        lambda good: ("B" if good[0] == "A" else "A") + good[1:],
        lambda good: good[:-1] + ("B" if good[-1] == "A" else "A"),
        lambda good: base64.b64encode(base64.urlsafe_b64decode(good)[:16]).decode(),
    ],
)
def test_a_cursor_that_nobody_gave_out_is_refused(world, spoil):
    """Whole, or not at all."""
    good = cursor_of(world, USER)

    assert field_errors(world, cursor=spoil(good)) == (
        FieldError("/cursor", "is not one that this user's list gave out: start again without it"),
    )


def test_a_cursor_is_bound_to_its_user(world):
    """It opens nobody else's history."""
    cursor = cursor_of(world, "grace")

    assert [field_error.pointer for field_error in field_errors(world, cursor=cursor)] == [
        "/cursor"
    ]


def mixed() -> tuple[World, list[str]]:
    """Return a world with a failed, a delivered and a pending message over two integrations."""
    world = World()
    world.webhook()
    world.channels["TEST"].outcomes.append(Permanent("http_404", "no"))
    ids = sent(world, 3)
    rung = world.doorbells.taken()
    for _, doorbell, _ in rung[:2]:
        world.answer(doorbell)
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
    ],
)
def test_filters_leave_what_matches_all_of_them(params, expected):
    """In the same order."""
    world, ids = mixed()

    found, _ = page(world, **params)

    assert found == [ids[index] for index in expected]


@pytest.mark.parametrize("limit", [1, 2, 3, 6])
def test_filtered_pages_lead_through_everything_once(limit):
    """A page may be short and still have a cursor."""
    world, ids = mixed()
    found, cursor = [], ""

    while cursor is not None:
        params = {"limit": str(limit), "status": "success"}
        part, cursor = page(world, **params, **({"cursor": cursor} if cursor else {}))
        assert len(part) <= limit
        found += part

    assert found == [ids[2], ids[3], ids[5]]


@pytest.mark.parametrize(("late", "shown"), [(0.0, True), (0.001, False)])
def test_what_has_outlived_its_time_is_hidden(world, late, shown):
    """Whether or not the table has removed it."""
    ids = sent(world, 2)
    world.put(ids[0], ttl=world.clock.now() + 10)
    world.clock.advance(10 + late)

    found, _ = page(world)

    assert found == (ids if shown else ids[1:])
    if shown:
        assert world.history.detail(USER, ids[0])["delivery_id"] == ids[0]
    else:
        with pytest.raises(NotFoundError):
            world.history.detail(USER, ids[0])


def test_a_detail_tells_the_attempts(world):
    """All that is shown in a page, and what happened."""
    (only,) = sent(world, 1)
    world.run()

    detail = world.history.detail(USER, only)

    row = world.row(only)
    assert detail == row.as_json(with_log=True)
    assert [entry["outcome"] for entry in detail["attempt_log"]] == ["delivered"]


@pytest.mark.parametrize("user", ["grace", USER])
def test_nobody_sees_what_is_not_theirs(world, user):
    """An id alone opens nothing."""
    (only,) = sent(world, 1)
    name = only if user == "grace" else only[:-1] + "x"

    with pytest.raises(NotFoundError) as caught:
        world.history.detail(user, name)

    assert str(caught.value) == f"user {user} has no delivery {name}"
