"""Reading and changing what a user receives and how."""

from __future__ import annotations

import dataclasses

import pytest

from dispatcher.configuration.rows import Override, Secrets, UserOverrides
from dispatcher.errors import ConflictError, FieldError, InvalidInputError, NotFoundError
from dispatcher.integrations import catalogue
from tests.catalogues import unused
from tests.fakes import Faulty
from tests.world import ENVIRON, HOOK, USER, World

SLACK = {
    "enabled": False,
    "priority": 1,
    "retry_count": 3,
    "retry_delay_seconds": 60,
    "config": {"thread_replies": False, "mention_user": False, "include_agent_info": True},
}
TEST = {
    "enabled": True,
    "priority": 5,
    "retry_count": 1,
    "retry_delay_seconds": 10,
    "config": {},
}
NOW = "2027-01-15T08:00:00.000Z"
SECRET_HOOK = {
    "url": "https://hooks.example.com/x?key=k-1",
    "headers": {"X-Key": "h-1", "X-Other": "h-2"},
}
HIDDEN_HOOK = {
    "url": "https://hooks.example.com/x?key=***",
    "headers": {"X-Key": "***", "X-Other": "***"},
}


def create(world, name: str, **fields) -> dict:
    """Create an override."""
    return world.configurations.create(USER, {"integration_type": name, **fields})


def update(world, name: str, **fields) -> dict:
    """Change an override."""
    return world.configurations.update(USER, name, fields)


def pointers(call, *arguments, **fields) -> list[str]:
    """Return where an input is wrong, and hold that nothing was written."""
    world = arguments[0]
    before = dict(world.overrides.rows)
    with pytest.raises(InvalidInputError) as caught:
        call(*arguments, **fields)
    assert world.overrides.rows == before
    return [field_error.pointer for field_error in caught.value.field_errors]


def override(world, name: str) -> Override:
    """Return an override as it is stored."""
    return world.overrides.get(USER).by_type[name]


def opened(world, name: str) -> Secrets:
    """Return what an override seals."""
    return Secrets.of(world.vault.open(USER, name, override(world, name).sealed))


# Reading ------------------------------------------------------------------------------------------


def test_the_system_defaults(world):
    """Every integration, in priority order, each with its five settings."""
    answer = world.defaults.listing()

    defaults = answer["default_integrations"]
    assert list(answer) == ["default_integrations"]
    assert list(defaults) == list(catalogue())
    assert (defaults["SLACK"], defaults["TEST"]) == (SLACK, TEST)


def test_a_user_without_overrides(world):
    """The lazy case: everything from the defaults, and nothing is stored for having asked."""
    answer = world.configurations.effective(USER)

    assert answer == {
        "user_id": USER,
        "user_overrides": {},
        "effective_configs": {"TEST": TEST},
        "disabled_integrations": unused(ENVIRON, "TEST"),
        "using_integration_defaults": True,
    }
    assert world.configurations.listing(USER) == {"user_id": USER, "integrations": []}
    assert world.overrides.rows == {}


def test_a_user_with_overrides(world):
    """The response has the overrides as they were set, without times, and the merged settings."""
    world.override("TOOL", enabled=False)
    world.override("SLACK", enabled=True, priority=9, config={"mention_user": True})

    answer = world.configurations.effective(USER)

    assert answer["user_overrides"] == {
        "SLACK": {"enabled": True, "priority": 9, "config": {"mention_user": True}},
        "TOOL": {"enabled": False},
    }
    assert list(answer["user_overrides"]) == ["SLACK", "TOOL"]
    assert answer["effective_configs"] == {
        "TEST": TEST,
        "SLACK": {
            **SLACK,
            "enabled": True,
            "priority": 9,
            "config": {**SLACK["config"], "mention_user": True},
        },
    }
    assert list(answer["effective_configs"]) == ["TEST", "SLACK"]
    assert answer["disabled_integrations"]["TOOL"] == "disabled_by_user"
    assert answer["using_integration_defaults"] is False


