"""Links to preferences and the sessions that they start, through the authorizer."""

from __future__ import annotations

import time

import boto3
import pytest

from dispatcher import wiring
from dispatcher.access.policy import ADMIN, ANY, EVERY_USER, PREFERENCES, READ, SEND, WRITE, Caller
from dispatcher.edges.authorizer import UnauthorizedError
from dispatcher.edges.routes import ROUTES
from tests.functions.service import KEY, TIME, sample
from tests.functions.test_unsubscribe import token

ADA = {"user_id": "ada"}
CLOSED = [route for route in ROUTES if route.scopes is not None]
OPEN_TO_LINKS = {
    *("list_categories", "get_preferences", "update_preferences"),
    *("preview_message", "get_session"),
}


@pytest.fixture(params=["required", "none"])
def either(request, service, monkeypatch):
    """The service with and without authentication."""
    monkeypatch.setenv("AUTH_MODE", request.param)
    wiring.reset()
    return service


def link(service, user="ada", **body):
    """Make a link and return its token."""
    status, made = service.ask("create_preferences_link", body, user_id=user)
    assert status == 201
    return made["url"].rpartition("/")[2]


def bearer(service, token):
    """Start a session and return what the authorizer says of its bearer."""
    status, session = service.ask("create_session", {"token": token})
    assert status == 201
    headers = {"Authorization": [f"Bearer {session['access_token']}"]}
    answer = service.invoke(
        "authorize_request", {**sample("authorize_request"), "multiValueHeaders": headers}
    )
    return Caller.of(answer["context"])


def test_a_link_has_the_address_of_the_api(service, monkeypatch):
    """The operator's, else the one that the request used."""
    status, own = service.ask("create_preferences_link", {}, **ADA)
    monkeypatch.setenv("PUBLIC_URL", "")
    wiring.reset()
    _, found = service.ask("create_preferences_link", {}, **ADA)

    assert (status, own["expires_at"]) == (201, TIME)
    assert own["url"].startswith("https://x.execute-api.x.x/x/p/")
    host = "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"
    assert found["url"].startswith(f"https://{host}/prod/p/")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/prod/api/v1/users/ada/preferences-link", "https://host/prod"),
        ("/api/v1/users/ada/preferences-link", "https://host"),
        ("/notify/api/v1/users/ada/preferences-link", "https://host/notify"),
        ("/notify/all/api/v1/users/ada/preferences-link", "https://host/notify/all"),
        ("/prod/api/v1/users/ada/preferences-link/", "https://host/prod"),
        ("/api/v1/users/ada/preferences-link/", "https://host"),
        ("/api/v1/users/ada/preferences-link//", "https://host"),
    ],
)
def test_the_address_is_found_behind_a_stage_and_behind_a_domain(
    service, monkeypatch, path, expected
):
    """Of a custom domain the base path is a part."""
    monkeypatch.setenv("PUBLIC_URL", "")
    wiring.reset()
    event = sample("create_preferences_link")
    event["requestContext"] |= {"path": path, "domainName": "host"}

    answer = service.invoke("create_preferences_link", event)

    assert f'"url":"{expected}/p/' in answer["body"]


@pytest.mark.parametrize("seconds", [299, 2_592_001, "900", True, None, 300.5])
def test_a_link_is_valid_for_five_minutes_to_thirty_days(service, seconds):
    """Anything else is 422 with a pointer."""
    status, problem = service.ask("create_preferences_link", {"expires_in": seconds}, **ADA)

    assert (status, problem["errors"][0]["pointer"]) == (422, "/expires_in")


@pytest.mark.parametrize("expiry", [253_402_300_800.0, 1e15, 1e300])
def test_a_credential_may_expire_after_the_last_year(service, expiry):
    """Issuers write any number; RFC 3339 ends with the year 9999."""
    context = Caller("token:ada", "ada", frozenset({READ}), expiry).as_context()
    event = sample("get_session")
    event["requestContext"]["authorizer"] = context

    answer = service.invoke("get_session", event)

    assert answer["statusCode"] == 200
    assert '"expires_at":"9999-12-31T23:59:59.000Z"' in answer["body"]


def test_a_link_starts_a_session_of_fifteen_minutes(service, time_machine):
    """Again and again, until the link expires."""
    time_machine.move_to(1_795_800_000, tick=False)
    link_token = link(service, expires_in=1800)
    status, session = service.ask("create_session", {"token": link_token})
    time_machine.move_to(1_795_800_900, tick=False)
    renewed, _ = service.ask("create_session", {"token": link_token})
    time_machine.move_to(1_795_801_800, tick=False)
    ended, _ = service.ask("create_session", {"token": link_token})

    assert (status, renewed, ended) == (201, 201, 404)
    assert session["access_token"].startswith("dps_")
    assert (session["user_id"], session["expires_at"]) == ("ada", "2026-11-27T17:35:00.000Z")


def test_a_session_may_be_shorter_for_trials(service, monkeypatch):
    """By a variable of the function."""
    monkeypatch.setenv("LINK_SESSION_SECONDS", "2")
    wiring.reset()
    caller = bearer(service, link(service))

    assert caller.expires_at - time.time() < 3


def test_a_session_takes_no_call_once_the_key_is_known(service):
    """Neither to start nor to verify; only the key is read."""
    link_token = link(service)
    wiring.reset()
    bearer(service, link_token)
    first = [*service.called]
    called = []
    for _ in range(3):
        bearer(service, link_token)
        called += service.called

    assert (first, called) == ([], [])
    assert service.used["create_session"] == {("secretsmanager:GetSecretValue", "LinksSecret.Id")}


