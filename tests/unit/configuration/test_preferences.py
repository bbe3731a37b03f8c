"""Preferences as values: bodies with all limits, merges, the tag, and what results."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.configuration.hours import zone_names
from dispatcher.configuration.preference_bodies import category_of, preferences_change
from dispatcher.configuration.preferences import (
    changed,
    described,
    matches,
    moves_holds,
    tag,
)
from dispatcher.configuration.resolution import system_defaults
from dispatcher.configuration.rows import (
    Category,
    CategoryChoice,
    Override,
    Policy,
    Preferences,
    UserOverrides,
)
from dispatcher.errors import ConflictError, InvalidInputError

NOW = 1_795_766_400.0
"""2026-11-27T08:00:00Z, a Friday."""

DAY = 86_400

HOURS = {
    "windows": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00"}],
    "integrations": ["SLACK", "EMAIL", "SMS"],
}
BODY = {
    "time_zone": "Europe/Berlin",
    "language": "de",
    "hours": HOURS,
    "muted_until": "2026-12-01T08:00:00.000Z",
    "categories": {"news": {"enabled": False}, "builds": {"integrations": {"SLACK": False}}},
}
"""The contract's example."""

SECURITY = {
    "title": "Security",
    "description": "Sign-ins and key changes",
    "group": "Account",
    "order": 10,
    "enabled": True,
    "integrations": {"SMS": True},
    "locked": True,
    "reach_by": ["EMAIL", "SMS"],
    "urgent": True,
}

POLICY = Policy(
    {
        "news": Category(name="news", title="News"),
        "builds": Category(name="builds", title="Builds"),
        "security": Category.of("security", SECURITY),
    },
    version=7,
)


def put(body, old=None, *, now=NOW, policy=POLICY):
    """Read a body and merge it."""
    return changed(old, preferences_change(body, {}, now=now), policy, now=now, via="api")


def errors(call, *args, **kwargs):
    """Return the field errors of a refusal by pointer."""
    with pytest.raises(InvalidInputError) as refused:
        call(*args, **kwargs)
    return dict(refused.value.field_errors)


def wrong(body):
    """Return the field errors of a body of preferences."""
    return errors(preferences_change, body, {}, now=NOW)


# Bodies -------------------------------------------------------------------------------------------


def test_the_example_of_the_contract_is_kept_as_it_is():
    """Only the time becomes a number; all else is stored as it came."""
    stored = put(BODY).as_item()

    assert stored == {
        **BODY,
        "muted_until": 1_796_112_000.0,
        "updated_at": NOW,
        "updated_via": "api",
    }
    assert Preferences.of(stored) == put(BODY)


def test_integrations_are_written_in_upper_case():
    """A type is accepted in any case, in hours and in cells."""
    stored = put(
        {
            "hours": {"integrations": ["slack"]},
            "categories": {"news": {"integrations": {"cli": True}}},
        }
    )

    assert stored.hours == {"integrations": ["SLACK"]}
    assert stored.categories["news"].integrations == {"CLI": True}


def window(**changes):
    """Return hours with one window."""
    return {"hours": {"windows": [{"days": ["mon"], "from": "08:00", "to": "18:00", **changes}]}}


ONE = "/hours/windows/0"


