"""A stack with authentication: tokens and keys, every route, and no access to other users."""

from __future__ import annotations

import hashlib
import json
import time

import jwt
import pytest

from dispatcher.access.policy import ADMIN, ANY, PREFERENCES, READ, SEND, WRITE
from dispatcher.edges.routes import ROUTES
from tests.e2e.api_session import ApiSession
from tests.e2e.system import until
from tests.issuer import AUDIENCE, ISSUER, Issuer, claims, private_key, published
from tools.local_cloud import LocalCloud
from tools.processes import free_port

DELIVERY = "019aae2c-8f00-7000-8a5b-3c1d2e4f5a6b"
CLOSED = [route for route in ROUTES if route.scopes is not None]
OPEN = [route for route in ROUTES if route.scopes is None]
CLOSED_BY_SCOPE = [
    # No token and no key carries the scope of links.
    (route, scope)
    for route in CLOSED
    for scope in route.scopes
    if scope != PREFERENCES and route.scopes != ANY
]

KEYS = {
    "reader": {"scopes": [READ], "user": "*"},
    "writer": {"scopes": [WRITE], "user": "*"},
    "sender": {"scopes": [SEND], "user": "*"},
    "johns": {"scopes": [READ, WRITE, SEND], "user": "john.doe"},
    "nobodys": {"scopes": [READ, WRITE, SEND]},
    "operator": {"scopes": [ADMIN]},
}


def key(name):
    """Return a key; its fingerprint alone is in the cloud."""
    return f"disp_{name}_0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def issuer():
    """An issuer that this stack trusts."""
    with Issuer() as running:
        yield running


@pytest.fixture(scope="module")
def guarded(issuer, tmp_path_factory):
    """The API of a cloud for this module, where callers must authenticate."""
    home = tmp_path_factory.mktemp("guarded")
    cloud = LocalCloud(home, api_port=free_port(), cloud_port=free_port())
    cloud.start()
    entries = {
        name: {"sha256": hashlib.sha256(key(name).encode()).hexdigest(), **entry}
        for name, entry in KEYS.items()
    }
    cloud.session.client("secretsmanager").create_secret(
        Name="dispatcher/keys", SecretString=json.dumps(entries)
    )
    stack = cloud.deploy(
        {
            "AuthMode": "required",
            "OidcIssuer": ISSUER,
            "OidcAudience": AUDIENCE,
            "OidcJwksUri": issuer.jwks_uri,
            "ApiKeysSecret": "dispatcher/keys",
        }
    )
    with ApiSession(stack["api_url"]) as session:
        yield session
    cloud.forget()


def ask(guarded, route, user="john.doe", **headers):
    """Send a request without a body along a route."""
    path = route.path.format(
        user_id=user,
        integration_type="EMAIL",
        delivery_id=DELIVERY,
        request_id=DELIVERY,
        message_id=DELIVERY,
        category="builds",
        suppression_id="EMAIL-9f86d081884c7d65",
    )
    return guarded.request(route.method, path, headers=headers)


def told(response):
    """Return status and problem of a response, without the parts that differ each time."""
    body = response.json()
    return response.status_code, {name: body[name] for name in body if name != "instance"}


UNAUTHORIZED = (
    401,
    {
        "type": "urn:integration-dispatcher:problem:unauthorized",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Authentication required: send exactly one valid bearer token or x-api-key.",
    },
)


@pytest.mark.parametrize("route", CLOSED, ids=lambda route: route.function)
def test_who_does_not_say_who_he_is_gets_nowhere(guarded, route):
    """Always 401, with what to do about it."""
    answer = ask(guarded, route)

    assert told(answer) == UNAUTHORIZED
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_what_is_no_credential_gets_nowhere_either(guarded, issuer):
    """Nonsense, a wrong key, an unsigned token, and two valid ones together."""
    [route] = [one for one in ROUTES if one.function == "list_overrides"]
    token = issuer.token()
    unsigned = jwt.encode(claims(), None, algorithm="none", headers={"kid": "rsa-1"})
    given = [
        {"Authorization": "Bearer x.y.z"},
        {"Authorization": f"Bearer {unsigned}"},
        {"Authorization": f"Basic {token}"},
        {"x-api-key": key("stranger")},
        {"x-api-key": key("johns"), "Authorization": f"Bearer {token}"},
    ]

    answers = [told(ask(guarded, route, **headers)) for headers in given]

    assert answers == [UNAUTHORIZED] * 5


@pytest.mark.parametrize(
    ("route", "scope"),
    CLOSED_BY_SCOPE,
    ids=[f"{one.function}-{two}" for one, two in CLOSED_BY_SCOPE],
)
def test_each_route_admits_the_right_callers_and_no_others(guarded, issuer, route, scope):
    """The table of callers: what they may do, and for whom."""
    personal = "{user_id}" in route.path
    wrong = next(one for one in (WRITE, SEND, READ) if one not in route.scopes)
    named = {READ: "reader", WRITE: "writer", SEND: "sender", ADMIN: "operator"}
    elliptic = issuer.token(algorithm="ES256", kid="ec-1", scope=None, scp=[scope])
    callers = {
        "john": {"Authorization": f"Bearer {issuer.token(scope=scope)}"},
        "john, with the other kind of key": {"Authorization": f"bearer {elliptic}"},
        "john for something else": {"Authorization": f"Bearer {issuer.token(scope=wrong)}"},
        "john without scopes": {"Authorization": f"Bearer {issuer.token(scope=None)}"},
        "jane": {"Authorization": f"Bearer {issuer.token(sub='jane.doe')}"},
        "John": {"Authorization": f"Bearer {issuer.token(sub='John.doe')}"},
        "administrator": {"Authorization": f"Bearer {issuer.token(sub='root', scope=ADMIN)}"},
        "service": {"x-api-key": key(named[scope])},
        "service for something else": {"x-api-key": key(named[wrong])},
        "john's key": {"x-api-key": key("johns")},
        "key for nobody": {"x-api-key": key("nobodys")},
        "operator": {"x-api-key": key("operator")},
    }

    statuses = {name: ask(guarded, route, **given).status_code for name, given in callers.items()}

    outsiders = {"john for something else", "john without scopes", "service for something else"}
    if personal or scope == ADMIN:
        outsiders |= {"jane", "John", "key for nobody"}
    if scope == ADMIN:
        outsiders |= {"john's key"}
    assert {name for name, status in statuses.items() if status == 403} == outsiders
    assert {name for name, status in statuses.items() if status in {401, 500, 502, 503}} == set()


