"""Recovery: new rounds of all deliveries that failed in a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.configuration.rows import ReceiverHealth
from dispatcher.delivery.recover import LONGEST, MOST_MESSAGES, Recovery
from dispatcher.delivery.rows import message_id_of
from dispatcher.errors import InvalidInputError, UnavailableError
from dispatcher.responses import rfc3339
from tests.visits import BUSY, NOT_FOUND, count_calls, rehearse, send, statuses, visit
from tests.world import USER

HOUR = 3600.0
DAY = 86_400.0


@pytest.fixture
def world(world):
    """Each delivery of TEST and WEBHOOK has one attempt."""
    world.override("TEST", enabled=True, retry_count=0)
    world.webhook(retry_count=0)
    return world


def recovery(world, **parts):
    """Return the use case over this world."""
    return Recovery(
        context=world.rounds.context,
        system_defaults=world.system_defaults,
        holds=world.holds,
        categories=world.categories,
        environ=world.environ,
        **parts,
    )


def recover(world, **body):
    """Call it for the last hour; return the response."""
    since = rfc3339(world.clock.now() - HOUR)
    return recovery(world).recover(USER, {"since": since, **body}).response


def fail(world, name="WEBHOOK", outcome=BUSY, number=1, **body):
    """Let a message fail; return its delivery."""
    rehearse(world, outcome, name=name)
    [did] = send(world, name, request_id=f"r-{number}", **body)
    visit(world, did)
    world.clock.advance(0.01)
    world.doorbells.taken()
    return did


def reasons(response):
    """Return the reasons of the deliveries that stay failed."""
    return {one["delivery_id"]: one["reason"] for one in response["not_opened"]}


def test_what_failed_is_opened_oldest_first(world):
    """Each gets a fresh round with the settings of now, and is rung for."""
    ids = [fail(world, number=number) for number in range(3)]
    world.webhook(retry_count=4, retry_delay_seconds=7)

    response = recover(world)

    assert response == {"examined": 3, "opened": ids, "not_opened": [], "next_cursor": None}
    for did in ids:
        delivery = world.delivery(did)
        assert (delivery.round, delivery.tries, delivery.due_at) == (2, 0, world.clock.now())
        assert (delivery.max_attempts, delivery.retry_delay_seconds) == (5, 7)
    assert [queue for queue, *_ in world.doorbells.taken()] == ["retry"] * 3


def test_a_repeated_call_opens_nothing_twice(world):
    """The deliveries are pending by then."""
    fail(world)
    recover(world)

    assert recover(world) == {"examined": 1, "opened": [], "not_opened": [], "next_cursor": None}


def test_a_dry_run_writes_nothing(world):
    """It shows the same deliveries as the call itself, and rings for none."""
    did = fail(world)
    before = world.row(did)

    page = recovery(world).recover(
        USER, {"since": rfc3339(world.clock.now() - HOUR), "dry_run": True}
    )

    assert (page.is_dry_run, page.response["opened"]) == (True, [did])
    assert (world.row(did), world.doorbells.taken()) == (before, [])


def test_the_range_is_the_time_of_acceptance(world):
    """Both ends belong to it, to the millisecond."""
    ids, times = [], []
    for number in range(3):
        times.append(rfc3339(world.clock.now()))
        ids.append(fail(world, number=number))
        world.clock.advance(60)

    assert recover(world, since=times[1], dry_run=True)["opened"] == ids[1:]
    assert recover(world, since=times[0], until=times[1], dry_run=True)["opened"] == ids[:2]
    assert recover(world, since=rfc3339(world.clock.now() + 1))["examined"] == 0


def test_types_and_codes_limit_what_is_opened(world):
    """A type in any case; both must match."""
    hook = fail(world, number=1)
    test = fail(world, "TEST", number=2)
    refused = fail(world, outcome=NOT_FOUND, number=3)

    def opened(**body):
        return recover(world, dry_run=True, **body)["opened"]

    assert opened(integration_types=["webhook"]) == [hook, refused]
    assert opened(error_codes=["http_503"]) == [hook, test]
    assert opened(integration_types=["WEBHOOK"], error_codes=["http_404"]) == [refused]


def test_all_deliveries_of_a_message_are_opened_by_one_write(world):
    """And by one ring, for what is due first."""
    rehearse(world, BUSY, name="TEST")
    rehearse(world, BUSY, name="WEBHOOK")
    ids = send(world, "WEBHOOK", "TEST")
    visit(world, ids[0])
    world.doorbells.taken()
    calls = count_calls(world)

    response = recover(world)

    assert sorted(response["opened"]) == sorted(ids)
    assert calls == ["write", "ring"]
    assert statuses(world, ids) == [("pending", None)] * 2


def test_of_a_first_success_message_one_is_opened(world):
    """The first failed one in order: later rounds do not wait for one another."""
    rehearse(world, NOT_FOUND, name="TEST")
    rehearse(world, NOT_FOUND, name="WEBHOOK")
    first, second = send(world, "WEBHOOK", "TEST", mode="first_success")
    visit(world, first)

    response = recover(world)

    assert response["opened"] == [first]
    assert reasons(response) == {second: "first_success"}


def test_a_first_success_message_that_succeeded_stays(world):
    """The user has the message."""
    rehearse(world, NOT_FOUND, name="WEBHOOK")
    failed, succeeded = send(world, "WEBHOOK", "TEST", mode="first_success")
    visit(world, failed)

    assert statuses(world, [succeeded]) == [("success", None)]
    assert reasons(recover(world)) == {failed: "first_success"}


@pytest.mark.parametrize("disabled", ["by_user", "by_receiver", "after_failures"])
def test_a_disabled_integration_stays(world, disabled):
    """Its deliveries could only end again; the reason tells why."""
    did = fail(world)
    if disabled == "by_user":
        world.override("WEBHOOK", enabled=False)
    else:
        now = world.clock.now()
        health = ReceiverHealth(failures=9, first_failed_at=now, last_failed_at=now, disabled=True)
        stored = world.overrides.rows[USER]
        override = replace(
            stored.by_type["WEBHOOK"],
            disabled_by_receiver=disabled == "by_receiver",
            health=health if disabled == "after_failures" else None,
        )
        by_type = {**stored.by_type, "WEBHOOK": override}
        world.overrides.rows[USER] = replace(stored, by_type=by_type)

    assert reasons(recover(world)) == {did: f"disabled_{disabled}"}


def test_a_message_past_its_time_stays(world):
    """Its new round could only end as expired."""
    did = fail(world, expires_at=rfc3339(world.clock.now() + 60))
    world.clock.advance(60)

    assert reasons(recover(world)) == {did: "expired"}


def test_a_message_without_content_stays(world):
    """The request's identity has ended, and its content with it."""
    did = fail(world)
    world.put(did, keep_until=world.clock.now() + HOUR)

    assert reasons(recover(world)) == {did: "content_expired"}


