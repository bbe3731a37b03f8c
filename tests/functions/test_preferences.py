"""Preferences and categories, as a caller sees them: the tables of the contract over the routes."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import boto3
import pytest

from dispatcher import wiring
from dispatcher.access.policy import PREFERENCES, READ, SEND, WRITE, Caller
from dispatcher.configuration import hours
from dispatcher.integrations import catalogue
from tests.functions.service import TIME, Like

NOW = datetime(2026, 11, 26, 22, 30, tzinfo=UTC)
"""A Thursday, 23:30 in Berlin."""

ADA = {"user_id": "ada"}
DAILY = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "07:00", "to": "22:00"}
WORKING = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00"}
BERLIN = {"time_zone": "Europe/Berlin", "hours": {"windows": [DAILY]}}
SECURITY = {"title": "Security", "locked": True, "reach_by": ["EMAIL", "SMS"]}
LINK = Caller("link:ada", "ada", frozenset({PREFERENCES}))
TAG = Like("[0-9a-f]{16}")


@pytest.fixture
def clock(time_machine):
    """A clock at ``NOW`` that only moves when a test moves it."""
    time_machine.move_to(NOW, tick=False)
    return lambda when: time_machine.move_to(datetime.fromisoformat(when), tick=False)


@pytest.fixture
def office(clock, service, monkeypatch):
    """SLACK and EMAIL reach Ada; SMS could too, and is disabled by default."""
    for variable, value in {
        "SLACK_BOT_TOKEN_SECRET": "slack",
        "EMAIL_SENDER": "news@example.com",
        "SMS_ENABLED": "true",
        "INTEGRATION_DEFAULTS_TEST_ENABLED": "false",
        "INTEGRATION_DEFAULTS_SLACK_ENABLED": "true",
        "INTEGRATION_DEFAULTS_EMAIL_ENABLED": "true",
    }.items():
        monkeypatch.setenv(variable, value)
    wiring.reset()
    override(service, "SLACK", config={"slack_user_id": "U024BE7LH"})
    override(service, "EMAIL", config={"email_address": "ada@example.com"})
    return service


def override(service, integration_type, **settings):
    """Create or change an override of Ada."""
    body = {"integration_type": integration_type, **settings}
    status, _ = service.ask("create_override", body, **ADA)
    if status == 409:
        status, _ = service.ask(
            "update_override", settings, integration_type=integration_type, **ADA
        )
    assert status in {200, 201}


def reachable_by_sms(service):
    """Give Ada a phone number without enabling SMS."""
    override(service, "SMS", config={"phone_number": "+14155552671"})
    given_back = {"enabled": None}
    assert service.ask("update_override", given_back, integration_type="SMS", **ADA)[0] == 200


def category(service, name, /, **fields):
    """Define a category."""
    status, body = service.ask("put_category", {"title": name.title(), **fields}, category=name)
    assert status in {200, 201}, body
    wiring.reset()


def prefer(service, **preferences):
    """Change Ada's preferences; return the response."""
    status, body = service.ask("update_preferences", preferences, **ADA)
    assert status == 200, body
    return body


def preview(service, **body):
    """Preview a message to Ada; return what is used, what for the lock alone, and what is not."""
    status, answer = service.ask("preview_message", {"content": "x", **body}, **ADA)
    assert status == 200, answer
    used = [one["integration_type"] for one in answer["deliveries"]]
    by_lock = [one["integration_type"] for one in answer["deliveries"] if one["locked"]]
    return used, by_lock, {one["integration_type"]: one["reason"] for one in answer["skipped"]}


# Which integrations a message uses ----------------------------------------------------------------


def test_a_category_that_a_user_disables_reaches_nobody(office):
    """Every integration is skipped, with a reason and a detail."""
    category(office, "news")
    prefer(office, categories={"news": {"enabled": False}})

    assert preview(office, category="news") == (
        [],
        [],
        dict.fromkeys(catalogue(), "category_disabled_by_user"),
    )
    _, answer = office.ask("preview_message", {"category": "news"}, **ADA)
    assert all(one["detail"] for one in answer["skipped"])
    # Other messages are delivered.
    assert preview(office)[0] == ["SLACK", "EMAIL"]