def test_reading_costs_one_read(world):
    """However much is stored."""
    calls = []
    counted = Faulty(world.overrides, calls.append, "get")
    configurations = dataclasses.replace(world.configurations, overrides=counted)
    world.override("SMS", enabled=True)

    configurations.effective(USER)
    configurations.listing(USER)
    configurations.override(USER, "SMS")

    assert calls == ["get"] * 3


@pytest.mark.parametrize("call", ["override", "delete"])
@pytest.mark.parametrize("others", [False, True])
def test_an_override_that_is_not_there_is_not_found(world, call, others):
    """Whether or not the user has others; the sentence says how to make one."""
    if others:
        world.override("EMAIL", enabled=True)

    with pytest.raises(NotFoundError) as caught:
        getattr(world.configurations, call)(USER, "SMS")

    assert str(caught.value) == f"User {USER} has no SMS override; create one with POST."


# Creating -----------------------------------------------------------------------------------------


def test_a_new_override_holds_what_was_said(world):
    """And ``enabled``, which counts as said."""
    answer = create(world, "email", retry_count=5, config={"format": "text"})

    shown = {
        "integration_type": "EMAIL",
        "enabled": True,
        "retry_count": 5,
        "config": {"format": "text"},
        "created_at": NOW,
        "updated_at": NOW,
    }
    settings = {"enabled": True, "retry_count": 5, "config": {"format": "text"}}
    now = world.clock.now()
    assert answer == shown
    assert override(world, "EMAIL") == Override(settings, created_at=now, updated_at=now)
    assert world.configurations.override(USER, "EMAIL") == {**shown, "health": None}
    assert world.configurations.listing(USER) == {"user_id": USER, "integrations": [shown]}


def test_overrides_are_listed_in_the_tables_order(world):
    """Whenever they were made."""
    for name in ("TOOL", "SMS", "SLACK"):
        create(world, name)

    listed = world.configurations.listing(USER)["integrations"]

    assert [one["integration_type"] for one in listed] == ["SLACK", "SMS", "TOOL"]


def test_a_second_override_of_a_type_is_a_conflict(world):
    """The first stays as it is."""
    create(world, "SMS", priority=3)
    before = override(world, "SMS")

    with pytest.raises(ConflictError) as caught:
        create(world, "SMS", priority=4)

    assert str(caught.value) == (
        f"User {USER} already has an override of SMS; change it with PUT, or DELETE it first."
    )
    assert override(world, "SMS") == before


def test_a_creation_whose_answer_was_lost_is_ours(world):
    """One write, however often the client had to ask."""
    lossy = Faulty(world.overrides, lambda _: "repeated", "create")

    answer = dataclasses.replace(world.configurations, overrides=lossy).create(
        USER, {"integration_type": "SMS"}
    )

    assert answer["enabled"] is True


@pytest.mark.parametrize(
    ("environ", "fields", "expected"),
    [
        ({}, {}, ["/config/url"]),
        ({}, {"config": {}}, ["/config/url"]),
        ({}, {"enabled": True, "config": {"method": "PUT"}}, ["/config/url"]),
        ({}, {"enabled": False}, []),
        ({}, {"enabled": False, "config": {"method": "PUT"}}, []),
        ({}, {"config": HOOK}, []),
        ({}, {"config": {"url": "http://hooks.example.com"}}, ["/config/url"]),
        ({}, {"config": {"url": "https://x.example.com/?a=***"}}, ["/config/url"]),
        ({}, {"enabled": False, "config": {"headers": {"A": "***"}}}, ["/config/headers/A"]),
        ({"INTEGRATION_DEFAULTS_WEBHOOK_ENABLED": "true"}, {"enabled": False}, []),
    ],
)
def test_a_webhook_needs_its_url_only_while_it_is_enabled(environ, fields, expected):
    """A new override needs its URL only while it is enabled, and cannot keep one with ``***``."""
    world = World(**environ)

    if expected:
        assert pointers(create, world, "WEBHOOK", **fields) == expected
    else:
        assert create(world, "WEBHOOK", **fields)["enabled"] is fields.get("enabled", True)