def test_a_suppressed_address_stays(world):
    """The request is read only for a user with a suppression: it may name the address."""
    world.environ["SMTP_HOST"] = "smtp.example.com"
    world.override("EMAIL", enabled=True, retry_count=0)
    recipient = {"email": "ada@example.org"}
    did = fail(world, "EMAIL", recipient=recipient)
    world.suppress("EMAIL", "ada@example.org")

    assert reasons(recover(world)) == {did: "address_bounced"}


def test_an_expired_row_is_left_out(world):
    """DynamoDB deletes it some time after its expiry."""
    did = fail(world)
    world.put(did, ttl=int(world.clock.now()) - 1)

    assert recover(world) == {"examined": 1, "opened": [], "not_opened": [], "next_cursor": None}


def test_hours_and_pauses_apply(world):
    """Nothing is sent at night because an operator recovers an outage."""
    did = fail(world)
    world.prefer(muted_until=world.clock.now() + HOUR, hours={"integrations": ["WEBHOOK"]})

    assert recover(world)["opened"] == [did]

    assert world.delivery(did).held == "muted"
    assert world.doorbells.taken() == []


def test_a_page_is_a_hundred_messages(world):
    """The cursor continues after the last one; the last page has none."""
    ids = [fail(world, number=number) for number in range(MOST_MESSAGES + 50)]

    first = recover(world)
    second = recover(world, cursor=first["next_cursor"])

    assert first["next_cursor"] == message_id_of(ids[MOST_MESSAGES - 1])
    assert (first["examined"], second["examined"], second["next_cursor"]) == (100, 50, None)
    assert first["opened"] + second["opened"] == ids


