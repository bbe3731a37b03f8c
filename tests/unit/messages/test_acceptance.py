"""Accepting a message: one transaction, one ring, one answer however often it is asked for."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from dispatcher.delivery.doorbells import RequestBell
from dispatcher.delivery.protocol import shard_of
from dispatcher.delivery.rows import Delivery
from dispatcher.errors import BrokenSettingError, FieldError, InvalidInputError, UnavailableError
from dispatcher.messages.bodies import send_body
from tests.fakes import Faulty
from tests.world import HOOK, USER, World

DAY = 86_400
BODY = {"request_id": "r-1", "content": "Hello"}
NOT_CONFIGURED = [
    {"integration_type": name, "reason": "not_configured"} for name in ("SLACK", "EMAIL")
]


def at(world, seconds: float) -> str:
    """Write a time that lies so far from now."""
    return datetime.fromtimestamp(world.clock.now() + seconds, UTC).isoformat()


def rows(world) -> dict:
    """Return the table as it is."""
    return json.loads(json.dumps(sorted(world.deliveries.rows.items())))


def stored(world) -> list[Delivery]:
    """Return the deliveries in order of their ids."""
    return [
        Delivery.of(row)
        for key, row in sorted(world.deliveries.rows.items())
        if key[1].startswith("DELIVERY#")
    ]


def test_a_message_becomes_a_request_and_a_row_per_integration(world):
    """All that the contract names, in one transaction; then one ring for the request."""
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
        "integration_types": ["TEST", "WEBHOOK"],
    }

    accepted = world.acceptance.accept(USER, body)

    first, second = (one["delivery_id"] for one in accepted.answer["deliveries"])
    fingerprint = send_body(body, {}).fingerprint()
    common = {
        "user_id": USER,
        "request_id": "r-1",
        "session_id": "s-1",
        "status": "pending",
        "created_at": now,
        "due_at": now,
        "sweep_at": now + 60,
        "sweep_shard": shard_of(USER),
        "fingerprint": fingerprint,
    }
    answer = {
        "request_id": "r-1",
        "user_id": USER,
        "deliveries": [
            {
                "delivery_id": first,
                "integration_type": "WEBHOOK",
                "priority": 3,
                "status": "pending",
            },
            {"delivery_id": second, "integration_type": "TEST", "priority": 5, "status": "pending"},
        ],
        "skipped": [],
    }
    request = world.request("r-1")
    assert (accepted.answer, accepted.replayed) == (answer, False)
    assert stored(world) == [
        Delivery(
            delivery_id=first,
            integration_type="WEBHOOK",
            priority=3,
            max_attempts=5,
            retry_delay_seconds=7,
            **common,
        ),
        Delivery(
            delivery_id=second,
            integration_type="TEST",
            priority=5,
            max_attempts=2,
            retry_delay_seconds=10,
            **common,
        ),
    ]
    assert request == {
        "user_id": USER,
        "sk": "REQUEST#r-1",
        "request_id": "r-1",
        "fingerprint": fingerprint,
        "author": request["author"],
        "answer": answer,
        "created_at": now,
        "ttl": int(now + 90 * DAY + 5 * (DAY + 60 + 900)) + 1,
        "subject": "For Ada",
        "content": "Hello Ada",
        "agent_id": "a-1",
        "recipient": {"phone_number": "+14155552671"},
    }
    assert world.doorbells.rung == [("delivery", RequestBell(USER, "r-1"), 0)]
    assert world.event_log.lines == [
        (
            "message.accepted",
            {
                "user_id": USER,
                "request_id": "r-1",
                "deliveries": {first: "WEBHOOK", second: "TEST"},
                "skipped": {},
            },
        )
    ]


# Identity -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "header", "identity"),
    [
        ({"request_id": "r-1"}, None, "r-1"),
        ({}, "k-1", "k-1"),
        ({"request_id": "k-1"}, "k-1", "k-1"),
    ],
)
def test_a_request_is_named_by_its_body_or_by_the_header(world, body, header, identity):
    """Or by both alike."""
    accepted = world.acceptance.accept(USER, {"content": "x", **body}, header)

    assert accepted.answer["request_id"] == identity
    assert world.request(identity)["request_id"] == identity


def test_a_nameless_request_is_given_a_name(world):
    """Two of them are two."""
    first, second = (
        world.acceptance.accept(USER, {"content": "x"}).answer["request_id"] for _ in range(2)
    )

    assert first != second
    assert world.request(first) is not None


@pytest.mark.parametrize(
    ("body", "header", "field_error"),
    [
        (
            {"request_id": "r-1"},
            "k-1",
            FieldError(
                "/request_id", "differs from the header Idempotency-Key: give one, or both alike"
            ),
        ),
        *(
            (
                {},
                key,
                FieldError("", "the header Idempotency-Key must be 1-256 visible ASCII characters"),
            )
            for key in ("", " ", "a b", "k" * 257, "\u00e9")
        ),
    ],
)
def test_a_key_that_cannot_be_used_is_refused(world, body, header, field_error):
    """Nothing is written, nothing rung."""
    with pytest.raises(InvalidInputError) as caught:
        world.acceptance.accept(USER, {"content": "x", **body}, header)

    assert caught.value.field_errors == (field_error,)
    assert (world.deliveries.rows, world.doorbells.rung) == ({}, [])


def test_a_longest_key_is_a_name(world):
    """256 characters."""
    assert world.acceptance.accept(USER, {"content": "x"}, "k" * 256).answer["deliveries"]


# Again --------------------------------------------------------------------------------------------


def test_the_same_request_again_gets_the_same_answer(world):
    """It writes nothing and rings nobody, also where the user's settings changed meanwhile."""
    first = world.acceptance.accept(USER, BODY)
    before = rows(world)
    world.doorbells.taken()
    world.override("TEST", enabled=False)
    world.clock.advance(30 * DAY)

    again = world.acceptance.accept(USER, {**BODY, "mode": "all"})

    assert (again.answer, again.replayed) == (first.answer, True)
    assert (rows(world), world.doorbells.rung) == (before, [])
    assert world.event_log.events() == ["message.accepted"]