def test_the_demand_says_when_it_holds(world):
    """In words."""
    with pytest.raises(InvalidInputError) as caught:
        create(world, "WEBHOOK")

    assert caught.value.field_errors == (
        FieldError("/config/url", "is required while WEBHOOK is enabled"),
    )


def test_a_new_webhook_is_told_its_signing_secret_once(world):
    """Responses show ``***`` for secrets, which are stored only in the sealed part."""
    answer = create(world, "WEBHOOK", config=SECRET_HOOK)

    again = world.configurations.override(USER, "WEBHOOK")
    assert again.pop("health") is None
    assert answer == {**again, "signing_secret": answer["signing_secret"]}
    assert again["config"] == HIDDEN_HOOK
    assert "signing_secret" not in again
    assert opened(world, "WEBHOOK") == Secrets(
        {"url": SECRET_HOOK["url"], "headers": SECRET_HOOK["headers"]},
        {"signing_secret": answer["signing_secret"]},
    )
    assert answer["signing_secret"].startswith("whsec_")


def test_every_webhook_has_a_secret_of_its_own(world):
    """Also one without a config, and one made after another was deleted."""
    first = create(world, "WEBHOOK", enabled=False)
    world.configurations.delete(USER, "WEBHOOK")
    second = create(world, "WEBHOOK", enabled=False)

    assert first["signing_secret"] != second["signing_secret"]
    assert opened(world, "WEBHOOK").issued == {"signing_secret": second["signing_secret"]}


def test_an_integration_without_secrets_seals_nothing(world):
    """No key is asked for."""
    create(world, "EMAIL", config={"format": "text"})

    assert override(world, "EMAIL").sealed == ()


# Changing -----------------------------------------------------------------------------------------


def test_only_the_named_fields_change(world):
    """The guide's example: the rest stays, and the time of the change is noted."""
    create(world, "SLACK", config={"mention_user": True}, priority=1, retry_delay_seconds=30)
    world.clock.advance(90)

    answer = update(world, "SLACK", enabled=False, retry_count=10)

    assert answer == {
        "integration_type": "SLACK",
        "enabled": False,
        "config": {"mention_user": True},
        "priority": 1,
        "retry_count": 10,
        "retry_delay_seconds": 30,
        "created_at": NOW,
        "updated_at": "2027-01-15T08:01:30.000Z",
    }
    assert world.configurations.override(USER, "SLACK") == {**answer, "health": None}


def test_a_config_replaces_the_overrides_whole_config(world):
    """Keys that are not named fall back to the default."""
    create(world, "SLACK", config={"mention_user": True, "thread_replies": True})

    update(world, "SLACK", config={"thread_replies": False})

    assert override(world, "SLACK").settings["config"] == {"thread_replies": False}


@pytest.mark.parametrize(
    "field", ["enabled", "priority", "retry_count", "retry_delay_seconds", "config"]
)
def test_null_gives_a_field_back_to_the_default(world, field):
    """It is no longer set, and the others are."""
    settings = {
        "enabled": True,
        "priority": 9,
        "retry_count": 8,
        "retry_delay_seconds": 7,
        "config": {"mention_user": True},
    }
    create(world, "SLACK", **settings)

    update(world, "SLACK", **{field: None})

    assert override(world, "SLACK").settings == {
        name: value for name, value in settings.items() if name != field
    }


def test_an_override_whose_fields_are_all_given_back_still_exists(world):
    """Until it is deleted; the user does not use the defaults by name."""
    create(world, "TEST")

    update(world, "TEST", enabled=None)

    answer = world.configurations.effective(USER)
    assert (answer["user_overrides"], answer["using_integration_defaults"]) == ({"TEST": {}}, False)
    assert answer["effective_configs"] == {"TEST": TEST}


def test_a_change_of_nothing_that_is_there_is_not_found(world):
    """PUT changes, POST creates; the body is read first."""
    with pytest.raises(NotFoundError):
        update(world, "SMS", enabled=False)

    assert pointers(update, world, "SMS") == [""]
    assert world.overrides.rows == {}


