"""Rotation: another signing secret, and a day in which both sign."""

from __future__ import annotations

import pytest

from channels.signature import valid_secrets
from dispatcher.errors import NotFoundError
from tests.world import USER

DAY = 24 * 3600
HOOK = {"url": "https://hooks.example.com/x?token=t", "headers": {"Authorization": "Bearer b"}}


@pytest.fixture
def secret(world):
    """The signing secret of a WEBHOOK override that was just made."""
    body = {"integration_type": "WEBHOOK", "config": HOOK}
    return world.configurations.create(USER, body)["signing_secret"]


def signing(world):
    """Return the secrets that a delivery would be signed with now."""
    world.acceptance.test(USER, "WEBHOOK")
    world.run()
    return valid_secrets(world.channels["WEBHOOK"].messages[-1].secrets, world.clock.now())


def test_both_secrets_sign_for_a_day(world, secret):
    """The response shows the new one once, and until when the old one signs too."""
    rotated = world.configurations.rotate(USER, "WEBHOOK")

    assert rotated == {
        "signing_secret": rotated["signing_secret"],
        "previous_valid_until": "2027-01-16T08:00:00.000Z",
    }
    assert signing(world) == (rotated["signing_secret"], secret)
    world.clock.advance(DAY)
    assert signing(world) == (rotated["signing_secret"],)


def test_a_second_rotation_drops_the_oldest(world, secret):
    """Two sign at most: the new one and the one before it."""
    first = world.configurations.rotate(USER, "WEBHOOK")["signing_secret"]
    second = world.configurations.rotate(USER, "WEBHOOK")["signing_secret"]

    assert signing(world) == (second, first)
    assert len({secret, first, second}) == 3


def test_nothing_else_changes(world, secret):
    """The settings stay, the hidden parts of the config too."""
    before = world.configurations.override(USER, "WEBHOOK")
    world.clock.advance(60)

    world.configurations.rotate(USER, "WEBHOOK")

    after = world.configurations.override(USER, "WEBHOOK")
    signing(world)
    assert after == {**before, "updated_at": "2027-01-15T08:01:00.000Z"}
    assert world.channels["WEBHOOK"].messages[-1].config == HOOK


def test_a_change_of_the_override_keeps_both(world, secret):
    """An edit of the URL within the day does not end the old secret early."""
    rotated = world.configurations.rotate(USER, "WEBHOOK")["signing_secret"]

    world.configurations.update(USER, "WEBHOOK", {"config": {"url": "https://new.example.com/"}})

    assert signing(world) == (rotated, secret)


def test_an_override_without_a_secret_gets_its_first(world):
    """There is none before it, so none that is valid still."""
    world.override("WEBHOOK", enabled=True, config={"url": "https://hooks.example.com/x"})

    rotated = world.configurations.rotate(USER, "WEBHOOK")

    assert rotated["previous_valid_until"] is None
    assert signing(world) == (rotated["signing_secret"],)


@pytest.mark.parametrize("name", ["WEBHOOK", "SLACK"])
def test_where_nothing_signs_there_is_nothing_to_rotate(world, name):
    """No override, or an integration without signatures."""
    with pytest.raises(NotFoundError):
        world.configurations.rotate(USER, name)