def test_a_full_last_page_has_no_cursor(world):
    """One message more is read than examined."""
    for number in range(MOST_MESSAGES):
        fail(world, number=number)

    assert recover(world)["next_cursor"] is None


def test_a_slow_page_continues_at_the_cursor(world):
    """A call ends before API Gateway gives up, and says where to continue."""
    ids = [fail(world, number=number) for number in range(3)]

    def slow(function, rows):
        for row in rows:
            yield function(row)
            world.clock.advance(LONGEST / 2)

    since = rfc3339(world.clock.now() - HOUR)
    page = recovery(world, each=slow).recover(USER, {"since": since}).response

    assert page["opened"] == ids[:2]
    assert page["next_cursor"] == message_id_of(ids[1])
    assert recover(world, cursor=page["next_cursor"])["opened"] == ids[2:]


@pytest.mark.parametrize("cursor", [None, "00000000-0000-7000-8000-000000000000"])
def test_a_page_that_does_not_begin_in_time_is_an_outage(world, cursor):
    """A response without a cursor would mean that all messages were examined."""
    delivery_id = fail(world)

    def stalled(function, rows):
        world.clock.advance(LONGEST)
        return map(function, rows)

    body = {"since": rfc3339(world.clock.now() - HOUR), "cursor": cursor}
    with pytest.raises(UnavailableError):
        recovery(world, each=stalled).recover(USER, body)

    assert recover(world)["opened"] == [delivery_id]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/since"),
        ({"since": "yesterday"}, "/since"),
        ({"since": rfc3339(1_800_000_000.0 - 30 * DAY - 1)}, "/since"),
        ({"since": rfc3339(1_800_000_000.0), "until": rfc3339(1_799_999_999.0)}, "/until"),
        ({"since": rfc3339(1_800_000_000.0), "integration_types": []}, "/integration_types"),
        ({"since": rfc3339(1_800_000_000.0), "integration_types": ["FAX"]}, "/integration_types/0"),
        ({"since": rfc3339(1_800_000_000.0), "error_codes": ["a", "a"]}, "/error_codes"),
        ({"since": rfc3339(1_800_000_000.0), "error_codes": ["no code"]}, "/error_codes/0"),
        ({"since": rfc3339(1_800_000_000.0), "cursor": "x"}, "/cursor"),
        ({"since": rfc3339(1_800_000_000.0), "dry_run": "yes"}, "/dry_run"),
        ({"since": rfc3339(1_800_000_000.0), "all": True}, "/all"),
    ],
)
def test_another_body_is_refused(world, body, pointer):
    """With the field that is wrong."""
    with pytest.raises(InvalidInputError) as caught:
        recovery(world).recover(USER, body)

    assert [error.pointer for error in caught.value.field_errors] == [pointer]


def test_thirty_days_and_nulls_are_accepted(world):
    """A cursor of null begins at the first page."""
    body = {"since": rfc3339(world.clock.now() - 30 * DAY), "until": None, "cursor": None}
    body |= {"integration_types": None, "error_codes": None}

    assert recovery(world).recover(USER, body).response["examined"] == 0
