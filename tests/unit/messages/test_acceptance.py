"""Acceptance: two puts, one ring, and the same response however often a request is repeated."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dispatcher.delivery import transitions
from dispatcher.delivery.doorbells import Doorbell
from dispatcher.delivery.rows import (
    Delivery,
    MessageRow,
    PlannedDelivery,
    RequestRow,
    SkippedType,
    delivery_id,
)
from dispatcher.errors import BrokenSettingError, FieldError, InvalidInputError, UnavailableError
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Recipient
from dispatcher.messages.bodies import send_body
from tests.catalogues import skipped, unused
from tests.fakes import Faulty
from tests.world import ENVIRON, HOOK, USER, World

DAY = 86_400
BODY = {"request_id": "r-1", "content": "Hello"}
NOT_CONFIGURED = [
    {"integration_type": name, "reason": "not_configured"} for name in ("SLACK", "EMAIL")
]
CALLS = ("put_request", "create", "request", "message", "ring_first", "ring")


def at(world, seconds: float) -> str:
    """Write a time that lies so far from now."""
    return datetime.fromtimestamp(world.clock.now() + seconds, UTC).isoformat()


def request_of(world, request_id: str = "r-1", user_id: str = USER) -> RequestRow:
    """Return a request row as it is stored."""
    return world.table.request(user_id, request_id)


def message_of(world, request_id: str = "r-1", user_id: str = USER) -> MessageRow | None:
    """Return the message row of a request as it is stored."""
    return world.table.message(user_id, request_of(world, request_id, user_id).message_id)


def rung_for(world, delay: int = 0, queue: str = "delivery") -> tuple[str, Doorbell, int]:
    """Return the ring for the message of the request r-1."""
    request = request_of(world)
    return queue, Doorbell(USER, request.message_id, "r-1", request.due_at), delay


def watched(calls: list[str]) -> World:
    """Return a world that lists its calls of tables and queues."""
    return World(wrap=lambda port: Faulty(port, calls.append, *CALLS))


def faulty(call: str, fate: str) -> World:
    """Return a world in which the first use of a call meets a fate."""
    fates = [fate]
    return World(wrap=lambda port: Faulty(port, lambda _: fates.pop() if fates else "", call))


def orphaned(**body) -> World:
    """Return a world with a request whose sender died before the second put."""
    world = faulty("create", "throttled")
    with pytest.raises(UnavailableError):
        world.acceptance.accept(USER, {**BODY, **body})
    return world


# The rows -----------------------------------------------------------------------------------------


def test_a_message_becomes_a_request_row_and_a_message_row(world):
    """Acceptance writes every field of the contract and rings once for the whole message."""
    world.webhook(retry_count=4, retry_delay_seconds=7)
    world.clock.advance(0.25)
    now = world.clock.now()
    body = {
        "request_id": "r-1",
        "session_id": "s-1",
        "agent_id": "a-1",
        "subject": "For $who",
        "content": "Hello $who",
        "template_variables": {"who": "Ada"},
        "recipient": {"phone_number": "+14155552671"},
        "integration_types": ["TEST", "WEBHOOK", "SMS"],
    }

    accepted = world.acceptance.accept(USER, body)

    request, message = request_of(world), message_of(world)
    message_id = request.message_id
    ttl = int(now + 90 * DAY + 5 * (DAY + 60 + 900)) + 1
    first, second = (delivery_id(message_id, place) for place in (0, 1))
    assert (accepted.response, accepted.replayed) == (
        {
            "request_id": "r-1",
            "user_id": USER,
            "category": None,
            "deliveries": [
                {
                    "delivery_id": first,
                    "integration_type": "WEBHOOK",
                    "priority": 3,
                    "status": "pending",
                    "locked": False,
                    "held": None,
                },
                {
                    "delivery_id": second,
                    "integration_type": "TEST",
                    "priority": 5,
                    "status": "pending",
                    "locked": False,
                    "held": None,
                },
            ],
            "skipped": [{"integration_type": "SMS", "reason": "disabled_by_default"}],
        },
        False,
    )
    assert (first[-2:], second[-2:]) == ("01", "02")
    assert request == RequestRow(
        user_id=USER,
        request_id="r-1",
        message_id=message_id,
        fingerprint=send_body(body, {}).fingerprint(),
        ttl=ttl,
        subject="For Ada",
        content="Hello Ada",
        agent_id="a-1",
        session_id="s-1",
        recipient=Recipient(phone_number="+14155552671"),
        mode="all",
        forced=False,
        created_at=now,
        due_at=now,
        expires_at=None,
        deliveries=(
            PlannedDelivery(type="WEBHOOK", priority=3, max_attempts=5, retry_delay_seconds=7),
            PlannedDelivery(type="TEST", priority=5, max_attempts=2, retry_delay_seconds=10),
        ),
        skipped=(SkippedType(type="SMS", reason="disabled_by_default"),),
    )
    assert message == MessageRow(
        user_id=USER,
        message_id=message_id,
        rev=message.rev,
        request_id="r-1",
        session_id="s-1",
        subject="For Ada",
        mode="all",
        forced=False,
        created_at=now,
        expires_at=None,
        keep_until=ttl + 3600,
        deliveries=(
            Delivery(
                type="WEBHOOK",
                status="pending",
                priority=3,
                max_attempts=5,
                retry_delay_seconds=7,
                due_at=now,
            ),
            Delivery(
                type="TEST",
                status="pending",
                priority=5,
                max_attempts=2,
                retry_delay_seconds=10,
                due_at=now,
            ),
        ),
        sweep_at=now + 60,
    )
    assert len(message.rev) == 8
    assert len(world.table.rows) == 2
    assert world.doorbells.rung == [("delivery", Doorbell(USER, message_id, "r-1", now), 0)]
    assert world.event_log.lines == [
        (
            "message.accepted",
            {
                "user_id": USER,
                "request_id": "r-1",
                "deliveries": {first: "WEBHOOK", second: "TEST"},
                "skipped": {"SMS": "disabled_by_default"},
            },
        )
    ]


def test_the_request_is_put_before_the_message_and_the_ring_comes_last():
    """A crash between two steps leaves a request that a repeat or the sweeper completes."""
    calls = []
    world = watched(calls)

    world.acceptance.accept(USER, BODY)

    assert calls == ["put_request", "create", "ring_first"]


@pytest.mark.parametrize(("mode", "rounds"), [("all", 3), ("first_success", 5)])
@pytest.mark.parametrize("ahead", [0, 5 * DAY])
def test_a_request_is_kept_for_its_longest_possible_round(world, mode, rounds, ahead):
    """The rounds add up in a ``first_success`` message; otherwise the longest one counts."""
    world.webhook(retry_count=2, retry_delay_seconds=1)

    world.send(request_id="r-1", mode=mode, deliver_at=at(world, ahead))

    kept = request_of(world).ttl - world.clock.now()
    assert kept == ahead + 90 * DAY + rounds * (86_400 + 60 + 900)
    assert message_of(world).keep_until == request_of(world).ttl + 3600


def test_a_retry_delay_longer_than_any_retry_after_lengthens_the_round(world):
    """The longer of the two counts for each attempt."""
    world.override("TEST", retry_count=1, retry_delay_seconds=100_000)

    world.send(request_id="r-1")

    kept = request_of(world).ttl - world.clock.now()
    assert kept == 90 * DAY + 2 * (100_000 + 60 + 900)


def test_an_expiry_is_kept_in_both_rows(world):
    """The worker reads ``expires_at`` from the message row."""
    world.send(request_id="r-1", expires_at=at(world, 12.5))

    expiry = world.clock.now() + 12.5
    assert (request_of(world).expires_at, message_of(world).expires_at) == (expiry, expiry)


# Identity -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "header", "identity"),
    [
        ({"request_id": "r-1"}, None, "r-1"),
        ({}, "k-1", "k-1"),
        ({"request_id": "k-1"}, "k-1", "k-1"),
        ({}, "k" * 256, "k" * 256),
        # A structured string (RFC 9651).
        ({}, '"k-1"', "k-1"),
        ({"request_id": "k-1"}, '"k-1"', "k-1"),
        ({}, f'"{"k" * 256}"', "k" * 256),
        ({}, r'"say\"so\\"', r'say"so' + "\\"),
        # No structured string: the key is the header as it is.
        ({}, '"', '"'),
        ({}, '"k-1', '"k-1'),
        ({}, 'k-"1"', 'k-"1"'),
        ({}, '"k"-"1"', '"k"-"1"'),
        ({}, r'"k\1"', r'"k\1"'),
        ({"request_id": '"k-1"'}, None, '"k-1"'),
    ],
)
def test_a_request_is_identified_by_its_body_or_by_the_header(world, body, header, identity):
    """A header in double quotes is a structured string, whose text is the key."""
    accepted = world.acceptance.accept(USER, {"content": "x", **body}, header)

    assert accepted.response["request_id"] == identity
    assert request_of(world, identity).request_id == identity


def test_a_request_without_an_id_gets_the_id_of_its_message(world):
    """Two requests without an ID are two messages."""
    first, second = (
        world.acceptance.accept(USER, {"content": "x"}).response["request_id"] for _ in range(2)
    )

    assert first != second
    assert request_of(world, first).message_id == first


@pytest.mark.parametrize(
    ("body", "header", "field_error"),
    [
        *(
            (
                {"request_id": "r-1"},
                key,
                FieldError(
                    "/request_id",
                    "differs from the header Idempotency-Key: give one of them, or both alike",
                ),
            )
            for key in ("k-1", '"k-1"', '"r-1')
        ),
        *(
            (
                {},
                key,
                FieldError("", "the header Idempotency-Key must be 1-256 visible ASCII characters"),
            )
            for key in ("", " ", "a b", "k" * 257, "\u00e9", '""', '"a b"', f'"{"k" * 257}"')
        ),
    ],
)
def test_an_unusable_key_is_rejected(world, body, header, field_error):
    """A rejected request writes nothing and rings nothing."""
    with pytest.raises(InvalidInputError) as caught:
        world.acceptance.accept(USER, {"content": "x", **body}, header)

    assert caught.value.field_errors == (field_error,)
    assert (world.table.rows, world.doorbells.rung) == ({}, [])


def test_the_same_request_of_another_user_is_another_request(world):
    """An identity holds in the scope of its user."""
    first = world.acceptance.accept(USER, BODY)

    other = world.acceptance.accept("grace", BODY)

    assert other.replayed is False
    assert other.response["deliveries"] != first.response["deliveries"]
    assert len(world.table.rows) == 4


@pytest.mark.parametrize(("after", "replayed"), [(-0.001, True), (0.0, True), (0.001, False)])
def test_a_request_is_the_identity_until_its_ttl(world, after, replayed):
    """After its ``ttl`` the name makes a new message, even if the row is still stored."""
    first = world.acceptance.accept(USER, BODY)
    before = request_of(world)
    world.clock.seconds = before.ttl + after

    again = world.acceptance.accept(USER, BODY)

    now, messages = request_of(world), world.table.messages()
    assert (again.replayed, again.response == first.response) == (replayed, replayed)
    assert (now == before, len(messages)) == (replayed, 1 if replayed else 2)
    assert now.message_id in {row.message_id for row in messages}


def test_an_expired_request_does_not_block_another_message_of_its_name(world):
    """Its fingerprint no longer counts."""
    world.acceptance.accept(USER, BODY)
    world.clock.seconds = request_of(world).ttl + 1

    accepted = world.acceptance.accept(USER, {**BODY, "content": "Other"})

    assert (accepted.replayed, request_of(world).content) == (False, "Other")


# Repeats ------------------------------------------------------------------------------------------


def test_a_repeated_request_gets_the_same_response(world):
    """A repeat writes nothing and rings nothing, even if the user's settings changed meanwhile."""
    first = world.acceptance.accept(USER, BODY)
    before = dict(world.table.rows)
    world.doorbells.taken()
    world.override("TEST", enabled=False)
    world.clock.advance(30 * DAY)

    again = world.acceptance.accept(USER, {**BODY, "mode": "all"})

    assert (again.response, again.replayed) == (first.response, True)
    assert (world.table.rows, world.doorbells.rung) == (before, [])
    assert world.event_log.events() == ["message.accepted"]