def test_a_locked_category_ignores_the_users_setting_and_keeps_it(office):
    """The setting stays stored and is shown as ignored; the next message is delivered."""
    category(office, "news")
    prefer(office, categories={"news": {"enabled": False}})
    category(office, "news", locked=True, reach_by=["EMAIL"])

    assert preview(office, category="news")[0] == ["SLACK", "EMAIL"]
    _, shown = office.ask("get_preferences", **ADA)
    [news] = shown["effective"]["categories"]
    assert shown["categories"] == {"news": {"enabled": False}}
    assert (news["enabled"], news["locked"], news["ignored"]) == (True, True, ["enabled"])
    assert {one["changeable"] for one in news["integrations"].values()} == {False}


def test_a_locked_category_reaches_a_user_who_opted_out_of_every_channel(office):
    """The first integration of ``reach_by`` is used although the user disabled it."""
    category(office, "security", **SECURITY)
    override(office, "SLACK", enabled=False)
    override(office, "EMAIL", enabled=False)

    used, by_lock, skipped = preview(office, category="security")

    assert (used, by_lock) == (["EMAIL"], ["EMAIL"])
    assert skipped["SLACK"] == "disabled_by_user"


def test_an_opt_out_stands_while_another_channel_reaches_the_user(office):
    """With SLACK left, a locked category does not use the disabled EMAIL."""
    category(office, "security", **SECURITY)
    override(office, "EMAIL", enabled=False)

    used, by_lock, skipped = preview(office, category="security")

    assert (used, by_lock) == (["SLACK"], [])
    assert skipped["EMAIL"] == "disabled_by_user"


def test_the_fallback_takes_the_next_integration_that_has_an_address(office):
    """EMAIL has no address, so SMS is used."""
    category(office, "security", **SECURITY)
    reachable_by_sms(office)
    override(office, "SLACK", enabled=False)
    office.ask("delete_override", integration_type="EMAIL", **ADA)

    used, by_lock, skipped = preview(office, category="security")

    assert (used, by_lock) == (["SMS"], ["SMS"])
    assert skipped["EMAIL"] == "no_address"


def test_the_fallback_stays_within_the_callers_list(office):
    """A send over CLI alone is not sent by EMAIL."""
    category(office, "security", **SECURITY)
    override(office, "CLI", enabled=True)
    override(office, "SLACK", enabled=False)
    override(office, "EMAIL", enabled=False)

    used, by_lock, skipped = preview(office, category="security", integration_types=["CLI"])

    assert (used, by_lock, skipped) == (["CLI"], [], {})


def test_a_user_can_choose_an_integration_for_one_category(office):
    """SMS is used for this category only, though it is disabled by default."""
    category(office, "incidents")
    reachable_by_sms(office)
    prefer(office, categories={"incidents": {"integrations": {"SMS": True, "SLACK": False}}})

    used, _, skipped = preview(office, category="incidents")

    assert used == ["EMAIL", "SMS"]
    assert skipped["SLACK"] == "category_disabled_by_user"
    assert preview(office)[2]["SMS"] == "disabled_by_default"


def test_an_operator_can_choose_integrations_for_a_category(office):
    """The operator's choice applies to users who did not choose; the user's comes first."""
    category(office, "builds", integrations={"SMS": True, "SLACK": False, "EMAIL": False})
    reachable_by_sms(office)
    prefer(office, categories={"builds": {"integrations": {"EMAIL": True}}})

    used, _, skipped = preview(office, category="builds")

    assert used == ["EMAIL", "SMS"]
    assert skipped["SLACK"] == "category_disabled_by_default"


def test_a_chosen_integration_that_is_not_configured_is_not_used(office, monkeypatch):
    """A choice cannot replace what operators have to set up."""
    monkeypatch.setenv("SMS_ENABLED", "false")
    category(office, "incidents")
    prefer(office, categories={"incidents": {"integrations": {"SMS": True}}})

    assert preview(office, category="incidents")[2]["SMS"] == "not_configured"


