"""Requests: what one accepted send became."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dispatcher.delivery.describe import delivery_response
from dispatcher.delivery.outcomes import Permanent
from dispatcher.errors import NotFoundError, UnavailableError
from dispatcher.responses import rfc3339
from tests.fakes import Faulty
from tests.world import USER, World

SKIPPED = [
    {"integration_type": "SLACK", "reason": "not_configured"},
    {"integration_type": "EMAIL", "reason": "not_configured"},
    {
        "integration_type": "SMS",
        "reason": "no_address",
        "detail": "no address is known: set config.phone_number in the user's SMS override",
    },
]


def at(world, seconds: float) -> str:
    """Write a time that lies so far from now."""
    return datetime.fromtimestamp(world.clock.now() + seconds, UTC).isoformat()


def assert_not_found(world, request_id: str = "r-1", user_id: str = USER) -> None:
    """Check that the user has no such request."""
    with pytest.raises(NotFoundError) as caught:
        world.requests.detail(user_id, request_id)
    assert str(caught.value) == f"User {user_id} has no request {request_id}."


def test_a_request_is_shown_with_its_deliveries_in_order(world):
    """The request's own fields, the current state of each delivery, and what was skipped."""
    world.webhook()
    world.override("SMS", enabled=True)
    created_at = world.clock.now()
    ids = world.send(
        request_id="r-1",
        session_id="s-1",
        agent_id="a-1",
        subject="For $who",
        content="Hello",
        template_variables={"who": "Ada"},
        integration_types=["SLACK", "EMAIL", "WEBHOOK", "SMS", "TEST"],
        mode="first_success",
        expires_at=at(world, 60),
    )
    world.channels["WEBHOOK"].outcomes.append(Permanent("http_404", "no"))
    world.run()

    response = world.requests.detail(USER, "r-1")

    assert response == {
        "request_id": "r-1",
        "user_id": USER,
        "session_id": "s-1",
        "agent_id": "a-1",
        "subject": "For Ada",
        "created_at": rfc3339(created_at),
        "deliver_at": None,
        "expires_at": rfc3339(created_at + 60),
        "mode": "first_success",
        "deliveries": [delivery_response(world.row(ids[0]), place) for place in (0, 1)],
        "skipped": SKIPPED,
    }
    shown = [
        (one["delivery_id"], one["integration_type"], one["status"])
        for one in response["deliveries"]
    ]
    assert shown == [(ids[0], "WEBHOOK", "failed"), (ids[1], "TEST", "success")]


def test_fields_that_the_caller_left_out_are_null(world):
    """All named fields are always present."""
    world.send(request_id="r-1")

    response = world.requests.detail(USER, "r-1")

    absent = ("session_id", "agent_id", "subject", "deliver_at", "expires_at")
    assert [response[name] for name in absent] == [None] * 5
    assert response["mode"] == "all"


@pytest.mark.parametrize(("ahead", "is_shown"), [(-60, False), (0, False), (0.001, True)])
def test_deliver_at_is_null_unless_it_is_after_the_acceptance(world, ahead, is_shown):
    """A time that has passed means now."""
    world.send(request_id="r-1", deliver_at=at(world, ahead))

    response = world.requests.detail(USER, "r-1")

    assert response["deliver_at"] == (rfc3339(world.clock.now() + ahead) if is_shown else None)
    assert response["deliveries"][0]["next_attempt_at"] == rfc3339(
        world.clock.now() + max(0, ahead)
    )


def test_a_request_with_nothing_to_deliver_is_shown(world):
    """It has no message row; the reasons explain why nothing was delivered."""
    world.override("SMS", enabled=True)
    world.send(request_id="r-1", integration_types=["SMS", "EMAIL", "SLACK"])

    response = world.requests.detail(USER, "r-1")

    assert (response["deliveries"], response["skipped"]) == ([], SKIPPED)


def test_a_request_without_its_message_was_never_accepted():
    """A call that ended between the two puts returned no 202; completed, the request is shown."""
    fates = ["throttled"]
    world = World(wrap=lambda port: Faulty(port, lambda _: fates.pop() if fates else "", "create"))
    with pytest.raises(UnavailableError):
        world.send(request_id="r-1")

    assert_not_found(world)
    assert world.send(request_id="r-1")
    assert len(world.requests.detail(USER, "r-1")["deliveries"]) == 1


@pytest.mark.parametrize(("late", "is_shown"), [(0, True), (0.001, False)])
def test_an_expired_request_is_not_shown(world, late, is_shown):
    """DynamoDB may not have deleted the row yet."""
    world.send(request_id="r-1")
    world.clock.seconds = world.table.request(USER, "r-1").ttl + late

    if is_shown:
        assert world.requests.detail(USER, "r-1")["request_id"] == "r-1"
    else:
        assert_not_found(world)


def test_a_request_is_shown_as_long_as_it_is_the_identity(world):
    """The message row outlives its request, so ended deliveries are shown until then."""
    world.send(request_id="r-1")
    world.run()
    ttl = world.table.request(USER, "r-1").ttl

    world.clock.seconds = ttl

    assert [one["status"] for one in world.requests.detail(USER, "r-1")["deliveries"]] == [
        "success"
    ]
    assert world.table.messages()[0].ttl >= ttl + 3600


def test_an_unknown_request_is_not_found(world):
    """A request belongs to one user."""
    world.send(request_id="r-1")

    assert_not_found(world, "r-2")
    assert_not_found(world, "r-1", "grace")