def test_a_repeat_shows_the_deliveries_as_they_were_accepted(world):
    """The response is computed from the request row, which never changes."""
    first = world.acceptance.accept(USER, BODY)
    world.run()

    again = world.acceptance.accept(USER, BODY)

    assert message_of(world).deliveries[0].status == "success"
    assert (again.response, again.replayed) == (first.response, True)


def test_the_order_of_integration_types_makes_no_other_request(world):
    """``integration_types`` is a set."""
    world.webhook()
    first = world.acceptance.accept(USER, {**BODY, "integration_types": ["TEST", "WEBHOOK"]})

    again = world.acceptance.accept(USER, {**BODY, "integration_types": ["webhook", "test"]})

    assert (again.response, again.replayed) == (first.response, True)


def test_a_repeat_takes_a_refused_put_and_a_read():
    """The row in the refusal decides; the message is read to see that it exists."""
    calls = []
    world = watched(calls)
    world.acceptance.accept(USER, BODY)
    calls.clear()

    world.acceptance.accept(USER, BODY)

    assert calls == ["put_request", "message"]


def test_the_same_name_for_another_message_is_rejected(world):
    """Nothing is written or rung, and the first message stays."""
    world.acceptance.accept(USER, BODY)
    before = dict(world.table.rows)
    world.doorbells.taken()

    with pytest.raises(InvalidInputError) as caught:
        world.acceptance.accept(USER, {**BODY, "content": "Other"})

    assert caught.value.field_errors == (
        FieldError("/request_id", "'r-1' was used for another message: use a new one"),
    )
    assert (world.table.rows, world.doorbells.rung) == (before, [])