@pytest.mark.parametrize("route", OPEN, ids=lambda route: route.function)
def test_the_open_routes_ask_nobody(guarded, route):
    """A load balancer has no credential; a wrong one does not matter either."""
    answers = [ask(guarded, route), ask(guarded, route, Authorization="Bearer x.y.z")]

    # Without a body, there is no link to open.
    status = 400 if route.method == "POST" else 200
    assert [answer.status_code for answer in answers] == [status, status]


def test_another_users_affairs_and_nobodys_look_the_same(guarded, issuer):
    """An unauthorized caller does not learn whether an object exists."""
    operator = {"x-api-key": key("operator")}
    path = "/api/v1/users/{}/integrations"
    body = {"integration_type": "TEST"}
    assert guarded.post(path.format("jane.doe"), json=body, headers=operator).status_code == 201
    sent = guarded.post(
        "/api/v1/users/jane.doe/deliveries", json={"content": "hello"}, headers=operator
    )
    real = sent.json()["deliveries"][0]["delivery_id"]
    john = {"Authorization": f"Bearer {issuer.token()}"}

    answers = [
        told(guarded.get(address, headers=john))
        for address in (
            path.format("jane.doe"),
            path.format("not.a.user"),
            path.format("not%20valid"),
            "/api/v1/users/jane.doe/integrations/TEST",
            f"/api/v1/users/jane.doe/deliveries/{real}",
            f"/api/v1/users/jane.doe/deliveries/{DELIVERY}",
            "/api/v1/users/jane.doe/deliveries?limit=nonsense",
        )
    ]
    stolen = guarded.get(f"/api/v1/users/john.doe/deliveries/{real}", headers=john)
    absent = guarded.get(f"/api/v1/users/john.doe/deliveries/{DELIVERY}", headers=john)

    forbidden = (
        403,
        {
            "type": "urn:integration-dispatcher:problem:forbidden",
            "title": "Forbidden",
            "status": 403,
            "detail": "Access to another user requires the scope dispatch:admin.",
        },
    )
    assert answers == [forbidden] * 7
    assert (stolen.status_code, absent.status_code) == (404, 404)
    assert stolen.json()["detail"].replace(real, DELIVERY) == absent.json()["detail"]


def test_a_cursor_of_another_user_shows_nothing_of_theirs(guarded):
    """Even for a caller who may read both users, a page holds the deliveries of one user."""
    operator = {"x-api-key": key("operator")}
    for _ in range(2):
        guarded.post(
            "/api/v1/users/jill.doe/deliveries",
            json={"content": "x", "integration_types": ["TEST"]},
            headers=operator,
        )
    page = guarded.get("/api/v1/users/jill.doe/deliveries?limit=1", headers=operator).json()

    theirs, others = (
        guarded.get(
            f"/api/v1/users/{user}/deliveries?cursor={page['next_cursor']}", headers=operator
        ).json()["deliveries"]
        for user in ("jill.doe", "jack.doe")
    )

    assert ([one["user_id"] for one in theirs], others) == (["jill.doe"], [])


def test_a_token_ends(guarded, issuer):
    """An expired one is no better than none."""
    now = time.time()
    [route] = [one for one in ROUTES if one.function == "list_overrides"]

    statuses = [
        ask(guarded, route, Authorization=f"Bearer {issuer.token(exp=int(now + left))}").status_code
        for left in (3600, -60)
    ]

    assert statuses == [200, 401]


def test_an_issuer_changes_its_keys(guarded, issuer):
    """The new key counts as soon as it is used, without a deployment."""
    [route] = [one for one in ROUTES if one.function == "list_overrides"]
    old, new = published(private_key("RS256"), kid="rsa-1"), private_key("RS256", 2)
    token = issuer.token(kid="rsa-2", number=2)
    before = ask(guarded, route, Authorization=f"Bearer {token}").status_code

    issuer.publish(old, published(private_key("ES256"), kid="ec-1"), published(new, kid="rsa-2"))

    assert before == 401
    until(lambda: ask(guarded, route, Authorization=f"Bearer {token}").status_code == 200)


def test_what_no_route_answers_is_told_to_callers_alone(guarded, issuer):
    """An unknown path and a wrong verb; to others both are as closed as everything else."""
    john = {"Authorization": f"Bearer {issuer.token(scope=None)}"}

    answers = [
        guarded.request(verb, path, headers=headers).status_code
        for headers in ({}, john)
        for verb, path in (("GET", "/nothing"), ("PATCH", "/api/v1/users/jane.doe/integrations"))
    ]

    assert answers == [401, 401, 404, 405]