def test_an_opt_in_category_waits_for_the_users_choice(office):
    """A category that is off by default reaches only users who chose it."""
    category(office, "beta", enabled=False)

    assert preview(office, category="beta")[2]["SLACK"] == "category_disabled_by_default"

    prefer(office, categories={"beta": {"enabled": True}})
    assert preview(office, category="beta")[0] == ["SLACK", "EMAIL"]


def test_the_effective_configuration_can_be_asked_for_a_category(office):
    """``?category=`` gives the same result as a send; an unknown category or parameter is 422."""
    category(office, "builds", integrations={"SLACK": False})

    query = {"category": ["builds"]}
    status, answer = office.ask("get_effective_configuration", query=query, **ADA)

    assert status == 200
    assert [*answer["effective_configs"]] == ["EMAIL"]
    assert answer["disabled_integrations"]["SLACK"] == "category_disabled_by_default"
    for wrong in ({"category": ["none"]}, {"categories": ["builds"]}):
        status, problem = office.ask("get_effective_configuration", query=wrong, **ADA)
        assert status == 422
        assert problem["errors"][0]["pointer"] == f"/{next(iter(wrong))}"


@pytest.mark.parametrize("function", ["send_message", "preview_message"])
def test_an_unknown_category_is_rejected(office, function):
    """The error names the known ones, and nothing is stored."""
    category(office, "news")

    status, problem = office.ask(function, {"content": "x", "category": "nwes"}, **ADA)

    assert status == 422
    assert problem["errors"] == [
        {"pointer": "/category", "detail": "nwes is not a known category; known: news"}
    ]
    assert ("dynamodb:PutItem", "DeliveriesTable") not in office.called


# Hours and mutes ----------------------------------------------------------------------------------

RULE = [
    ([DAILY], "Europe/Berlin", "2026-11-26T22:30:00Z", "2026-11-27T06:00:00.000Z"),
    ([DAILY], "Europe/Berlin", "2026-11-26T21:00:00Z", "2026-11-27T06:00:00.000Z"),
    ([DAILY], "Europe/Berlin", "2026-11-26T06:00:00Z", None),
    ([WORKING], "Europe/Berlin", "2026-11-27T17:30:00Z", "2026-11-30T07:00:00.000Z"),
    (
        [{**WORKING, "from": "22:00", "to": "06:00"}],
        "Europe/Berlin",
        "2026-11-28T04:59:00Z",
        None,
    ),
    (
        [{**WORKING, "from": "22:00", "to": "06:00"}],
        "Europe/Berlin",
        "2026-11-28T05:00:00Z",
        "2026-11-30T21:00:00.000Z",
    ),
    (
        [{"days": ["fri"], "from": "22:00", "to": "24:00"}],
        "Europe/Berlin",
        "2026-11-27T23:00:00Z",
        "2026-12-04T21:00:00.000Z",
    ),
    ([DAILY], "Europe/Berlin", "2027-03-27T22:00:00Z", "2027-03-28T05:00:00.000Z"),
    (
        [{**DAILY, "from": "02:30", "to": "05:00"}],
        "Europe/Berlin",
        "2027-03-28T00:30:00Z",
        "2027-03-28T01:00:00.000Z",
    ),
    (
        [{**DAILY, "from": "02:15", "to": "02:45"}],
        "America/New_York",
        "2027-03-14T06:30:00Z",
        "2027-03-15T06:15:00.000Z",
    ),
    (
        [{"days": ["sun"], "from": "02:15", "to": "02:45"}],
        "Europe/Berlin",
        "2027-03-21T01:45:00Z",
        "2027-04-04T00:15:00.000Z",
    ),
    ([DAILY], "Europe/Berlin", "2026-10-24T21:00:00Z", "2026-10-25T06:00:00.000Z"),
    (
        [{**DAILY, "from": "02:00", "to": "02:30"}],
        "Europe/Berlin",
        "2026-10-25T00:40:00Z",
        "2026-10-25T01:00:00.000Z",
    ),
    ([DAILY], None, "2026-11-26T22:30:00Z", "2026-11-27T07:00:00.000Z"),
]


