"""Attempts that may have reached their receiver: they are retried, except over SMS."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.delivery.doorbells import DeadLetter
from dispatcher.delivery.outcomes import Retry
from tests.visits import SMS, rehearse, send, sends, visit
from tests.world import USER


class SharpWatchdog:
    """Ends every attempt before it has an outcome."""

    def within(self, seconds, work):  # noqa: ARG002 - the port's arguments
        """Do the work, and drop its outcome."""
        work()


@pytest.fixture
def deliver(world):
    """Return a function that sends over one integration until nothing is rung any more."""
    world.environ["SMS_ENABLED"] = "true"
    world.override("SMS", **SMS)
    world.webhook()

    def run(name) -> str:
        (only,) = send(world, name)
        visit(world, only)
        dead_letters = [ring for ring in world.doorbells.rung if ring[0] == "dead_letter"]
        world.run()
        world.doorbells.rung = dead_letters
        return only

    return run


@pytest.mark.parametrize(
    ("name", "code", "times"), [("WEBHOOK", "timeout", 2), ("SMS", "unknown_outcome", 1)]
)
def test_an_attempt_without_an_outcome_in_time(world, deliver, name, code, times):
    """A webhook is retried under its ID; a text message may be on its way already."""
    world.worker = replace(world.worker, watchdog=SharpWatchdog())

    delivery = world.delivery(deliver(name))

    assert (delivery.status, delivery.error_code) == ("failed", code)
    assert (sends(world, name), delivery.attempts, delivery.unknown) == (times, times, 0)
    detail = "no outcome within 10 s"
    assert delivery.error_message == (
        f"{detail}, and SMS is never sent twice" if name == "SMS" else detail
    )


@pytest.mark.parametrize(
    ("name", "code", "times"), [("WEBHOOK", "internal_error", 2), ("SMS", "unknown_outcome", 1)]
)
def test_an_exception_of_a_channel(world, deliver, name, code, times):
    """It is unknown how far the channel came; the row names the exception."""
    rehearse(world, KeyError("x"), KeyError("x"), name=name)

    delivery = world.delivery(deliver(name))

    assert (delivery.status, delivery.error_code) == ("failed", code)
    assert sends(world, name) == times
    detail = f"the {name} channel failed: KeyError"
    assert delivery.error_message == (
        f"{detail}, and SMS is never sent twice" if name == "SMS" else detail
    )


def test_an_attempt_that_certainly_failed_is_retried_over_sms(world, deliver):
    """A throttled text message was not sent: its budget is as large as any other's."""
    rehearse(world, *[Retry("unavailable", "SNS: Throttled")] * 3, name="SMS")

    delivery = world.delivery(deliver("SMS"))

    assert (delivery.status, delivery.error_code, delivery.attempts) == (
        "failed",
        "unavailable",
        3,
    )


def test_a_person_may_retry_an_unknown_outcome(world, deliver):
    """Its dead letter is sent, and a new round sends the text message again."""
    rehearse(world, KeyError("x"), name="SMS")
    only = deliver("SMS")
    dead_letters = world.doorbells.taken()

    world.rounds.retry(USER, only)
    world.run()

    assert dead_letters == [("dead_letter", DeadLetter(USER, only, 2), 0)]
    assert world.delivery(only).status == "success"