@pytest.mark.parametrize(
    ("body", "pointer", "text"),
    [
        ({}, "", "must name at least one of"),
        ({"zone": "UTC"}, "/zone", "is not a known field; the known ones are time_zone"),
        ({"time_zone": "Europe/Atlantis"}, "/time_zone", "must be the name of a time zone"),
        ({"time_zone": "../../etc/passwd"}, "/time_zone", "must be the name of a time zone"),
        ({"time_zone": 1}, "/time_zone", "must be text"),
        ({"language": "deutsch!"}, "/language", "must be a language tag"),
        ({"language": "de-" + "a" * 33}, "/language", "must be a language tag"),
        ({"language": "de_AT"}, "/language", "must be a language tag"),
        ({"language": "\u017fk"}, "/language", "must be a language tag"),
        ({"language": ""}, "/language", "must be a language tag"),
        ({"muted_until": "tomorrow"}, "/muted_until", "must be a time in RFC 3339 form"),
        ({"muted_until": "2026-12-27T08:00:00.001Z"}, "/muted_until", "at most 30 days ahead"),
        ({"hours": {}}, "/hours", "must set windows or integrations"),
        (
            {"hours": {"windows": []}},
            "/hours/windows",
            "must not be empty; to hold all messages, use muted_until",
        ),
        (
            {"hours": {"windows": window()["hours"]["windows"] * 15}},
            "/hours/windows",
            "must hold at most 14 windows",
        ),
        ({"hours": {"windows": None}}, "/hours/windows", "must not be null"),
        ({"hours": {"integrations": []}}, "/hours/integrations", "must not be empty"),
        ({"hours": {"integrations": ["FAX"]}}, "/hours/integrations/0", "must be one of"),
        ({"hours": {"integrations": ["CLI", "cli"]}}, "/hours/integrations", "each one once"),
        (window(days=[]), ONE + "/days", "must not be empty"),
        (window(days=["mon", "mon"]), ONE + "/days", "each one once"),
        (window(days=["Mon"]), ONE + "/days/0", "must be one of mon, tue"),
        (window(**{"from": "24:00"}), ONE + "/from", "from 00:00 to 23:59"),
        (window(**{"from": "8:00"}), ONE + "/from", "from 00:00 to 23:59"),
        (window(**{"from": "08:00\n"}), ONE + "/from", "from 00:00 to 23:59"),
        (window(**{"from": "٠٨:00"}), ONE + "/from", "from 00:00 to 23:59"),
        (window(to="24:01"), ONE + "/to", "from 00:00 to 24:00"),
        (window(to="18:60"), ONE + "/to", "from 00:00 to 24:00"),
        (window(to="08:00"), ONE, "must not end when it starts"),
        (window(to="08:14"), ONE, "must last at least 15 minutes"),
        (window(**{"from": "23:50", "to": "00:04"}), ONE, "must last at least 15 minutes"),
        (window(start="09:00"), ONE + "/start", "the known ones are days, from, to"),
        ({"categories": {"news": {}}}, "/categories/news", "must set enabled or an integration"),
        (
            {"categories": {"news": {"integrations": {}}}},
            "/categories/news",
            "must set enabled or an integration",
        ),
        ({"categories": {"news": {"enabled": None}}}, "/categories/news/enabled", "not be null"),
        ({"categories": {"news": {"enabled": "no"}}}, "/categories/news/enabled", "true or false"),
        (
            {"categories": {"news": {"integrations": {"FAX": True}}}},
            "/categories/news/integrations",
            "must be one of",
        ),
        (
            {"categories": {"news": {"integrations": {"CLI": True, "cli": False}}}},
            "/categories/news/integrations",
            "names CLI twice",
        ),
        (
            {"categories": {"news": {"off": True}}},
            "/categories/news/off",
            "the known ones are enabled, integrations",
        ),
        ({"digest_at": "08:00"}, "/digest_at", "is reserved for a later version"),
        ({"digest_day": "mon"}, "/digest_day", "is reserved for a later version"),
        ({"digest_at": None}, "/digest_at", "is reserved for a later version"),
        ({"hours": {"gather": True}}, "/hours/gather", "is reserved for a later version"),
        (
            {"categories": {"news": {"digest": "daily"}}},
            "/categories/news/digest",
            "is reserved for a later version",
        ),
    ],
)
def test_a_body_outside_the_limits_is_rejected(body, pointer, text):
    """Each limit has its pointer and says what to do."""
    found = wrong(body)

    assert pointer in found, found
    assert text in found[pointer]


@pytest.mark.parametrize(
    "body",
    [
        {"muted_until": "2026-12-27T08:00:00.000Z"},
        {"language": "zh-Hant-TW-x-" + "a" * 8},
        {"hours": {"windows": window()["hours"]["windows"] * 14}},
        window(to="08:15"),
        window(**{"from": "23:50", "to": "00:05"}),
        window(**{"from": "00:00", "to": "24:00"}),
        {"time_zone": "America/Argentina/Buenos_Aires"},
    ],
)
def test_a_body_at_a_limit_is_accepted(body):
    """The limits are inclusive."""
    assert put(body) is not None