@pytest.mark.parametrize(("windows", "zone", "now", "opens"), RULE)
def test_the_next_opening_follows_the_rule_of_time(service, clock, windows, zone, now, opens):
    """``effective`` has the first instant of the next window, also where the clock changes."""
    clock(now)
    given = {"hours": {"windows": windows}, **({"time_zone": zone} if zone else {})}

    effective = prefer(service, **given)["effective"]

    assert (effective["open_now"], effective["next_open_at"]) == (opens is None, opens)
    source = "user" if zone else "default"
    assert effective["time_zone"] == {"value": zone or "UTC", "source": source}


def test_a_preview_shows_until_when_each_delivery_is_held(office):
    """A window opens for each user after a fixed spread, for Ada 72 s; ``deliver_at`` counts."""
    prefer(office, **BERLIN)
    override(office, "CLI", enabled=True)

    _, now = office.ask("preview_message", {}, **ADA)
    later = {"deliver_at": "2026-11-28T12:00:00Z"}
    _, by_day = office.ask("preview_message", later, **ADA)

    hold = {
        "reason": "quiet_hours",
        "until": "2026-11-27T06:01:12.000Z",
        "detail": "Quiet hours until Fri 27 Nov 07:01 (Europe/Berlin).",
    }
    held = {one["integration_type"]: one["held"] for one in now["deliveries"]}
    assert held == {"SLACK": hold, "EMAIL": hold, "CLI": None}
    assert [one["held"] for one in by_day["deliveries"]] == [None] * 3


def test_a_mute_holds_to_the_second_and_comes_first(office):
    """A mute that ends inside a window has no spread; another one waits for the window."""
    prefer(office, **BERLIN, muted_until="2026-11-27T09:00:00Z")
    _, muted = office.ask("preview_message", {"integration_types": ["EMAIL"]}, **ADA)
    prefer(office, muted_until="2026-11-26T23:00:00Z")
    _, both = office.ask("preview_message", {"integration_types": ["EMAIL"]}, **ADA)

    holds = [one["deliveries"][0]["held"] for one in (muted, both)]
    assert [one["reason"] for one in holds] == ["muted", "muted"]
    assert [one["until"] for one in holds] == [
        "2026-11-27T09:00:00.000Z",
        "2026-11-27T06:01:12.000Z",
    ]


def test_an_urgent_category_is_not_held_and_a_locked_one_is(office):
    """The two properties are independent."""
    category(office, "alarm", urgent=True)
    category(office, "security", **SECURITY)
    prefer(office, **BERLIN)

    held = {
        name: [one["held"] is not None for one in answer["deliveries"]]
        for name in ("alarm", "security")
        for _, answer in [office.ask("preview_message", {"category": name}, **ADA)]
    }

    assert held == {"alarm": [False, False], "security": [True, True]}


def test_the_users_own_list_of_integrations_is_held(office):
    """``hours.integrations`` replaces the three that interrupt."""
    override(office, "CLI", enabled=True)
    prefer(office, **{**BERLIN, "hours": {"windows": [DAILY], "integrations": ["cli"]}})

    _, answer = office.ask("preview_message", {}, **ADA)

    held = {one["integration_type"]: bool(one["held"]) for one in answer["deliveries"]}
    assert held == {"SLACK": False, "EMAIL": False, "CLI": True}


def test_a_message_that_would_expire_while_held_is_skipped(office):
    """The reason has a detail, and there is no delivery."""
    prefer(office, **BERLIN)

    expiring = {"expires_at": "2026-11-27T05:00:00Z"}
    used, _, skipped = preview(office, **expiring)

    assert used == []
    assert (skipped["SLACK"], skipped["EMAIL"]) == ("expires_while_held",) * 2


def test_a_preview_writes_rings_and_counts_nothing(office):
    """It reads one row, and the categories where one is named."""
    category(office, "news")

    office.ask("preview_message", {"category": "news", "request_id": "any"}, **ADA)

    assert set(office.called) == {("dynamodb:GetItem", "OverridesTable")}
    assert [line.msg for line in office.lines] == ["request.handled"]


# A message that is held and released --------------------------------------------------------------


@pytest.fixture
def held(clock, service):
    """Ada is muted, and a message by TEST is held; return its delivery."""
    prefer(service, hours={"integrations": ["TEST"]}, muted_until="2026-11-27T22:30:00Z")
    status, sent = service.ask("send_message", {"content": "Good night"}, **ADA)
    assert status == 202
    [delivery] = sent["deliveries"]
    return delivery