def test_a_request_is_repeated_after_its_times_have_passed(world):
    """A caller that got no response may ask again after ``expires_at``; no other request may."""
    body = {**BODY, "expires_at": at(world, 60)}
    first = world.acceptance.accept(USER, body)
    before = dict(world.table.rows)
    world.doorbells.taken()
    world.clock.advance(120)

    again = world.acceptance.accept(USER, body)

    assert (again.response, again.replayed) == (first.response, True)
    for other in ({**body, "request_id": "r-2"}, {**body, "content": "Other"}):
        with pytest.raises(InvalidInputError) as caught:
            world.acceptance.accept(USER, other)
        assert [field_error.pointer for field_error in caught.value.field_errors] == ["/expires_at"]
    assert (world.table.rows, world.doorbells.rung) == (before, [])


@pytest.mark.parametrize(("after", "is_rejected"), [(0, False), (0.001, True)])
def test_a_request_that_expired_is_not_repeated_after_its_times(world, after, is_rejected):
    """After its ``ttl`` the request would be a new message, for which it is too late."""
    body = {**BODY, "expires_at": at(world, 60)}
    first = world.acceptance.accept(USER, body)
    world.clock.seconds = request_of(world).ttl + after

    if is_rejected:
        with pytest.raises(InvalidInputError, match="must be in the future"):
            world.acceptance.accept(USER, body)
    else:
        assert world.acceptance.accept(USER, body).response == first.response


