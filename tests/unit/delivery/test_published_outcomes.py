"""The outcome bus: how every delivery ends is published, and no delivery waits for that."""

from __future__ import annotations

import pytest

from dispatcher.delivery.describe import delivery_response
from dispatcher.delivery.outcomes import Delivered
from dispatcher.delivery.rows import place_of
from dispatcher.errors import UnavailableError
from tests.visits import BUSY, NOT_FOUND, disturb, overtaken, rehearse, send, visit
from tests.world import USER, World


class MemoryPublisher:
    """Keeps what was published, and what was stored and rung by then; or fails."""

    def __init__(self) -> None:
        self.published = []
        self.seen = []
        self.look = lambda _: None
        self.broken = False

    def publish(self, row, place):
        """Keep the end of a delivery as the API shows it."""
        if self.broken:
            raise UnavailableError("PutEvents failed: rehearsed")
        self.published.append(delivery_response(row, place))
        self.seen.append(self.look(row.delivery_id(place)))


@pytest.fixture
def publisher():
    """Return a publisher that works."""
    return MemoryPublisher()


@pytest.fixture
def world(publisher):
    """Return a service with an outcome bus."""
    return World(publisher=publisher)


def in_history(world, *ids):
    """Return deliveries as the history lists them."""
    return [delivery_response(world.row(one), place_of(one)) for one in ids]


def test_each_end_is_published_once_as_the_history_shows_it(world, publisher):
    """Delivered, failed, skipped after a sibling's success, and cancelled deliveries alike."""
    world.webhook()
    rehearse(world, NOT_FOUND)
    (failed,) = world.send(request_id="r-1", integration_types=["TEST"])
    first, second = world.send(
        request_id="r-2", integration_types=["WEBHOOK", "TEST"], mode="first_success"
    )
    (cancelled,) = world.send(request_id="r-3", integration_types=["TEST"])

    world.rounds.cancel(USER, cancelled)
    world.rounds.cancel(USER, cancelled)
    world.run()

    assert publisher.published == in_history(world, cancelled, failed, first, second)
    assert [response["status"] for response in publisher.published] == [
        "skipped",
        "failed",
        "success",
        "skipped",
    ]


def test_an_end_is_published_after_everything_else(world, publisher):
    """The row has it, dead letters are sent and the next due time is rung for by then."""
    world.webhook()
    world.override("TEST", enabled=True, retry_delay_seconds=30)
    first, second = send(world, "WEBHOOK", "TEST")
    rehearse(world, NOT_FOUND, name="WEBHOOK")
    rehearse(world, BUSY)
    publisher.look = lambda delivery_id: (
        str(world.delivery(delivery_id).status),
        str(world.delivery(second).error_code),
        [queue for queue, _, _ in world.doorbells.rung],
    )

    visit(world, first)

    assert publisher.seen == [("failed", "http_503", ["dead_letter", "retry"])]


def test_a_retry_is_no_end(world, publisher):
    """Only final outcomes are published; a new round has its own end."""
    rehearse(world, BUSY, BUSY)
    (only,) = world.send(request_id="r-1", integration_types=["TEST"])
    world.run()
    world.rounds.retry(USER, only)
    world.run()

    assert [(response["round"], response["status"]) for response in publisher.published] == [
        (1, "failed"),
        (2, "success"),
    ]


def test_an_end_is_published_as_it_was_although_the_delivery_is_retried_meanwhile(world, publisher):
    """A new round that opens during the same visit does not hide the end of the one before."""
    world.webhook()
    first, second = send(world, "WEBHOOK", "TEST")
    rehearse(world, NOT_FOUND, name="WEBHOOK")
    rehearse(world, lambda: world.rounds.retry(USER, first) and Delivered())

    visit(world, first)

    assert [
        (response["delivery_id"], response["round"], response["status"])
        for response in publisher.published
    ] == [(first, 1, "failed"), (second, 1, "success"), (first, 2, "success")]


def test_an_end_without_an_attempt_is_published(world, publisher):
    """An opt-out is one."""
    (only,) = send(world)
    world.override("TEST", enabled=False)

    visit(world, only)

    assert publisher.published == in_history(world, only)
    assert publisher.published[0]["error_code"] == "disabled_by_user"


def test_an_end_by_a_take_over_is_published(world, publisher):
    """The worker that takes over writes it, in place of the one that made the attempt."""
    (only,) = send(world)
    world.put(only, max_attempts=1, unknown=3, tries=3)
    world.another_claims(only)
    world.clock.advance(61)

    visit(world, only)

    assert publisher.published == in_history(world, only)
    assert publisher.published[0]["error_code"] == "unknown_outcome"


def test_a_failed_publication_harms_no_delivery(world, publisher):
    """The end stands and its dead letter is sent; the log has the reason."""
    publisher.broken = True
    rehearse(world, NOT_FOUND)
    (only,) = send(world)

    visit(world, only)

    delivery = world.delivery(only)
    assert (delivery.status, delivery.dead_letter_owed) == ("failed", False)
    assert world.event_log.lines[-1] == (
        "outcome.unpublished",
        {
            "user_id": USER,
            "delivery_id": only,
            "request_id": "r-1",
            "integration_type": "TEST",
            "reason": "PutEvents failed: rehearsed",
        },
    )


def test_a_failed_publication_harms_no_cancel(world, publisher):
    """The caller gets the cancelled delivery."""
    publisher.broken = True
    (only,) = send(world)

    response = world.rounds.cancel(USER, only)

    assert response["status"] == "skipped"
    assert world.event_log.events()[-1] == "outcome.unpublished"


@pytest.mark.parametrize("method", ["send_dead_letter", "write"])
def test_ends_are_published_although_the_visit_fails_later(world, publisher, method):
    """A message that comes back to its queue does not find them ended again."""
    (only,) = send(world)
    rehearse(world, NOT_FOUND)
    if method == "send_dead_letter":
        disturb(world, "throttled", method=method)
    else:
        disturb(world, "", "", "throttled")

    with pytest.raises(UnavailableError):
        visit(world, only)

    assert [response["status"] for response in publisher.published] == ["failed"]


def test_a_record_whose_response_was_lost_is_published_once(world, publisher):
    """The repeated write is recognized as the same end."""
    (only,) = send(world)
    disturb(world, "", "lost", "lost")

    visit(world, only)

    assert publisher.published == in_history(world, only)


def test_a_lost_record_is_not_published(world, publisher):
    """The worker that took over publishes how the delivery ends."""
    (only,) = send(world)
    rehearse(world, overtaken(world, only, NOT_FOUND))

    visit(world, only)

    assert world.event_log.events()[-1] == "record.lost"
    assert publisher.published == []