def mailbox(service):
    """Return the contents of Ada's mailbox."""
    query = {"integration_type": ["TEST"], "limit": ["200"]}
    _, page = service.ask("list_messages", query=query, **ADA)
    return [message["content"] for message in page["messages"]]


def test_a_held_message_is_delivered_after_an_unmute(service, held):
    """Nothing is sent before; the change moves the delivery and rings for it."""
    assert held["held"]["reason"] == "muted"
    assert service.messages("DeliveryQueue") == []
    _, delivery = service.ask("get_delivery", delivery_id=held["delivery_id"], **ADA)
    assert (delivery["status"], delivery["held"]) == ("pending", held["held"])
    assert delivery["next_attempt_at"] == held["held"]["until"]

    changed = prefer(service, muted_until=None)
    service.deliver(*service.messages("RetryQueue"))

    assert changed["rescheduled"] == {"deliveries": 1, "complete": True}
    assert mailbox(service) == ["Good night"]


def test_deleting_preferences_releases_what_they_held(service, held):
    """The row is gone, and the delivery is rung for."""
    status, _ = service.ask("delete_preferences", **ADA)
    service.deliver(*service.messages("RetryQueue"))

    assert status == 204
    assert mailbox(service) == ["Good night"]
    assert rows() == {}


def test_a_held_delivery_can_be_cancelled(service, held):
    """It is pending and not claimed."""
    status, cancelled = service.ask("cancel_delivery", delivery_id=held["delivery_id"], **ADA)
    prefer(service, muted_until=None)
    service.deliver(*service.messages("RetryQueue") or ["{}"])

    assert (status, cancelled["status"], cancelled["held"]) == (200, "skipped", None)
    assert mailbox(service) == []


def test_a_repeated_send_shows_the_hold_of_its_acceptance(service, clock):
    """The stored response is repeated, with the same IDs."""
    prefer(service, hours={"integrations": ["TEST"]}, muted_until="2026-11-27T22:30:00Z")
    body = {"content": "x", "request_id": "one"}
    first = service.ask("send_message", body, **ADA)
    prefer(service, muted_until=None)

    assert service.ask("send_message", body, **ADA) == first


def test_a_retry_respects_the_mute_unless_it_says_now(service, clock):
    """A retry with ``?now=true`` is sent immediately; another value or parameter is 422."""
    override(service, "TEST", retry_count=0, config={"failure": "permanent"})
    ids = []
    for _ in range(2):
        _, sent = service.ask("send_message", {"content": "x"}, **ADA)
        ids.append(sent["deliveries"][0]["delivery_id"])
        service.deliver()
    override(service, "TEST", config={})
    prefer(service, hours={"integrations": ["TEST"]}, muted_until="2026-11-27T22:30:00Z")

    for query in ({"now": ["yes"]}, {"nwo": ["true"]}):
        status, _ = service.ask("retry_delivery", delivery_id=ids[0], query=query, **ADA)
        assert status == 422
    assert service.ask("retry_delivery", delivery_id=ids[0], **ADA)[0] == 202
    query = {"now": ["true"]}
    assert service.ask("retry_delivery", delivery_id=ids[1], query=query, **ADA)[0] == 202
    service.deliver(*service.messages("RetryQueue"))

    statuses = [service.ask("get_delivery", delivery_id=one, **ADA)[1]["status"] for one in ids]
    assert statuses == ["pending", "success"]


def test_a_test_message_is_sent_despite_a_mute(service, clock):
    """``…/test`` is never held."""
    prefer(service, hours={"integrations": ["TEST"]}, muted_until="2026-11-27T22:30:00Z")

    _, sent = service.ask("test_integration", integration_type="TEST", **ADA)
    service.deliver()

    assert sent["deliveries"][0]["held"] is None
    assert len(mailbox(service)) == 1


# Reading and changing preferences -----------------------------------------------------------------


def rows():
    """Return the rows of users by user ID."""
    items = boto3.client("dynamodb").scan(TableName="OverridesTable")["Items"]
    return {item["user_id"]["S"]: item for item in items if item["user_id"]["S"] != "!policy"}