# Requests without their message -------------------------------------------------------------------


def test_a_request_without_its_message_is_completed_from_the_stored_body():
    """IDs, times and deliveries are those of the first call, whatever changed since."""
    world = orphaned(expires_at="2099-01-01T00:00:00Z", session_id="s-1", subject="Rain")
    request = request_of(world)
    world.override("TEST", enabled=False, retry_count=9)
    world.clock.advance(100)

    accepted = world.acceptance.accept(
        USER, {**BODY, "expires_at": "2099-01-01T00:00:00Z", "session_id": "s-1", "subject": "Rain"}
    )

    message = message_of(world)
    expected = transitions.accept(request, now=world.clock.now()).row
    assert (accepted.response["deliveries"], accepted.replayed) == (
        [
            {
                "delivery_id": delivery_id(request.message_id, 0),
                "integration_type": "TEST",
                "priority": 5,
                "status": "pending",
                "locked": False,
                "held": None,
            }
        ],
        True,
    )
    assert request_of(world) == request
    assert message == replace(expected, rev=message.rev)
    assert message.created_at == world.clock.now() - 100
    assert world.doorbells.rung == [rung_for(world)]


def test_a_completed_request_is_logged_as_accepted():
    """The call that failed accepted nothing, so its event is written by the call that does."""
    world = orphaned()

    world.acceptance.accept(USER, BODY)
    world.acceptance.accept(USER, BODY)

    assert world.event_log.lines == [
        (
            "message.accepted",
            {
                "user_id": USER,
                "request_id": "r-1",
                "deliveries": {delivery_id(request_of(world).message_id, 0): "TEST"},
                "skipped": unused(ENVIRON, "TEST"),
            },
        )
    ]