def test_the_same_request_again_gets_its_answer_after_its_own_deadline(world):
    """Whoever did not get the answer asks again, however late; nobody else may be that late."""
    body = {**BODY, "expires_at": at(world, 60)}
    first = world.acceptance.accept(USER, body)
    world.clock.advance(120)

    again = world.acceptance.accept(USER, body)

    assert (again.answer, again.replayed) == (first.answer, True)
    for other in ({**body, "request_id": "r-2"}, {**body, "content": "Other"}):
        with pytest.raises(InvalidInputError) as caught:
            world.acceptance.accept(USER, other)
        assert [field_error.pointer for field_error in caught.value.field_errors] == ["/expires_at"]


def test_the_same_request_of_another_user_is_another_request(world):
    """An identity holds in the scope of its user."""
    first = world.acceptance.accept(USER, BODY)

    other = world.acceptance.accept("grace", BODY)

    assert other.replayed is False
    assert other.answer["deliveries"] != first.answer["deliveries"]
    assert len(world.deliveries.rows) == 4


def test_the_same_name_for_another_message_is_refused(world):
    """Nothing is written, nothing rung; the first message stays."""
    world.acceptance.accept(USER, BODY)
    before = rows(world)
    world.doorbells.taken()

    with pytest.raises(InvalidInputError) as caught:
        world.acceptance.accept(USER, {**BODY, "content": "Other"})

    assert caught.value.field_errors == (
        FieldError("/request_id", "'r-1' was used for another message: take a new one"),
    )
    assert (rows(world), world.doorbells.rung) == (before, [])


@pytest.mark.parametrize(("after", "replayed"), [(-0.001, True), (0.0, True), (0.001, False)])
def test_a_request_is_known_as_long_as_it_is_kept(world, after, replayed):
    """Then its name is free, whether or not the row was removed by then."""
    first = world.acceptance.accept(USER, BODY)
    world.clock.seconds = world.request("r-1")["ttl"] + after

    again = world.acceptance.accept(USER, BODY)

    assert (again.replayed, again.answer == first.answer) == (replayed, replayed)
    assert len(stored(world)) == (1 if replayed else 2)


def test_the_own_answer_lost_on_the_way_is_a_first_time():
    """A refusal by the row that this very call wrote: go on, and ring."""
    world = World(wrap=lambda port: Faulty(port, lambda _: "repeated", "commit"))

    accepted = world.acceptance.accept(USER, BODY)

    assert accepted.replayed is False
    assert world.request("r-1")["answer"] == accepted.answer
    assert world.doorbells.rung == [("delivery", RequestBell(USER, "r-1"), 0)]


