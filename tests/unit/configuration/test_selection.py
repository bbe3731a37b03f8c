"""Which integrations a message of a category uses: the contract's rules and its examples."""

from __future__ import annotations

import itertools

import pytest

from dispatcher.configuration.resolution import effective, system_defaults
from dispatcher.configuration.rows import (
    Category,
    CategoryChoice,
    Override,
    Preferences,
    UserOverrides,
)
from dispatcher.configuration.selection import (
    REACHING,
    Selection,
    changeable,
    ignored,
    is_enabled,
    select,
    skip_detail,
    wanted_now,
)
from dispatcher.integrations import catalogue

ENVIRON = {
    "SLACK_BOT_TOKEN_SECRET": "arn",
    "SMTP_HOST": "mail.example.com",
    "SMS_ENABLED": "true",
    "TEST_ENABLED": "true",
}
"""SLACK and EMAIL are configured and enabled; SMS is configured and disabled by default."""

NEWS = Category(name="news", title="News")
SECURITY = Category(name="security", title="Security", locked=True, reach_by=("EMAIL",))
BETA = Category(name="beta", title="Beta", enabled=False)
INCIDENTS = Category(name="incidents", title="Incidents")


@pytest.fixture
def defaults():
    """The system defaults, with the configured types as said above."""
    found = dict(system_defaults(ENVIRON))
    assert {name for name in REACHING if found[name].configured} == REACHING
    assert found["SMS"].reason == "disabled_by_default"
    return found


def user(overrides=None, **choices):
    """Return the row of a user: settings by type, and choices by category."""
    by_type = {
        name: Override(settings, created_at=1.0, updated_at=1.0)
        for name, settings in (overrides or {}).items()
    }
    preferences = Preferences(categories=choices, updated_at=1.0, updated_via="api")
    return UserOverrides(by_type, 3, preferences if choices else None)


def no_trouble(name, config):
    """Every address is known."""


def without(*names, reason="no_address"):
    """Return an address rule by which some types have no address."""
    return lambda name, _config: reason if name in names else None


def reaching(selection: Selection) -> list[str]:
    """Return the types of a selection that reach a person."""
    return [name for name in selection.configs if name in REACHING]


OFF = {"enabled": False}

# The contract's examples --------------------------------------------------------------------------


def test_a_category_that_the_user_disabled_uses_no_integration(defaults):
    """*news*, and Ada set `enabled: false`: every type is skipped by her."""
    found = select(defaults, user(news=CategoryChoice(enabled=False)), NEWS, no_trouble)

    assert found.configs == {}
    assert set(found.reasons.values()) == {"category_disabled_by_user"}
    assert set(found.reasons) == set(catalogue())


def test_a_lock_ignores_what_the_user_disabled_before(defaults):
    """*news* becomes locked: the setting is kept, shown as ignored, and has no effect."""
    locked = Category(name="news", title="News", locked=True, reach_by=("EMAIL",))
    choice = CategoryChoice(enabled=False, integrations={"SLACK": False})
    stored = user(news=choice)

    assert reaching(select(defaults, stored, locked, no_trouble)) == ["SLACK", "EMAIL"]
    assert ignored(locked, choice) == ["enabled", "integrations.SLACK"]
    assert is_enabled(locked, choice)


def test_a_locked_category_reaches_a_user_who_disabled_every_channel(defaults):
    """*security*, reached by EMAIL, and both overrides are off: EMAIL delivers, by the lock."""
    found = select(defaults, user({"SLACK": OFF, "EMAIL": OFF}), SECURITY, no_trouble)

    assert reaching(found) == ["EMAIL"]
    assert found.by_lock == "EMAIL"
    assert found.configs["EMAIL"].enabled
    assert found.reasons["SLACK"] == "disabled_by_user"


def test_an_opt_out_stands_while_another_channel_reaches_the_user(defaults):
    """*security*, EMAIL is off and SLACK is not: SLACK alone."""
    found = select(defaults, user({"EMAIL": OFF}), SECURITY, no_trouble)

    assert reaching(found) == ["SLACK"]
    assert found.by_lock is None
    assert found.reasons["EMAIL"] == "disabled_by_user"


@pytest.mark.parametrize("reason", ["address_bounced", "no_address", "opted_out"])
def test_the_fallback_passes_over_an_address_that_does_not_work(defaults, reason):
    """*security*, both off, EMAIL bounced, reached by EMAIL, then SMS: SMS, by the lock."""
    category = Category(name="s", title="S", locked=True, reach_by=("EMAIL", "SMS"))
    stored = user({"SLACK": OFF, "EMAIL": OFF})

    found = select(defaults, stored, category, without("EMAIL", reason=reason))

    assert reaching(found) == ["SMS"]
    assert found.by_lock == "SMS"
    assert found.reasons["EMAIL"] == "disabled_by_user"