def test_preferences_have_a_largest_size():
    """A merge that would make the row large is rejected with the size."""
    names = [f"{number:02}-{'x' * 36}" for number in range(99)]
    policy = Policy({name: Category(name=name, title="T") for name in names})
    cells = dict.fromkeys(("SLACK", "EMAIL", "WEBHOOK", "SMS", "TEST", "CLI", "TOOL"), False)
    choices = {name: {"enabled": False, "integrations": cells} for name in names}

    assert "at most 16384" in errors(put, {"categories": choices}, policy=policy)[""]


# Merges -------------------------------------------------------------------------------------------


def test_a_change_names_the_fields_that_it_changes():
    """Fields that are not named stay; null gives a field back."""
    old = put(BODY)

    new = put({"language": "fr", "time_zone": None}, old, now=NOW + 1)

    assert new == replace(old, language="fr", time_zone=None, updated_at=NOW + 1)


def test_hours_are_replaced_as_a_whole():
    """Windows that the new hours do not name are gone."""
    new = put({"hours": {"integrations": ["CLI"]}}, put(BODY))

    assert new.hours == {"integrations": ["CLI"]}


def test_categories_merge_by_name():
    """A named category is replaced whole, null removes it, and the others stay."""
    old = put({"categories": {"news": {"enabled": False}, "builds": {"enabled": False}}})

    new = put({"categories": {"news": {"integrations": {"CLI": True}}}}, old)

    assert new.categories == {
        "news": CategoryChoice(integrations={"CLI": True}),
        "builds": CategoryChoice(enabled=False),
    }
    assert put({"categories": {"news": None}}, old).categories == {
        "builds": CategoryChoice(enabled=False)
    }
    assert put({"categories": None, "language": "de"}, old).categories == {}
    assert put({"categories": {}}, old).categories == old.categories


def test_nothing_is_kept_of_preferences_that_are_all_given_back():
    """An empty map is removed, not stored."""
    assert put(dict.fromkeys(BODY), put(BODY)) is None
    assert (
        put({"categories": {"news": None}}, put({"categories": {"news": {"enabled": True}}}))
        is None
    )


def test_a_mute_that_is_over_counts_as_none():
    """In a body and in what is stored."""
    assert put({"muted_until": "2026-11-27T08:00:00Z"}) is None
    assert put({"language": "de"}, put(BODY), now=NOW + 30 * DAY).muted_until is None


def test_an_unknown_category_is_rejected():
    """The text names what is known; null may name a category that was removed."""
    assert errors(put, {"categories": {"gone": {"enabled": True}, "x/y": {"enabled": True}}}) == {
        "/categories/gone": "gone is not a known category; known: security, builds, news",
        "/categories/x~1y": "x/y is not a known category; known: security, builds, news",
    }
    old = replace(put(BODY), categories={"gone": CategoryChoice(enabled=False)})
    assert put({"categories": {"gone": None}}, old).categories == {}


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        ({"enabled": False}, "categories.security.enabled"),
        ({"integrations": {"SMS": False, "CLI": True}}, "categories.security.integrations.SMS"),
    ],
)
def test_a_locked_category_cannot_be_switched_off(choice, field):
    """The conflict names the category and the field; true is no conflict."""
    with pytest.raises(ConflictError, match=field):
        put({"categories": {"security": choice}})
    assert put({"categories": {"security": {"enabled": True}}}) is not None


@pytest.mark.parametrize(
    ("body", "moves"),
    [
        ({"hours": None}, True),
        ({"muted_until": None}, True),
        ({"time_zone": "UTC"}, True),
        ({"language": "de", "categories": {}}, False),
    ],
)
def test_only_changes_of_time_move_what_is_held(body, moves):
    """A changed category does not re-plan."""
    assert moves_holds(preferences_change(body, {}, now=NOW)) is moves


