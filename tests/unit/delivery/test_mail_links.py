"""The links of an email: which it has, and that every attempt has the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.delivery.outcomes import Retry
from dispatcher.delivery.ports import MailLinks
from dispatcher.errors import BrokenSettingError, UnavailableError
from tests.world import USER, World

DAY = 86_400


class Broken:
    """Signs nothing."""

    def __init__(self, error):
        self.error = error

    def __call__(self, _purpose, _payload):
        """Fail."""
        raise self.error


@pytest.fixture
def world():
    """A world that can send email, with a category of each kind."""
    world = World(
        EMAIL_SENDER="news@example.com",
        INTEGRATION_DEFAULTS_EMAIL_ENABLED="true",
        INTEGRATION_DEFAULTS_EMAIL_RETRY_COUNT="2",
    )
    world.category("news")
    world.category("alarms", locked=True, reach_by=("EMAIL",))
    return world


def sent(world, **body):
    """Return the message that the EMAIL channel got."""
    world.send(**body)
    world.run()
    return world.channels["EMAIL"].messages[-1]


def accepted_at(world):
    """Return when the only message was accepted."""
    [row] = world.table.messages()
    return int(row.created_at)


def test_a_category_that_can_be_switched_off_has_both_links(world):
    """The link to unsubscribe is valid for 400 days, the one to preferences for 30."""
    links = sent(world, category="news").links

    now = accepted_at(world)
    assert links == MailLinks(
        category="news",
        title="News",
        unsubscribe_url=f"https://api.example.com/u/unsubscribe-of-{USER}-until-{now + 400 * DAY}",
        preferences_url=f"https://api.example.com/p/preferences-of-{USER}-until-{now + 30 * DAY}",
        footer=True,
    )


def test_a_locked_category_has_no_link_to_unsubscribe(world):
    """Its preferences can be opened."""
    links = sent(world, category="alarms").links

    assert links.unsubscribe_url is None
    assert links.preferences_url.startswith("https://api.example.com/p/")


@pytest.mark.parametrize(
    ("page", "console", "expected"),
    [
        ("https://example.com/me", True, "https://example.com/me"),
        ("https://example.com/me", False, "https://example.com/me"),
        ("", False, None),
    ],
)
def test_the_operators_page_comes_before_the_console(world, page, console, expected):
    """Without both there is no page for preferences."""
    world.mail_links = replace(world.mail_links, preferences_page=page, console=console)

    assert sent(world, category="news").links.preferences_url == expected


def test_a_message_without_a_category_has_no_links(world):
    """Its email does not change."""
    assert sent(world).links is None


def test_a_message_of_a_removed_category_has_no_links(world):
    """It is delivered as a message without a category."""
    world.send(category="news")
    world.policies.policy = replace(world.policies.policy, categories={})
    world.clock.advance(31)
    world.run()

    assert world.channels["EMAIL"].messages[-1].links is None


def test_other_integrations_have_no_links(world):
    """Only emails have the headers."""
    sent(world, category="news")

    assert world.channels["TEST"].messages[-1].links is None


def test_every_attempt_has_the_same_links(world):
    """Expiries count from the acceptance; a locked row of another time changes nothing."""
    world.channels["EMAIL"].outcomes = [Retry("smtp_450", "later")] * 2
    world.send(category="news")
    world.run()

    first, *others = [one.links for one in world.channels["EMAIL"].messages]
    assert others == [first, first]


@pytest.mark.parametrize(
    "error", [UnavailableError("GetSecretValue failed"), BrokenSettingError("PUBLIC_URL", "is ''")]
)
def test_a_mail_is_never_sent_without_its_links(world, error):
    """That is an attempt that failed, with the reason in the history; then it is tried again."""
    world.mail_links = replace(world.mail_links, sign=Broken(error))
    [email, _] = world.send(category="news", integration_types=["EMAIL", "TEST"])
    world.run()

    ended = world.delivery(email)
    assert (ended.status, ended.error_code, ended.error_message) == (
        "failed",
        "links_unavailable",
        str(error),
    )
    assert [one.code for one in ended.attempt_log] == ["links_unavailable"] * 3
    assert world.channels["EMAIL"].messages == []