@pytest.mark.parametrize(("passed", "delay"), [(0, 600), (100.5, 500), (700, 0)])
def test_a_completed_request_is_rung_for_at_its_own_time(passed, delay):
    """The stored ``deliver_at`` counts."""
    begin = World()
    body = {"deliver_at": at(begin, 600)}
    world = orphaned(**body)
    world.clock.advance(passed)

    world.acceptance.accept(USER, {**BODY, **body})

    assert world.doorbells.rung == [rung_for(world, delay)]


def test_a_request_is_completed_after_its_times_have_passed():
    """The message expires then, but it exists, so the response was true."""
    begin = World()
    body = {"expires_at": at(begin, 60)}
    world = orphaned(**body)
    world.clock.advance(120)

    accepted = world.acceptance.accept(USER, {**BODY, **body})
    world.run()

    only = accepted.response["deliveries"][0]["delivery_id"]
    assert (accepted.replayed, world.delivery(only).error_code) == (True, "expired")
    assert world.channels["TEST"].messages == []


def test_a_request_that_another_call_completes_meanwhile_stays_as_it_is():
    """The second put is refused, and what happened to the message since is kept."""
    world = orphaned()
    rival = Faulty(world.table, lambda _: (accept_and_deliver(), "")[1], "create")
    context = replace(world.context, messages=rival)
    late = replace(world.acceptance, context=context)

    def accept_and_deliver() -> None:
        world.acceptance.accept(USER, BODY)
        world.run()

    accepted = late.accept(USER, BODY)

    message = message_of(world)
    assert accepted.replayed is True
    assert message.deliveries[0].status == "success"
    assert len(world.channels["TEST"].messages) == 1
    world.run()
    assert message_of(world) == message


# Faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["put_request", "create"])
def test_a_put_that_the_client_repeats_is_made_once(call):
    """The refusal shows this call's own row: the request is new, and rung for once."""
    world = faulty(call, "repeated")

    accepted = world.acceptance.accept(USER, BODY)

    assert accepted.replayed is False
    assert len(world.table.rows) == 2
    assert world.doorbells.rung == [rung_for(world)]