@pytest.mark.parametrize(
    ("before", "change", "expected"),
    [
        ({"enabled": False}, {"enabled": True}, ["/config/url"]),
        ({"enabled": False}, {"priority": 9}, []),
        ({"enabled": False}, {"enabled": True, "config": HOOK}, []),
        ({"config": HOOK}, {"config": {}}, ["/config/url"]),
        ({"config": HOOK}, {"config": None}, ["/config/url"]),
        ({"config": HOOK}, {"config": None, "enabled": False}, []),
        ({"config": HOOK}, {"config": None, "enabled": None}, []),
        ({"config": HOOK}, {"config": {"url": "https://169.254.169.254/"}}, ["/config/url"]),
        ({"config": HOOK}, {"config": {"url": None}}, ["/config/url"]),
    ],
)
def test_a_change_must_leave_what_delivery_needs(world, before, change, expected):
    """Judged by the override as it would be."""
    create(world, "WEBHOOK", **before)

    if expected:
        assert pointers(update, world, "WEBHOOK", **change) == expected
    else:
        update(world, "WEBHOOK", **change)


def test_giving_back_enabled_asks_the_default():
    """Where operators enabled WEBHOOK for all, it needs its url."""
    world = World(INTEGRATION_DEFAULTS_WEBHOOK_ENABLED="true")
    create(world, "WEBHOOK", enabled=False)

    assert pointers(update, world, "WEBHOOK", enabled=None) == ["/config/url"]


def test_a_placeholder_keeps_its_stored_value(world):
    """For the same receiver; the issued secret stays in any case."""
    secret = create(world, "WEBHOOK", config=SECRET_HOOK)["signing_secret"]

    answer = update(
        world,
        "WEBHOOK",
        config={
            "url": "https://hooks.example.com/y?key=***&more=1",
            "headers": {"X-Key": "***", "X-New": "n-1"},
        },
    )

    assert answer["config"] == {
        "url": "https://hooks.example.com/y?key=***&more=***",
        "headers": {"X-Key": "***", "X-New": "***"},
    }
    assert opened(world, "WEBHOOK") == Secrets(
        {
            "url": "https://hooks.example.com/y?key=k-1&more=1",
            "headers": {"X-Key": "h-1", "X-New": "n-1"},
        },
        {"signing_secret": secret},
    )


def test_a_secret_never_goes_to_another_receiver(world):
    """``***`` beside a new host is refused; the old config stays."""
    create(world, "WEBHOOK", config=SECRET_HOOK)

    found = pointers(
        update,
        world,
        "WEBHOOK",
        config={"url": "https://evil.example.com/?key=***", "headers": {"X-Key": "***"}},
    )

    assert found == ["/config/headers/X-Key", "/config/url"]


def test_a_config_with_its_stored_values_has_the_same_limit(world):
    """``***`` counts as the value that it keeps."""
    headers = {f"X-{number}": "v" * 4000 for number in range(5)}
    create(world, "WEBHOOK", config={**HOOK, "headers": dict([*headers.items()][:4])})
    kept = {name: "***" for name in headers if name != "X-4"}

    found = pointers(update, world, "WEBHOOK", config={**HOOK, "headers": {**headers, **kept}})

    assert found == ["/config"]
    assert update(world, "WEBHOOK", config={**HOOK, "headers": kept})["config"]["headers"] == kept


@pytest.mark.parametrize("change", [{"priority": 2}, {"enabled": False}])
def test_secrets_survive_other_changes(world, change):
    """Without being opened."""
    create(world, "WEBHOOK", config=SECRET_HOOK)
    before = override(world, "WEBHOOK").sealed
    world.vault.broken = True

    update(world, "WEBHOOK", **change)

    assert override(world, "WEBHOOK").sealed == before


def test_a_config_given_back_takes_its_secrets_along(world):
    """The signing secret is not the config's."""
    secret = create(world, "WEBHOOK", config=SECRET_HOOK)["signing_secret"]

    update(world, "WEBHOOK", config=None, enabled=False)

    assert opened(world, "WEBHOOK") == Secrets({}, {"signing_secret": secret})
    assert "config" not in override(world, "WEBHOOK").settings