def test_a_cell_enables_an_integration_for_one_category(defaults):
    """*incidents*, and Ada chose SMS for it: SMS is used for *incidents* only."""
    stored = user(incidents=CategoryChoice(integrations={"SMS": True}))

    assert "SMS" in select(defaults, stored, INCIDENTS, no_trouble).configs
    assert select(defaults, stored, INCIDENTS, no_trouble).configs["SMS"].enabled
    for other in (NEWS, None):
        assert select(defaults, stored, other, no_trouble).reasons["SMS"] == "disabled_by_default"


def test_an_opt_in_category_is_used_by_those_who_opted_in(defaults):
    """*beta* is off by default; with `enabled: true` rule 7 decides."""
    assert set(select(defaults, user(), BETA, no_trouble).reasons.values()) == {
        "category_disabled_by_default"
    }
    opted_in = user(beta=CategoryChoice(enabled=True))
    found = select(defaults, opted_in, BETA, no_trouble)
    assert found == select(defaults, user(), None, no_trouble)


def test_the_fallback_stays_within_what_the_caller_wants(defaults):
    """Locked *security*, sent to CLI only: CLI only."""
    found = select(defaults, user(), SECURITY, no_trouble, ["CLI"])

    assert list(found.configs) == ["CLI"]
    assert found.by_lock is None
    assert found.reasons == {}


# The rules, one by one ----------------------------------------------------------------------------


def test_an_opt_out_of_a_channel_beats_every_category(defaults):
    """Rule 1 comes before the user's and the operator's cells."""
    category = Category(name="c", title="C", integrations={"SLACK": True})
    stored = user({"SLACK": OFF}, c=CategoryChoice(integrations={"SLACK": True}))

    assert select(defaults, stored, category, no_trouble).reasons["SLACK"] == "disabled_by_user"


def test_a_channel_that_the_receiver_disabled_stays_disabled(defaults):
    """Rule 2 comes before every cell."""
    by_type = {
        "WEBHOOK": Override(
            {"enabled": True}, created_at=1.0, updated_at=1.0, disabled_by_receiver=True
        )
    }
    category = Category(name="c", title="C", integrations={"WEBHOOK": True})

    found = select(defaults, UserOverrides(by_type, 1), category, no_trouble)

    assert found.reasons["WEBHOOK"] == "disabled_by_receiver"


def test_the_fallback_passes_over_a_stopped_channel_that_is_also_switched_off(defaults):
    """Rule 2 stops the fallback even where rule 1 would give the reason."""
    by_type = {
        "EMAIL": Override(OFF, created_at=1.0, updated_at=1.0, disabled_by_receiver=True),
        "SLACK": Override(OFF, created_at=1.0, updated_at=1.0),
    }

    found = select(defaults, UserOverrides(by_type, 1), SECURITY, no_trouble)

    assert reaching(found) == []
    assert found.by_lock is None


def test_the_fallback_needs_a_configured_integration():
    """Without a mail server EMAIL cannot reach the user."""
    bare = system_defaults({})

    found = select(bare, user(), SECURITY, no_trouble)

    assert (reaching(found), found.by_lock) == ([], None)
    assert found.reasons["EMAIL"] == "not_configured"


@pytest.mark.parametrize(
    ("mine", "operators", "enabled", "opted", "expected"),
    [
        (False, True, True, None, "category_disabled_by_user"),  # 4 before 5
        (True, False, True, None, None),
        (True, None, False, None, None),  # 4 before 6
        (None, False, True, True, "category_disabled_by_default"),  # 5 before 7
        (None, True, False, None, None),  # 5 before 6
        (None, None, False, None, "category_disabled_by_default"),
        (None, None, False, True, "disabled_by_default"),  # rule 7
        (True, True, True, False, "category_disabled_by_user"),  # 3 before 4
    ],
)
def test_the_first_rule_that_applies_decides(defaults, mine, operators, enabled, opted, expected):
    """SMS, which is off by default, under each order of the cells and switches."""
    category = Category(
        name="c",
        title="C",
        enabled=enabled,
        integrations={} if operators is None else {"SMS": operators},
    )
    cells = {} if mine is None else {"SMS": mine}
    stored = user(c=CategoryChoice(enabled=opted, integrations=cells))

    assert select(defaults, stored, category, no_trouble).reasons.get("SMS") == expected


@pytest.mark.parametrize("by", ["user", "operator"])
def test_a_cell_cannot_enable_what_is_not_configured(by):
    """A cell of a user or of a category cannot enable an integration that is not configured."""
    cells = {"SMS": True}
    category = Category(name="c", title="C", integrations=cells if by == "operator" else {})
    stored = user(c=CategoryChoice(integrations=cells)) if by == "user" else user()

    found = select(system_defaults({}), stored, category, no_trouble)

    assert found.reasons["SMS"] == "not_configured"