# Tag ----------------------------------------------------------------------------------------------


def test_the_tag_is_that_of_the_stored_preferences():
    """16 hex digits that change with the preferences alone, however their keys are ordered."""
    stored = put(BODY)
    turned = Preferences.of(dict(reversed(stored.as_item().items())))

    assert tag(stored) == tag(turned) != tag(put(BODY, now=NOW + 1))
    assert tag(None) == "44136fa355b3678a"
    assert len(tag(stored)) == 16


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('"abc"', True),
        ('"x", "abc"', True),
        ("*", True),
        (" * ", True),
        ('"x"', False),
        ('W/"abc"', False),
        ("abc", True),
        ("abd", False),
        ("x, abc", False),
        ('"abc', False),
        ("", False),
    ],
)
def test_if_match_names_the_tag(header, expected):
    """A list of tags, any, or a version; a weak tag never matches (RFC 9110, 8.8.3.2)."""
    assert matches(header, "abc") is expected


# Categories ---------------------------------------------------------------------------------------


def test_a_category_is_read_and_stored_whole():
    """The example of the contract, with its name in the body or without."""
    category = category_of("security", {"category": "security", **SECURITY}, {})

    assert category.as_item() == SECURITY
    assert Category.of("security", category.as_item()) == category
    assert category_of("security", SECURITY, {}) == category


def test_a_category_has_defaults():
    """Only the title is required."""
    assert category_of("news", {"title": "News"}, {}) == Category(name="news", title="News")


@pytest.mark.parametrize(
    ("name", "body", "pointer", "text"),
    [
        ("News", {"title": "T"}, "/category", "lower-case letters"),
        ("-a", {"title": "T"}, "/category", "lower-case letters"),
        ("a" * 41, {"title": "T"}, "/category", "lower-case letters"),
        ("a\n", {"title": "T"}, "/category", "lower-case letters"),
        ("news", {}, "/title", "is required"),
        ("news", {"title": ""}, "/title", "must not be empty"),
        ("news", {"title": "T" * 81}, "/title", "at most 80 characters"),
        ("news", {"title": "T", "description": "d" * 401}, "/description", "at most 400"),
        ("news", {"title": "T", "group": "g" * 41}, "/group", "at most 40"),
        ("news", {"title": "T", "order": 1000}, "/order", "999"),
        ("news", {"title": "T", "order": True}, "/order", "whole number"),
        ("news", {"title": "T", "enabled": None}, "/enabled", "must not be null"),
        ("news", {"title": "T", "locked": True}, "/reach_by", "must name at least one"),
        ("news", {"title": "T", "locked": True, "reach_by": []}, "/reach_by", "at least one"),
        ("news", {"title": "T", "reach_by": ["CLI"]}, "/reach_by", "only SLACK, EMAIL and SMS"),
        ("news", {"title": "T", "reach_by": ["SMS", "sms"]}, "/reach_by", "each one once"),
        ("news", {"title": "T", "integrations": {"FAX": True}}, "/integrations", "one of"),
        ("news", {"title": "T", "category": "other"}, "/category", "must be news"),
        ("news", {"title": "T", "digest": {}}, "/digest", "is reserved for a later version"),
        ("news", {"title": "T", "cap": 3}, "/cap", "is reserved for a later version"),
    ],
)
def test_a_category_outside_the_limits_is_rejected(name, body, pointer, text):
    """Each limit has its pointer."""
    found = errors(category_of, name, body, {})

    assert pointer in found, found
    assert text in found[pointer]


# In effect ----------------------------------------------------------------------------------------

DEFAULTS = system_defaults({"SMTP_HOST": "mail.example.com", "SMS_ENABLED": "true"})


def effective(preferences, *, now=NOW, overrides=None, default_zone="UTC"):
    """Return what results from preferences; only EMAIL has an address."""
    return described(
        "ada",
        UserOverrides(overrides or {}, 3, preferences),
        POLICY,
        DEFAULTS,
        lambda name, _config: "no_address" if name == "SMS" else None,
        default_zone=default_zone,
        now=now,
    )