def test_a_user_without_preferences_has_the_same_shape(service, clock):
    """All settings are null, and no row is stored."""
    response = service.response("get_preferences", **ADA)
    body = json.loads(response["body"])

    assert {name: body[name] for name in body if name not in {"effective", "version"}} == {
        "user_id": "ada",
        **dict.fromkeys(("time_zone", "language", "hours", "muted_until", "categories")),
        "updated_at": None,
        "updated_via": None,
    }
    assert response["headers"]["ETag"] == f'"{body["version"]}"'
    assert body["version"] == TAG
    assert [*body["effective"]["without_category"]["integrations"]] == [*catalogue()]
    assert body["effective"]["open_now"] is True
    assert rows() == {}


def test_a_change_merges_and_null_gives_back(service, clock):
    """Named fields change; categories merge by name; the others stay."""
    category(service, "news")
    category(service, "builds")
    prefer(service, **BERLIN, language="de", categories={"news": {"enabled": False}})

    changed = prefer(
        service,
        language=None,
        categories={"news": None, "builds": {"integrations": {"slack": False}}},
    )

    assert changed["time_zone"] == "Europe/Berlin"
    assert changed["language"] is None
    assert changed["hours"] == {"windows": [DAILY]}
    assert changed["categories"] == {"builds": {"integrations": {"SLACK": False}}}
    assert (changed["updated_at"], changed["updated_via"]) == (TIME, "api")
    assert changed["rescheduled"] == {"deliveries": 0, "complete": True}


def test_a_user_who_gives_everything_back_has_no_row(service, clock):
    """The last field removes the preferences; the row goes with its last part."""
    prefer(service, language="de")
    assert set(rows()) == {"ada"}

    prefer(service, language=None)

    assert rows() == {}


def test_reset_keeps_preferences_and_a_delete_keeps_overrides(service, clock):
    """The two parts of a user's row are independent; the tag is that of the preferences alone."""
    tag = prefer(service, language="de")["version"]
    override(service, "TEST", priority=9)
    assert service.ask("get_preferences", **ADA)[1]["version"] == tag

    _, reset = service.ask("reset_overrides", **ADA)
    assert reset["removed"] == ["TEST"]
    assert service.ask("get_preferences", **ADA)[1]["language"] == "de"

    override(service, "TEST", priority=9)
    assert service.ask("delete_preferences", **ADA)[0] == 204
    assert service.ask("delete_preferences", **ADA)[0] == 204
    assert service.ask("get_override", integration_type="TEST", **ADA)[0] == 200


def test_if_match_protects_from_a_change_in_between(service, clock):
    """The stored tag is accepted; another one gets 412, and nothing changes."""
    first = prefer(service, language="de")["version"]
    good = {"If-Match": [f'"{first}"']}
    status, changed = service.ask("update_preferences", {"language": "en"}, headers=good, **ADA)
    assert status == 200

    status, problem = service.ask("update_preferences", {"language": "fr"}, headers=good, **ADA)

    assert (status, problem["title"]) == (412, "Precondition failed")
    assert changed["version"] in problem["detail"]
    assert service.ask("get_preferences", **ADA)[1]["language"] == "en"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"hours": {"windows": []}}, "/hours/windows"),
        ({"hours": {}}, "/hours"),
        ({"hours": {"windows": [{**DAILY, "to": "07:00"}]}}, "/hours/windows/0"),
        ({"hours": {"windows": [{**DAILY, "to": "07:10"}]}}, "/hours/windows/0"),
        ({"hours": {"windows": [{**DAILY, "days": ["mon", "mon"]}]}}, "/hours/windows/0/days"),
        ({"hours": {"windows": [{**DAILY, "from": "24:00"}]}}, "/hours/windows/0/from"),
        ({"hours": {"windows": [DAILY] * 15}}, "/hours/windows"),
        ({"hours": {"integrations": ["PIGEON"]}}, "/hours/integrations/0"),
        ({"hours": {"gather": True}}, "/hours/gather"),
        ({"muted_until": "2026-12-27T22:30:00Z"}, "/muted_until"),
        ({"muted_until": "tomorrow"}, "/muted_until"),
        ({"time_zone": "Berlin"}, "/time_zone"),
        ({"language": "not a tag"}, "/language"),
        ({"digest_at": "08:00"}, "/digest_at"),
        ({"digest_day": "mon"}, "/digest_day"),
        ({"categories": {"none": {"enabled": True}}}, "/categories/none"),
        ({"categories": {"news": {}}}, "/categories/news"),
        ({"categories": {"news": {"digest": "daily"}}}, "/categories/news/digest"),
        ({"muted": True}, "/muted"),
    ],
)
def test_preferences_that_make_no_sense_are_rejected(service, clock, body, pointer):
    """The error points to the value, and nothing is written."""
    category(service, "news")

    status, problem = service.ask("update_preferences", body, **ADA)

    assert status == 422
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert rows() == {}