def test_without_a_category_the_resolution_decides(defaults):
    """Today's configuration, order and reasons are unchanged, whatever was chosen."""
    stored = user({"CLI": {"priority": 1}, "TOOL": OFF}, news=CategoryChoice(enabled=False))

    found, today = select(defaults, stored, None, no_trouble), effective(defaults, stored)

    assert list(found.configs.items()) == list(today.configs.items())
    assert found.reasons == today.disabled


def test_exactly_the_wanted_types_are_used_or_skipped(defaults):
    """Every type has a delivery or a reason, never both, under every mix of switches."""
    cells = [{}, {"EMAIL": False}, {"SMS": True, "SLACK": False}]
    for locked, enabled, mine, operators, opted, off in itertools.product(
        (True, False), (True, False), cells, cells, (None, True, False), ({}, {"EMAIL": OFF})
    ):
        category = Category(
            name="c",
            title="C",
            enabled=enabled,
            integrations=operators,
            locked=locked,
            reach_by=("EMAIL",) if locked else (),
        )
        stored = user(off, c=CategoryChoice(enabled=opted, integrations=mine))
        found = select(defaults, stored, category, no_trouble)
        assert found.configs.keys() | found.reasons.keys() == set(catalogue())
        assert not found.configs.keys() & found.reasons.keys()
        assert all(one.enabled for one in found.configs.values())
        if locked:
            assert reaching(found)
            assert "category_disabled_by_user" not in found.reasons.values()


# At an attempt ------------------------------------------------------------------------------------


def test_an_opt_out_since_accept_is_followed_at_the_attempt(defaults):
    """A delivery that is not wanted any more is skipped with the reason."""
    stored = user(news=CategoryChoice(enabled=False))

    reason = wanted_now(defaults["SLACK"], stored, "SLACK", NEWS, locked=False)[1]

    assert reason == "category_disabled_by_user"
    assert wanted_now(defaults["SLACK"], stored, "SLACK", None, locked=False)[1] is None


def test_a_message_that_was_locked_at_accept_is_stopped_by_what_cannot_work_alone(defaults):
    """An opt-out made since then cannot leave the user unreached; a 410 still counts."""
    off = user({"EMAIL": OFF}, security=CategoryChoice(enabled=False))
    gone = UserOverrides(
        {"EMAIL": Override(OFF, created_at=1.0, updated_at=1.0, disabled_by_receiver=True)}, 1
    )

    configuration, reason = wanted_now(defaults["EMAIL"], off, "EMAIL", NEWS, locked=True)

    assert (configuration.enabled, reason) == (True, None)
    assert wanted_now(defaults["EMAIL"], gone, "EMAIL", NEWS, locked=True)[1] == (
        "disabled_by_receiver"
    )


# Details in the API -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("category", "reason", "expected"),
    [
        (NEWS, None, True),
        (None, "disabled_by_default", True),
        (NEWS, "category_disabled_by_user", True),
        (SECURITY, None, False),
        (NEWS, "not_configured", False),
        (None, "no_address", False),
        (NEWS, "address_bounced", False),
        (NEWS, "address_complained", False),
        (NEWS, "opted_out", False),
        (NEWS, "disabled_by_receiver", False),
        (NEWS, "disabled_after_failures", False),
    ],
)
def test_a_cell_is_changeable_where_a_change_can_have_an_effect(category, reason, expected):
    """A lock, a missing setup and a dead address cannot be changed by preferences."""
    assert changeable(category, reason) is expected


def test_only_a_lock_ignores_settings():
    """An unlocked category follows the user; true for a locked one is no conflict."""
    assert ignored(NEWS, CategoryChoice(enabled=False)) == []
    assert ignored(SECURITY, None) == []
    assert ignored(SECURITY, CategoryChoice(enabled=True)) == []


def test_a_new_reason_is_explained():
    """Reasons that categories bring say who decided; today's have no new sentence."""
    assert skip_detail("category_disabled_by_user", "ada", "SMS", "news") == (
        "ada disabled SMS for the category news in the preferences."
    )
    assert skip_detail("category_disabled_by_default", "ada", "SMS", "news") == (
        "The category news does not use SMS unless ada enables it in the preferences."
    )
    assert skip_detail("expires_while_held", "ada", "SMS", None) == (
        "The hours or a mute of ada, or a pause of the receiver, would hold SMS until after "
        "expires_at."
    )
    assert skip_detail("disabled_after_failures", "ada", "WEBHOOK", None) == (
        "The receiver of ada for WEBHOOK failed for days. Set enabled or the URL again to use it, "
        "or send a test."
    )
    assert skip_detail("disabled_by_user", "ada", "SMS", "news") is None