@pytest.mark.parametrize(
    ("call", "fate", "written", "rung_before_the_sweep"),
    [
        ("put_request", "throttled", 0, 1),
        ("put_request", "lost", 1, 1),
        ("create", "throttled", 1, 1),
        ("create", "lost", 2, 0),
    ],
)
def test_a_put_that_fails_is_repeated_by_the_caller(call, fate, written, rung_before_the_sweep):
    """No 202 before both puts; the repeated request leads to one message and its ring."""
    world = faulty(call, fate)

    with pytest.raises(UnavailableError):
        world.acceptance.accept(USER, BODY)

    assert (len(world.table.rows), world.doorbells.rung) == (written, [])
    accepted = world.acceptance.accept(USER, BODY)
    assert accepted.replayed is bool(written)
    assert len(world.table.rows) == 2
    assert world.doorbells.rung == [rung_for(world)] * rung_before_the_sweep
    world.clock.advance(61)
    world.sweeper.sweep()
    assert world.doorbells.rung[rung_before_the_sweep:] == [rung_for(world, queue="retry")]


def test_a_read_that_fails_completes_nothing():
    """Whether the message exists is unknown, so the caller has to ask again."""
    world = faulty("message", "throttled")
    world.acceptance.accept(USER, BODY)
    before = dict(world.table.rows)

    with pytest.raises(UnavailableError):
        world.acceptance.accept(USER, BODY)

    assert world.table.rows == before


def test_a_failed_ring_loses_nothing(world):
    """The message is accepted, and the sweeper rings for it."""
    world.doorbells.broken = True
    accepted = world.acceptance.accept(USER, BODY)
    world.doorbells.broken = False
    world.clock.advance(60)

    world.sweeper.sweep()

    assert len(accepted.response["deliveries"]) == 1
    assert world.event_log.lines[0] == ("doorbell.lost", {"user_id": USER, "request_id": "r-1"})
    assert world.doorbells.rung == [rung_for(world, queue="retry")]


def test_a_broken_setting_accepts_nothing():
    """Nothing is written and nothing is rung."""
    world = World(INTEGRATION_DEFAULTS_SMS_PRIORITY="high")

    with pytest.raises(BrokenSettingError):
        world.acceptance.accept(USER, BODY)

    assert (world.table.rows, world.doorbells.rung) == ({}, [])


# Deliveries and skipped integrations --------------------------------------------------------------


def test_each_skipped_integration_has_its_reason(world):
    """All types are named, in the order of the table; a missing address names its key."""
    world.override("EMAIL", enabled=True)
    world.override("SMS", enabled=True)
    world.override("TEST", enabled=False)

    other = world.acceptance.accept("ada", {"content": "x"}).response
    mine = world.acceptance.accept(USER, {"content": "x"}).response

    assert other["skipped"] == skipped(unused(ENVIRON, "TEST"))
    assert [delivery["integration_type"] for delivery in mine["deliveries"]] == ["EMAIL"]
    told = {one["integration_type"]: one for one in mine["skipped"]}
    assert list(told) == [name for name in catalogue() if name != "EMAIL"]
    assert [told[name] for name in ("SLACK", "WEBHOOK", "SMS", "TEST")] == [
        {"integration_type": "SLACK", "reason": "not_configured"},
        {"integration_type": "WEBHOOK", "reason": "disabled_by_default"},
        {
            "integration_type": "SMS",
            "reason": "no_address",
            "detail": "no address is known: set config.phone_number in the user's SMS override",
        },
        {"integration_type": "TEST", "reason": "disabled_by_user"},
    ]


def test_a_message_can_be_restricted_to_some_integrations(world):
    """The response names only those."""
    world.webhook()

    response = world.acceptance.accept(
        USER, {"content": "x", "integration_types": ["SMS", "WEBHOOK", "EMAIL"]}
    ).response

    assert [delivery["integration_type"] for delivery in response["deliveries"]] == ["WEBHOOK"]
    assert response["skipped"] == [
        {"integration_type": "EMAIL", "reason": "not_configured"},
        {"integration_type": "SMS", "reason": "disabled_by_default"},
    ]