def test_an_override_without_secrets_can_get_some(world):
    """Made by hand, or before there were any."""
    world.override("WEBHOOK", enabled=True, config=HOOK)

    update(world, "WEBHOOK", config=SECRET_HOOK)

    assert opened(world, "WEBHOOK").config["headers"] == SECRET_HOOK["headers"]


@pytest.mark.parametrize(
    ("change", "cleared"),
    [
        ({"enabled": True}, True),
        ({"enabled": None}, True),
        ({"config": {"url": "https://hooks.example.com/new"}}, True),
        ({"config": HOOK}, True),
        ({"priority": 3}, False),
        ({"retry_count": 0}, False),
    ],
)
def test_a_put_of_enabled_or_url_clears_what_a_receiver_said(world, change, cleared):
    """A PUT of ``enabled`` or ``url`` removes the state ``disabled_by_receiver``."""
    world.webhook()
    gone = dataclasses.replace(override(world, "WEBHOOK"), disabled_by_receiver=True)
    world.overrides.rows[USER] = UserOverrides({"WEBHOOK": gone}, 4)

    update(world, "WEBHOOK", **change)

    assert override(world, "WEBHOOK").disabled_by_receiver is not cleared


def contended(world, moves: int):
    """Let another writer change the user's overrides before each of ``moves`` writes."""
    left = list(range(moves))

    def move(_):
        if left:
            world.override("EMAIL", priority=left.pop() + 1)

    return dataclasses.replace(
        world.configurations, overrides=Faulty(world.overrides, move, "replace")
    )


def test_a_change_beside_anothers_change_is_worked_out_anew(world):
    """Neither is lost."""
    create(world, "SMS", priority=3)

    contended(world, 3).update(USER, "SMS", {"retry_count": 9})

    assert override(world, "SMS").settings == {"enabled": True, "priority": 3, "retry_count": 9}
    assert override(world, "EMAIL").settings == {"priority": 1}


def test_a_change_that_finds_no_quiet_moment_is_a_conflict(world):
    """After four tries."""
    create(world, "SMS", priority=3)

    with pytest.raises(ConflictError) as caught:
        contended(world, 4).update(USER, "SMS", {"retry_count": 9})

    assert str(caught.value) == (
        f"Other requests are changing the overrides of user {USER}; try again."
    )
    assert "retry_count" not in override(world, "SMS").settings


def test_a_change_to_what_was_deleted_meanwhile_is_not_found(world):
    """It is not brought back."""
    create(world, "SMS")
    moves = [lambda: world.configurations.delete(USER, "SMS")]
    raced = Faulty(world.overrides, lambda _: moves.pop()() if moves else None, "replace")

    with pytest.raises(NotFoundError):
        dataclasses.replace(world.configurations, overrides=raced).update(
            USER, "SMS", {"retry_count": 9}
        )

    assert world.overrides.rows == {}


# Removing -----------------------------------------------------------------------------------------


def test_the_last_override_leaves_nothing_behind(world):
    """The others stay until then; the deliveries stay in any case."""
    create(world, "SMS")
    create(world, "EMAIL")
    ids = world.send(integration_types=["EMAIL"])

    world.configurations.delete(USER, "SMS")
    left = set(world.overrides.get(USER).by_type)
    world.configurations.delete(USER, "EMAIL")

    assert (left, world.overrides.rows) == ({"EMAIL"}, {})
    assert world.delivery(ids[0]).status == "pending"


def test_deleting_twice_is_not_found(world):
    """The first time it was there."""
    create(world, "SMS")
    world.configurations.delete(USER, "SMS")

    with pytest.raises(NotFoundError):
        world.configurations.delete(USER, "SMS")


def test_a_reset_removes_all_overrides_at_once(world):
    """Named in the table's order; a user without any is reset already."""
    for name in ("TOOL", "SLACK", "SMS"):
        create(world, name)

    first, second = (world.configurations.reset(USER) for _ in range(2))

    assert first == {
        "user_id": USER,
        "removed": ["SLACK", "SMS", "TOOL"],
        "using_integration_defaults": True,
    }
    assert second == {**first, "removed": []}
    assert world.overrides.rows == {}