@pytest.mark.parametrize(("fate", "written"), [("throttled", 0), ("lost", 2)])
def test_a_faulty_transaction_is_told(fate, written):
    """The caller asks again; what was written all the same answers, and the sweeper rings."""
    fates = [fate]
    world = World(wrap=lambda port: Faulty(port, lambda _: fates.pop() if fates else "", "commit"))

    with pytest.raises(UnavailableError):
        world.acceptance.accept(USER, BODY)

    assert (len(world.deliveries.rows), world.doorbells.rung) == (written, [])
    assert world.acceptance.accept(USER, BODY).replayed is bool(written)
    world.clock.advance(61)
    world.sweeper.sweep()
    assert ("delivery", RequestBell(USER, "r-1"), 0) in world.doorbells.rung


def test_a_request_that_vanishes_while_it_is_compared_is_asked_for_again():
    """Its time to live ended between refusal and reading."""
    world = World()
    world.acceptance.accept(USER, BODY)
    vanishing = Faulty(world.deliveries, lambda _: world.deliveries.rows.clear(), "get")
    world.acceptance = type(world.acceptance)(
        **{
            name: getattr(world.acceptance, name)
            for name in world.acceptance.__dataclass_fields__
            if name != "deliveries"
        },
        deliveries=vanishing,
    )

    with pytest.raises(UnavailableError, match="try again"):
        world.acceptance.accept(USER, BODY)


# Who gets it --------------------------------------------------------------------------------------


def test_what_gets_no_delivery_is_named_with_its_reason(world):
    """Of all seven, in the order of the table; a missing address with the key to set."""
    world.override("EMAIL", enabled=True)
    world.override("SMS", enabled=True)
    world.override("TEST", enabled=False)

    answer = world.acceptance.accept("ada", {"content": "x"}).answer
    mine = world.acceptance.accept(USER, {"content": "x"}).answer

    assert answer["skipped"] == [
        *NOT_CONFIGURED,
        {"integration_type": "WEBHOOK", "reason": "disabled_by_default"},
        {"integration_type": "SMS", "reason": "disabled_by_default"},
        {"integration_type": "CLI", "reason": "disabled_by_default"},
        {"integration_type": "TOOL", "reason": "not_configured"},
    ]
    assert [one["integration_type"] for one in mine["deliveries"]] == ["EMAIL"]
    assert mine["skipped"] == [
        {"integration_type": "SLACK", "reason": "not_configured"},
        {"integration_type": "WEBHOOK", "reason": "disabled_by_default"},
        {
            "integration_type": "SMS",
            "reason": "no_address",
            "detail": "no address is known: set config.phone_number in the user's SMS override",
        },
        {"integration_type": "TEST", "reason": "disabled_by_user"},
        {"integration_type": "CLI", "reason": "disabled_by_default"},
        {"integration_type": "TOOL", "reason": "not_configured"},
    ]


def test_a_message_can_be_restricted_to_some_integrations(world):
    """Only those are spoken of."""
    world.webhook()

    answer = world.acceptance.accept(
        USER, {"content": "x", "integration_types": ["SMS", "WEBHOOK", "EMAIL"]}
    ).answer

    assert [one["integration_type"] for one in answer["deliveries"]] == ["WEBHOOK"]
    assert answer["skipped"] == [
        {"integration_type": "EMAIL", "reason": "not_configured"},
        {"integration_type": "SMS", "reason": "disabled_by_default"},
    ]


def test_a_user_who_gets_nothing_is_told_so(world):
    """The request is kept for its identity; nobody is rung for."""
    body = {**BODY, "integration_types": ["SLACK", "EMAIL"]}

    accepted = world.acceptance.accept(USER, body)

    assert accepted.answer == {
        "request_id": "r-1",
        "user_id": USER,
        "deliveries": [],
        "skipped": NOT_CONFIGURED,
    }
    assert list(world.deliveries.rows) == [(USER, "REQUEST#r-1")]
    assert world.request("r-1")["ttl"] == world.clock.now() + 90 * DAY + 1
    assert world.doorbells.rung == []
    assert world.acceptance.accept(USER, body).replayed is True


def test_an_address_sent_along_is_an_address(world):
    """``no_address`` only where it is certainly missing."""
    world.override("SMS", enabled=True)
    body = {
        "content": "x",
        "integration_types": ["SMS"],
        "recipient": {"phone_number": "+14155552671"},
    }

    answer = world.acceptance.accept("ada", {**body}).answer
    mine = world.acceptance.accept(USER, {**body}).answer

    assert (len(answer["deliveries"]), len(mine["deliveries"])) == (0, 1)


