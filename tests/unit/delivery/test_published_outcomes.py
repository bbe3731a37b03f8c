"""Who listens hears how every delivery ended, and nothing waits for that."""

from __future__ import annotations

import pytest

from dispatcher.delivery.outcomes import Permanent
from dispatcher.errors import UnavailableError
from tests.world import USER, World


class Listener:
    """Keeps what it was told, unless it is broken."""

    def __init__(self) -> None:
        self.told = []
        self.broken = False

    def tell(self, ended):
        """Keep it as the API would show it."""
        if self.broken:
            raise UnavailableError("PutEvents failed: rehearsed")
        self.told.append(ended.as_json())


@pytest.fixture
def listener():
    """Somebody who listens."""
    return Listener()


@pytest.fixture
def world(listener):
    """A service with an outcome bus."""
    return World(outcomes=listener)


def shown(world, *ids):
    """Return deliveries as the history lists them."""
    return [world.row(one).as_json() for one in ids]


def test_each_end_is_told_once_as_the_history_shows_it(world, listener):
    """Delivered, failed, skipped for a sibling's success and cancelled alike."""
    world.webhook()
    world.channels["TEST"].outcomes = [Permanent("http_404", "no")]
    failed, *_ = world.send(request_id="r-1", integration_types=["TEST"])
    first, second = world.send(
        request_id="r-2", integration_types=["WEBHOOK", "TEST"], mode="first_success"
    )
    (cancelled,) = world.send(request_id="r-3", integration_types=["TEST"])

    answer = world.rounds.cancel(USER, cancelled)
    world.run()

    assert listener.told == shown(world, cancelled, failed, first, second)
    assert [one["status"] for one in listener.told] == ["skipped", "failed", "success", "skipped"]
    assert answer == world.row(cancelled).as_json(with_log=True)


def test_a_retry_is_no_end(world, listener):
    """Only what is final is told; a fresh round ends anew."""
    world.channels["TEST"].outcomes = [Permanent("http_404", "no")]
    (only,) = world.send(request_id="r-1", integration_types=["TEST"])
    world.run()
    world.rounds.retry(USER, only)
    world.run()

    assert [(one["round"], one["status"]) for one in listener.told] == [
        (1, "failed"),
        (2, "success"),
    ]


def test_an_end_after_an_unknown_outcome_is_told(world, listener):
    """It is written by another worker than the one that tried."""
    (only,) = world.send(request_id="r-1", integration_types=["TEST"])
    world.put(only, max_attempts=1, unknown=3, tries=4)
    world.another_claims(only)
    world.clock.advance(61)

    world.run()

    assert listener.told == shown(world, only)
    assert listener.told[0]["error_code"] == "unknown_outcome"


def test_a_bus_that_fails_harms_no_delivery(world, listener):
    """The end stands, its ticket is left, and the log says that nobody heard of it."""
    listener.broken = True
    world.channels["TEST"].outcomes = [Permanent("http_404", "no")]
    (only,) = world.send(request_id="r-1", integration_types=["TEST"])

    world.run()

    row = world.row(only)
    assert (row.status, row.ticket_owed) == ("failed", False)
    assert world.event_log.lines[-2] == (
        "outcome.untold",
        {
            "user_id": USER,
            "delivery_id": only,
            "request_id": "r-1",
            "integration_type": "TEST",
            "reason": "PutEvents failed: rehearsed",
        },
    )


def test_a_record_that_was_lost_is_not_told(world, listener):
    """Another worker has the delivery: it will tell how that ended."""

    def slowly():
        world.put(only, owner="another")
        return Permanent("http_404", "no")

    world.channels["TEST"].outcomes = [slowly]
    (only,) = world.send(request_id="r-1", integration_types=["TEST"])

    world.run()

    assert world.event_log.events()[-2:] == ["record.lost", "delivery.attempted"]
    assert listener.told == []