def test_links_that_are_not_valid_are_404(service):
    """Of another purpose, of another key, expired, cut, empty."""
    good = link(service)
    bad = [
        *(token(), token("session"), token("preferences", key="another")),
        *(token("preferences", e=int(time.time())), good[:-1], f"{good}x", "", "x" * 5000),
    ]

    problems = [service.ask("create_session", {"token": one}) for one in bad]

    assert [status for status, _ in problems] == [404] * len(bad)
    assert len({problem["detail"] for _, problem in problems}) == 1


def test_without_a_console_there_are_no_links_and_no_sessions(service, monkeypatch):
    """They would lead nowhere."""
    good = link(service)
    monkeypatch.setenv("CONSOLE_ENABLED", "false")
    wiring.reset()

    assert service.ask("create_session", {"token": good})[0] == 404
    assert service.ask("create_preferences_link", {}, **ADA)[0] == 404


@pytest.mark.parametrize("route", CLOSED, ids=lambda route: route.function)
def test_a_session_opens_preferences_alone(either, route):
    """All other routes are 403 before any read, and so are other users; also without sign-in."""
    either.ask("put_category")
    caller = bearer(either, link(either, user="john.doe"))
    other = bearer(either, link(either, user="jane.doe"))

    status, _ = either.ask(route.function, caller=caller)
    calls = [*either.called]
    refused, _ = either.ask(route.function, caller=other)

    if route.function in OPEN_TO_LINKS:
        assert status == 200
    else:
        assert (status, calls) == (403, [])
    if "{user_id}" in route.path:
        assert (refused, either.called) == (403, [])


def test_a_change_by_a_link_is_marked(either):
    """In the preferences, and in what is published."""
    either.ask("put_category", {"title": "News"}, category="news")
    caller = bearer(either, link(either))
    change = {"categories": {"news": {"enabled": False}}}

    status, changed = either.ask("update_preferences", change, caller=caller, **ADA)
    [line] = [one for one in either.lines if one.msg == "preferences.changed"]

    assert (status, changed["updated_via"], line.via) == (200, "link", "link")


def test_a_session_is_refused_once_it_has_ended(either, time_machine):
    """401, also without authentication."""
    time_machine.move_to(1_795_800_000, tick=False)
    _, session = either.ask("create_session", {"token": link(either)})
    time_machine.move_to(1_795_800_900, tick=False)
    headers = {"Authorization": [f"Bearer {session['access_token']}"]}

    with pytest.raises(UnauthorizedError):
        either.invoke(
            "authorize_request", {**sample("authorize_request"), "multiValueHeaders": headers}
        )


def test_a_key_that_was_rotated_twice_ends_links_and_sessions(service):
    """Once is not enough: the previous key verifies, too."""
    link_token, secrets, statuses = link(service), boto3.client("secretsmanager"), []
    for key in ("second", "third"):
        secrets.put_secret_value(SecretId="stack-links", SecretString=key)
        wiring.reset()
        statuses.append(service.ask("create_session", {"token": link_token})[0])

    assert statuses == [201, 404]


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (
            Caller("token:ada", "ada", frozenset({READ, WRITE}), 1_795_800_000.0),
            ("ada", False, [READ, WRITE], "token", "2026-11-27T17:20:00.000Z"),
        ),
        (
            Caller("token:ada", "ada", frozenset({ADMIN}), 1_795_800_000.0),
            ("ada", True, [ADMIN], "token", "2026-11-27T17:20:00.000Z"),
        ),
        (Caller("token:", "", frozenset()), (None, False, [], "token", None)),
        (
            Caller("key:billing", EVERY_USER, frozenset({SEND})),
            (None, True, [SEND], "key", None),
        ),
        (Caller("key:ada", "ada", frozenset({READ})), ("ada", False, [READ], "key", None)),
        (
            Caller("link:ada", "ada", frozenset({PREFERENCES}), 1_795_800_000.0),
            ("ada", False, [PREFERENCES], "link", "2026-11-27T17:20:00.000Z"),
        ),
        (
            Caller("anyone", EVERY_USER, frozenset({ADMIN})),
            (None, True, [ADMIN, READ, SEND, WRITE], "none", None),
        ),
    ],
    ids=lambda one: one.name if isinstance(one, Caller) else "",
)
def test_a_credential_can_ask_what_it_permits(service, caller, expected):
    """Without a single AWS call."""
    # As it travels from the authorizer to the function.
    caller = Caller.of(caller.as_context())
    status, body = service.ask("get_session", caller=caller)

    names = ("user_id", "all_users", "scopes", "kind", "expires_at")
    assert (status, body) == (200, dict(zip(names, expected, strict=True)))
    assert service.called == []


def test_only_the_session_needs_no_scope():
    """Every other closed route names its scopes."""
    assert [route.function for route in ROUTES if route.scopes == ANY] == ["get_session"]


def test_a_key_of_a_service_is_described_through_the_authorizer(service):
    """Its user and scopes are those of its entry."""
    headers = {"x-api-key": [KEY]}
    answer = service.invoke(
        "authorize_request", {**sample("authorize_request"), "multiValueHeaders": headers}
    )

    _, body = service.ask("get_session", caller=Caller.of(answer["context"]))

    assert (body["user_id"], body["scopes"], body["kind"]) == ("john.doe", [READ, SEND], "key")