def test_a_locked_category_cannot_be_switched_off(service, clock):
    """The conflict names the category and the field; null for it is allowed."""
    category(service, "security", **SECURITY)

    for choice, field in (
        ({"enabled": False}, "enabled"),
        ({"integrations": {"EMAIL": False}}, ""),
    ):
        body = {"categories": {"security": choice}}
        status, problem = service.ask("update_preferences", body, **ADA)
        assert status == 409
        assert f"categories.security.{field}" in problem["detail"]
    assert prefer(service, categories={"security": None, "gone": None})["categories"] is None


def test_a_change_is_logged_and_published(service, clock, monkeypatch):
    """The event names the changed fields, and the category if there is exactly one."""
    monkeypatch.setenv("OUTCOME_BUS_NAME", "outcomes")
    category(service, "news")
    published = []
    monkeypatch.setattr(
        "dispatcher.adapters.eventbridge.EventBridgePublisher.publish_change",
        lambda _, change: published.append(change),
    )

    prefer(service, categories={"news": {"enabled": False}}, language="de")
    [line] = [line for line in service.lines if line.msg == "preferences.changed"]

    change = {
        "user_id": "ada",
        "via": "api",
        "fields": ["language", "categories"],
        "category": "news",
    }
    assert published == [change]
    assert {name: getattr(line, name) for name in change} == change


def test_an_event_is_written_by_each_of_the_functions_that_share_it(
    service, clock, held, monkeypatch
):
    """Both ways to change preferences or a category write it, and a preview meets odd hours."""
    # The functions may use this bus, but it does not exist.
    monkeypatch.setenv("OUTCOME_BUS_NAME", "event-bus/OutcomeBusName")
    wiring.reset()
    category(service, "news")
    service.ask("delete_category", category="news")
    prefer(service, hours={"windows": [DAILY], "integrations": ["TEST"]}, muted_until=None)
    monkeypatch.setattr(hours, "next_open", lambda *_: None)
    service.ask("preview_message", {}, **ADA)
    prefer(service, time_zone="Europe/Berlin")
    service.ask("delete_preferences", **ADA)

    changes = {"preferences.changed", "change.unpublished", "replan.done"}
    assert service.written >= {
        *((event, f"{verb}_preferences") for event in changes for verb in ("update", "delete")),
        *(("category.changed", f"{verb}_category") for verb in ("put", "delete")),
        *(("hours.never_open", name) for name in ("update_preferences", "preview_message")),
    }


def test_a_link_reads_and_changes_its_users_preferences_alone(service, clock):
    """The scope for preferences opens exactly the marked routes, and no other user's."""
    allowed = {
        function
        for function in (
            *("list_categories", "get_preferences", "update_preferences", "preview_message"),
            *("delete_preferences", "put_category", "get_effective_configuration", "send_message"),
            "list_deliveries",
        )
        if service.ask(function, caller=LINK, **({} if "categor" in function else ADA))[0] != 403
    }
    foreign, _ = service.ask("get_preferences", caller=LINK, user_id="grace")

    assert allowed == {
        *("list_categories", "get_preferences", "update_preferences", "preview_message"),
    }
    assert foreign == 403