def test_a_user_without_preferences_has_the_same_shape():
    """All null, and always open."""
    found = effective(None)

    fields = ("time_zone", "language", "hours", "muted_until", "categories", "updated_at")
    assert [found[name] for name in fields] == [None] * 6
    assert found["updated_via"] is None
    assert found["version"] == tag(None)
    assert found["effective"]["open_now"] is True
    assert found["effective"]["next_open_at"] is None
    assert found["effective"]["time_zone"] == {"value": "UTC", "source": "default"}


def test_preferences_are_returned_as_they_were_set():
    """With the tag, the time and the origin of the last change."""
    found = effective(put(BODY))

    assert {name: found[name] for name in BODY} == BODY
    assert found["version"] == tag(put(BODY))
    assert (found["updated_at"], found["updated_via"]) == ("2026-11-27T08:00:00.000Z", "api")


def test_a_mute_that_is_over_is_not_returned():
    """It is null, and the user is open again."""
    muted = put({"muted_until": "2026-11-27T09:00:00Z"})

    assert effective(muted)["effective"]["next_open_at"] == "2026-11-27T09:00:00.000Z"
    assert effective(muted, now=NOW + 3600)["muted_until"] is None
    assert effective(muted, now=NOW + 3600)["effective"]["open_now"] is True


def test_the_next_opening_is_that_of_the_window():
    """Without the spread: it is the user's own time that is shown."""
    evening = effective(put({"time_zone": "Europe/Berlin", "hours": HOURS}), now=NOW + 9.5 * 3600)

    assert evening["effective"]["open_now"] is False
    assert evening["effective"]["next_open_at"] == "2026-11-30T07:00:00.000Z"
    assert evening["effective"]["time_zone"] == {"value": "Europe/Berlin", "source": "user"}


def test_a_zone_that_is_not_shipped_any_more_gives_way_to_the_default():
    """A stored name never breaks a read."""
    lost = replace(put({"hours": HOURS}), time_zone="Europe/Atlantis")
    assert "Europe/Atlantis" not in zone_names()

    found = effective(lost, default_zone="Asia/Tokyo")

    assert found["time_zone"] == "Europe/Atlantis"
    assert found["effective"]["time_zone"] == {"value": "Asia/Tokyo", "source": "default"}
    assert found["effective"]["open_now"] is True


def test_each_integration_is_shown_per_category():
    """Enabled, the reason if not, and whether a change can have an effect."""
    found = effective(put({"categories": {"news": {"enabled": False}}}))["effective"]

    assert set(found["without_category"]["integrations"]) == set(DEFAULTS)
    assert found["without_category"]["integrations"]["EMAIL"] == {
        "enabled": True,
        "reason": None,
        "changeable": True,
    }
    assert found["without_category"]["integrations"]["SLACK"] == {
        "enabled": False,
        "reason": "not_configured",
        "changeable": False,
    }
    assert [one["category"] for one in found["categories"]] == ["security", "builds", "news"]
    news = found["categories"][2]
    assert (news["enabled"], news["ignored"]) == (False, [])
    assert news["integrations"]["EMAIL"] == {
        "enabled": False,
        "reason": "category_disabled_by_user",
        "changeable": True,
    }


def test_a_locked_category_shows_what_it_ignores():
    """A setting from before the lock is kept, has no effect, and cannot be changed."""
    before = replace(put(BODY), categories={"security": CategoryChoice(enabled=False)})
    off = {"EMAIL": Override({"enabled": False}, created_at=1.0, updated_at=1.0)}

    security = effective(before, overrides=off)["effective"]["categories"][0]

    assert (security["locked"], security["urgent"], security["enabled"]) == (True, True, True)
    assert security["ignored"] == ["enabled"]
    # By the lock, although the user's override disables it.
    assert security["integrations"]["EMAIL"] == {
        "enabled": True,
        "reason": None,
        "changeable": False,
    }
    assert security["integrations"]["SMS"] == {
        "enabled": False,
        "reason": "no_address",
        "changeable": False,
    }
