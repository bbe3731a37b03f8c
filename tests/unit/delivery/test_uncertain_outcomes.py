"""Tries that may have reached their receiver, or not: again, but for text messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.delivery.outcomes import Retry
from tests.world import USER

SMS = {"enabled": True, "config": {"phone_number": "+14155552671"}}
HOOK = {"enabled": True, "config": {"url": "https://hooks.example.com/x"}}


class SharpWatchdog:
    """Ends every attempt before it has an outcome."""

    def within(self, seconds, work):  # noqa: ARG002 - as the port has it
        """Let the work happen, and tell nobody."""
        work()


@pytest.fixture
def deliver(world):
    """Send over one integration until nothing is rung any more; return its row."""
    world.environ["SMS_ENABLED"] = "true"
    world.override("SMS", **SMS)
    world.override("WEBHOOK", **HOOK)

    def run(name):
        [delivery_id] = world.send(integration_types=[name])
        world.run()
        return world.row(delivery_id)

    return run


@pytest.mark.parametrize(("name", "code", "sends"), [
    ("WEBHOOK", "timeout", 2),
    ("SMS", "unknown_outcome", 1),
])  # fmt: skip
def test_an_attempt_that_ran_out_of_time(world, deliver, name, code, sends):
    """A webhook is repeated under its id; a text message may be on its way already."""
    world.worker = replace(world.worker, watchdog=SharpWatchdog())

    row = deliver(name)

    assert (row.status, row.error_code) == ("failed", code)
    assert len(world.channels[name].messages) == sends


@pytest.mark.parametrize(("name", "code", "sends"), [
    ("WEBHOOK", "internal_error", 2),
    ("SMS", "unknown_outcome", 1),
])  # fmt: skip
def test_a_channel_that_breaks(world, deliver, name, code, sends):
    """Nobody knows how far it came, and the row says what broke."""
    world.channels[name].outcomes = [KeyError("x"), KeyError("x")]

    row = deliver(name)

    assert (row.status, row.error_code) == ("failed", code)
    assert len(world.channels[name].messages) == sends
    assert f"the {name} channel failed: KeyError" in row.error_message


def test_a_clear_refusal_is_tried_again(world, deliver):
    """A throttled text message was not sent: its budget is as large as any other's."""
    world.channels["SMS"].outcomes = [Retry("unavailable", "SNS: Throttled")] * 3

    row = deliver("SMS")

    assert (row.status, row.error_code, row.attempts) == ("failed", "unavailable", 3)


def test_an_unknown_outcome_can_be_sent_again_by_a_person(world, deliver):
    """Its ticket is owed: whoever looked at the phone may decide otherwise."""
    world.channels["SMS"].outcomes = [KeyError("x")]
    row = deliver("SMS")

    world.rounds.retry(USER, row.delivery_id)
    world.run()

    assert world.row(row.delivery_id).status == "success"