def test_deliveries_stand_in_the_users_order(world):
    """Ascending priority; the ids sort as the deliveries do."""
    world.webhook(priority=9)
    world.override("SMS", enabled=True, priority=5, config={"phone_number": "+14155552671"})

    deliveries = world.acceptance.accept(USER, {"content": "x"}).answer["deliveries"]

    assert [(one["integration_type"], one["priority"]) for one in deliveries] == [
        ("SMS", 5),
        ("TEST", 5),
        ("WEBHOOK", 9),
    ]
    ids = [one["delivery_id"] for one in deliveries]
    assert ids == sorted(ids)


# One after the other ------------------------------------------------------------------------------


def test_first_success_lets_all_but_the_first_wait(world):
    """Each row knows its siblings in order; who waits is nothing to the sweeper."""
    world.webhook()
    world.override("SMS", enabled=True, config={"phone_number": "+14155552671"})

    ids = world.send(mode="first_success")

    now = world.clock.now()
    assert [(row.waits, row.sweep_at, row.chain) for row in map(world.row, ids)] == [
        (False, now + 60, tuple(ids)),
        (True, None, tuple(ids)),
        (True, None, tuple(ids)),
    ]
    assert all(row["next_attempt_at"] is None for row in (world.row(ids[2]).as_json(),))


def test_first_success_of_one_is_a_delivery_like_any_other(world):
    """No chain, nobody waits."""
    (only,) = world.send(mode="first_success")

    assert (world.row(only).waits, world.row(only).chain) == (False, ())


# Time ---------------------------------------------------------------------------------------------


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
def test_a_later_delivery_is_rung_for_later(world, ahead, due, sweep, delay):
    """Up to 900 s by the ring's own delay, beyond that by the sweeper."""
    (only,) = world.send(request_id="r-1", deliver_at=at(world, ahead))

    now, row = world.clock.now(), world.row(only)
    assert (row.due_at - now, row.sweep_at - now) == (due, sweep)
    assert world.doorbells.rung == (
        [] if delay is None else [("delivery", RequestBell(USER, "r-1"), delay)]
    )


@pytest.mark.parametrize(("mode", "rounds"), [("all", 3 * 87_360), ("first_success", 5 * 87_360)])
@pytest.mark.parametrize("ahead", [0, 5 * DAY])
def test_a_request_is_kept_until_its_last_retry_could_end(world, mode, rounds, ahead):
    """The retention after the longest round, or after all of them where they follow another."""
    world.webhook(retry_count=2, retry_delay_seconds=1)

    world.send(request_id="r-1", mode=mode, deliver_at=at(world, ahead))

    kept = world.request("r-1")["ttl"] - world.clock.now()
    assert kept == ahead + 90 * DAY + rounds + 1


def test_an_expiry_is_kept_with_each_delivery(world):
    """As a time."""
    (only,) = world.send(expires_at=at(world, 12.5))

    assert world.row(only).expires_at == world.clock.now() + 12.5


# Faults -------------------------------------------------------------------------------------------


def test_a_ring_that_fails_loses_nothing(world):
    """The message is accepted all the same, and the sweeper rings."""
    world.doorbells.broken = True
    accepted = world.acceptance.accept(USER, BODY)
    world.doorbells.broken = False
    world.clock.advance(60)

    world.sweeper.sweep()

    assert len(accepted.answer["deliveries"]) == 1
    assert world.event_log.lines[0] == ("doorbell.lost", {"user_id": USER, "request_id": "r-1"})
    assert world.doorbells.rung == [("delivery", RequestBell(USER, "r-1"), 0)]


def test_a_broken_setting_accepts_nothing():
    """Nothing is written, nothing rung."""
    world = World(INTEGRATION_DEFAULTS_SMS_PRIORITY="high")

    with pytest.raises(BrokenSettingError):
        world.acceptance.accept(USER, BODY)

    assert (world.deliveries.rows, world.doorbells.rung) == ({}, [])


def test_a_placeholder_of_a_hidden_url_is_an_address(world):
    """What is read back as ``***`` is there."""
    world.webhook(config={**HOOK, "url": "https://hooks.example.com/x?key=***"})

    assert len(world.send(integration_types=["WEBHOOK"])) == 1