@pytest.mark.parametrize(
    ("function", "scope"),
    [
        ("get_preferences", READ),
        ("update_preferences", WRITE),
        ("delete_preferences", WRITE),
        ("preview_message", READ),
        ("preview_message", SEND),
    ],
)
def test_one_of_several_scopes_is_enough(service, function, scope):
    """Each route accepts the scope of its kind."""
    caller = Caller("token:ada", "ada", frozenset({scope}))

    assert service.ask(function, caller=caller, **ADA)[0] < 300


# Categories ---------------------------------------------------------------------------------------


def test_a_category_is_created_replaced_listed_and_deleted(service, clock):
    """201, then 200; the list is ordered; the second deletion is 404."""
    body = {"title": "Security", "locked": True, "reach_by": ["email"], "order": 10}
    status, created = service.ask("put_category", body, category="security")
    assert status == 201
    assert created == {
        "category": "security",
        "title": "Security",
        "description": "",
        "group": "",
        "order": 10,
        "enabled": True,
        "integrations": {},
        "locked": True,
        "reach_by": ["EMAIL"],
        "urgent": False,
    }
    assert service.ask("put_category", {"title": "News"}, category="news")[0] == 201
    assert service.ask("put_category", {"title": "N", "order": 1}, category="news")[0] == 200

    _, listing = service.ask("list_categories")

    assert [one["category"] for one in listing["categories"]] == ["news", "security"]
    assert listing["version"] == 3
    assert service.ask("delete_category", category="news")[0] == 204
    assert service.ask("delete_category", category="news")[0] == 404


@pytest.mark.parametrize(
    ("name", "body", "pointer"),
    [
        ("Security", {"title": "x"}, "/category"),
        ("a" * 41, {"title": "x"}, "/category"),
        ("x", {}, "/title"),
        ("x", {"title": "x" * 81}, "/title"),
        ("x", {"title": "x", "locked": True}, "/reach_by"),
        ("x", {"title": "x", "reach_by": ["CLI"]}, "/reach_by"),
        ("x", {"title": "x", "order": 1000}, "/order"),
        ("x", {"title": "x", "enabled": 1}, "/enabled"),
        ("x", {"title": "x", "category": "y"}, "/category"),
        ("x", {"title": "x", "digest": None}, "/digest"),
        ("x", {"title": "x", "cap": 3}, "/cap"),
    ],
)
def test_a_category_that_makes_no_sense_is_rejected(service, clock, name, body, pointer):
    """The error points to the value, and no category is stored."""
    status, problem = service.ask("put_category", body, category=name)

    assert status == 422
    assert pointer in [error["pointer"] for error in problem["errors"]]
    assert service.ask("list_categories")[1] == {"categories": [], "version": 0}


def test_a_removed_category_leaves_its_pending_messages_deliverable(service, clock):
    """A message is then delivered as one without a category."""
    category(service, "news")
    prefer(service, categories={"news": {"integrations": {"SLACK": False}}})
    _, sent = service.ask("send_message", {"content": "x", "category": "news"}, **ADA)
    service.ask("delete_category", category="news")
    wiring.reset()
    service.deliver()

    delivery_id = sent["deliveries"][0]["delivery_id"]
    _, delivery = service.ask("get_delivery", delivery_id=delivery_id, **ADA)
    assert (delivery["status"], delivery["category"]) == ("success", "news")


def test_a_choice_made_after_the_send_counts_at_the_attempt(service, clock):
    """The delivery is skipped with the reason."""
    category(service, "news")
    _, sent = service.ask("send_message", {"content": "x", "category": "news"}, **ADA)
    prefer(service, categories={"news": {"enabled": False}})
    service.deliver()

    delivery_id = sent["deliveries"][0]["delivery_id"]
    _, delivery = service.ask("get_delivery", delivery_id=delivery_id, **ADA)
    assert (delivery["status"], delivery["error_code"]) == ("skipped", "category_disabled_by_user")


def test_a_row_of_old_preferences_is_read_at_any_time(service, clock):
    """A mute that is over counts as none."""
    prefer(service, muted_until="2026-11-26T23:00:00Z")
    clock("2026-11-27T08:00:00+00:00")

    _, shown = service.ask("get_preferences", **ADA)

    assert (shown["muted_until"], shown["effective"]["open_now"]) == (None, True)
    assert time.time() == datetime(2026, 11, 27, 8, tzinfo=UTC).timestamp()