def test_a_request_with_nothing_to_deliver_is_one_put():
    """The request is kept for its identity; there is no message and no ring."""
    calls = []
    world = watched(calls)
    body = {**BODY, "integration_types": ["SLACK", "EMAIL"]}

    accepted = world.acceptance.accept(USER, body)
    again = world.acceptance.accept(USER, body)

    response = {
        "request_id": "r-1",
        "user_id": USER,
        "category": None,
        "deliveries": [],
        "skipped": NOT_CONFIGURED,
    }
    assert (accepted.response, accepted.replayed) == (response, False)
    assert (again.response, again.replayed) == (response, True)
    assert calls == ["put_request", "put_request"]
    assert list(world.table.rows) == [(USER, "REQUEST#r-1")]
    assert request_of(world).ttl == world.clock.now() + 90 * DAY
    assert world.event_log.events() == ["message.accepted"]


def test_an_address_in_the_request_is_an_address(world):
    """``no_address`` is the reason only if an address is certainly missing."""
    world.override("SMS", enabled=True)
    body = {
        "content": "x",
        "integration_types": ["SMS"],
        "recipient": {"phone_number": "+14155552671"},
    }

    other = world.acceptance.accept("ada", body).response
    mine = world.acceptance.accept(USER, body).response

    assert (len(other["deliveries"]), len(mine["deliveries"])) == (0, 1)


def test_a_placeholder_of_a_hidden_url_is_an_address(world):
    """A config value that is read back as ``***`` is stored."""
    world.webhook(config={**HOOK, "url": "https://hooks.example.com/x?key=***"})

    assert len(world.send(integration_types=["WEBHOOK"])) == 1


def test_deliveries_are_listed_in_the_users_order(world):
    """The order is ascending priority, and the delivery IDs ascend with it."""
    world.webhook(priority=9)
    world.override("SMS", enabled=True, priority=5, config={"phone_number": "+14155552671"})

    deliveries = world.acceptance.accept(USER, {"content": "x"}).response["deliveries"]

    assert [(one["integration_type"], one["priority"]) for one in deliveries] == [
        ("SMS", 5),
        ("TEST", 5),
        ("WEBHOOK", 9),
    ]
    assert [one["delivery_id"][-2:] for one in deliveries] == ["01", "02", "03"]


def test_a_first_success_message_is_rung_for_once(world):
    """Waiting is not stored: all deliveries are due, and the mode says which one is attempted."""
    world.webhook()

    ids = world.send(request_id="r-1", mode="first_success")

    now, message = world.clock.now(), message_of(world)
    assert (message.mode, message.sweep_at) == ("first_success", now + 60)
    assert [delivery.due_at for delivery in message.deliveries] == [now, now]
    assert [world.history.detail(USER, one)["next_attempt_at"] is None for one in ids] == [
        False,
        True,
    ]
    assert world.doorbells.rung == [rung_for(world)]


# Later deliveries ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "due", "sweep", "delay"),
    [
        (-500, 0, 60, 0),
        (0, 0, 60, 0),
        (0.5, 0.5, 60.5, 1),
        (45, 45, 105, 45),
        (900, 900, 960, 900),
        (900.5, 900.5, 0.5, None),
        (30 * DAY, 30 * DAY, 30 * DAY - 900, None),
    ],
)
def test_a_later_delivery_is_rung_for_at_its_time(world, ahead, due, sweep, delay):
    """Up to 900 s ahead the ring is delayed; a later one is the sweeper's."""
    (only,) = world.send(request_id="r-1", deliver_at=at(world, ahead))

    now, row = world.clock.now(), world.row(only)
    assert (request_of(world).due_at - now, row.deliveries[0].due_at - now) == (due, due)
    assert row.sweep_at - now == sweep
    assert world.doorbells.rung == ([] if delay is None else [rung_for(world, delay)])
