"""Requests that the service refuses, and their error responses."""

from __future__ import annotations

import base64
import http.client
import json
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import pytest
from boto3.dynamodb.conditions import Key

from tests.e2e.system import answered

CASES = [
    case
    for case in json.loads((Path(__file__).parents[1] / "data" / "bad_inputs.json").read_text())[
        "cases"
    ]
    if case["kind"] == "api_request"
]
TITLES = {
    400: ("unreadable-body", "The body is not JSON"),
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "Method not allowed"),
    409: ("conflict", "Conflict"),
    413: ("body-too-large", "Body too large"),
    422: ("invalid-input", "Invalid input"),
    503: ("broken-setting", "Broken setting"),
}


def problem(response, status):
    """Check that a response is a problem of RFC 9457; return its detail and pointers."""
    body = response.json()
    name, title = TITLES[status]
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.status_code == status, body
    detail = body["detail"]
    errors = {"errors": body["errors"]} if status == 422 else {}
    assert body == {
        "type": f"urn:integration-dispatcher:problem:{name}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": body["instance"],
        **errors,
    }
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", body["instance"])
    return detail, [one["pointer"] for one in body.get("errors", [])]


# One of each --------------------------------------------------------------------------------------


def test_body_that_is_not_json(api, user):
    """A body that is not JSON is 400, and is not quoted."""
    refused = api.post(f"/api/v1/users/{user}/deliveries", data='{"content": secret}')

    detail, _ = problem(refused, 400)
    assert "secret" not in detail


def test_body_that_is_too_large(api, user):
    """A body over 256 KiB is 413."""
    refused = api.post(f"/api/v1/users/{user}/deliveries", json={"content": "x" * 262_144})

    problem(refused, 413)


def test_body_that_does_not_validate(api, system, user):
    """Each wrong value is pointed to, and nothing is written."""
    body = {
        "integration_type": "TEST",
        "priority": 0,
        "retry_count": "3",
        "config": {"latency_ms": -1},
        "colour": "red",
        "enabled": None,
    }

    nulls = api.post(f"/api/v1/users/{user}/integrations", json=body)
    del body["enabled"]
    values = api.post(f"/api/v1/users/{user}/integrations", json=body)
    for name in ("priority", "retry_count", "colour"):
        del body[name]
    config = api.post(f"/api/v1/users/{user}/integrations", json=body)

    assert problem(nulls, 422)[1] == ["/enabled"]
    assert sorted(problem(values, 422)[1]) == ["/colour", "/priority", "/retry_count"]
    assert problem(config, 422)[1] == ["/config/latency_ms"]
    assert system.override_row(user) is None


def test_missing_url(api, user):
    """A webhook needs its url only while it is enabled."""
    path = f"/api/v1/users/{user}/integrations"

    refused = api.post(path, json={"integration_type": "WEBHOOK"})
    disabled = api.post(path, json={"integration_type": "WEBHOOK", "enabled": False})
    enabled = api.put(f"{path}/WEBHOOK", json={"enabled": True})

    assert problem(refused, 422)[1] == ["/config/url"]
    answered(disabled, 201)
    assert problem(enabled, 422)[1] == ["/config/url"]


def test_unknown_route(api):
    """A path that does not exist is 404, whatever the verb."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        for path in ("/api/v1/nothing", "/api/v2/integration-defaults"):
            problem(api.request(method, path), 404)


def test_the_root_leads_to_the_console(api):
    """A person who opens the printed address of the API gets the console."""
    redirect = api.get("/", allow_redirects=False)

    assert (redirect.status_code, redirect.headers["Location"]) == (302, "/console")
    assert api.get("/").headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", "GET"),
        ("/health", "GET"),
        ("/api/v1/integration-defaults", "GET"),
        ("/api/v1/users/u1/integration-defaults", "GET"),
        ("/api/v1/users/u1/integration-defaults/reset", "POST"),
        ("/api/v1/users/u1/integrations", "GET, POST"),
        ("/api/v1/users/u1/integrations/EMAIL", "DELETE, GET, PUT"),
        ("/api/v1/users/u1/deliveries", "GET, POST"),
        ("/api/v1/users/u1/deliveries/d1", "DELETE, GET"),
        ("/api/v1/users/u1/deliveries/d1/retry", "POST"),
        ("/api/v1/users/u1/requests/r1", "GET"),
    ],
)
def test_wrong_verb(api, path, allowed):
    """A path that exists tells which verbs it knows."""
    refused = [api.request(verb, path) for verb in ("PATCH", "OPTIONS")]

    for one in refused:
        problem(one, 405)
    assert [one.headers["Allow"] for one in refused] == [allowed] * 2


def test_verb_that_the_gateway_does_not_know(api):
    """A refusal of the gateway itself is a problem, too."""
    refused = api.request("PROPFIND", "/api/v1/integration-defaults")

    assert problem(refused, 404)[0] == "There is no such route."


def test_conflicts(api, system, user):
    """A stored state that does not allow a request returns 409."""
    system.override(user, "TEST")
    delivery_id = system.sent(user)
    system.ended(user, delivery_id)

    twice = api.post(f"/api/v1/users/{user}/integrations", json={"integration_type": "TEST"})
    retry = api.post(f"/api/v1/users/{user}/deliveries/{delivery_id}/retry")

    problem(twice, 409)
    problem(retry, 409)


# A broken setting ---------------------------------------------------------------------------------


@pytest.fixture
def broken(system):
    """Break one environment variable of two functions, and restore it afterwards."""
    functions = ("GetIntegrationDefaultsFunction", "GetHealthFunction")
    before = {name: system.variables(name) for name in functions}
    for name in functions:
        wrong = {"INTEGRATION_DEFAULTS_EMAIL_PRIORITY": "first"}
        system.set_variables(name, before[name] | wrong)
    yield "INTEGRATION_DEFAULTS_EMAIL_PRIORITY"
    for name in functions:
        system.set_variables(name, before[name])


def test_broken_setting(api, broken):
    """A value that got past the template's patterns closes the service, and health names it."""
    refused = api.get("/api/v1/integration-defaults")
    health = api.get("/health")

    assert problem(refused, 503)[0].startswith(f"{broken} is 'first': ")
    assert refused.headers["Retry-After"] == "5"
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert broken in health.json()["detail"]


# All invalid requests -----------------------------------------------------------------------------


class Raw(NamedTuple):
    """A response as it came over the wire."""

    status: int
    body: bytes


def ask(base_url, method, path, body):
    """Send a request whose path no library tidies up."""
    target = quote(path, safe="/?=&%*.:@+~")
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=30)
    try:
        connection.request(method, target, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return Raw(response.status, response.read())
    finally:
        connection.close()


def body_of(given):
    """Return the bytes of a case's body, whichever way it is written down."""
    if "body_b64" in given:
        return base64.b64decode(given["body_b64"])
    match given.get("body"):
        case {"$gen": [prefix, unit, count, suffix]}:
            return (prefix + unit * count + suffix).encode()
        case {"$gen_runs": runs}:
            return "".join(unit * count for unit, count in runs).encode()
        case text:
            return None if text is None else text.encode()


def test_every_bad_request(system, stack):
    """Each bad request gets the response of its case, never 5xx, and leaves nothing behind."""
    before = stored_of_u1(system)

    told, expected = {}, {}
    for case in CASES:
        given = case["input"]
        answer = ask(stack["api_url"], given["method"], given["path"], body_of(given))
        statuses = {int(one) for one in re.findall(r"\b[1-5][0-9][0-9]\b", case["expect"])}
        expected[case["id"]] = statuses
        told[case["id"]] = {answer.status} if answer.status in statuses else answer

    assert len(CASES) > 60
    assert {name: one for name, one in told.items() if not isinstance(one, set)} == {}
    assert all(told[name] <= expected[name] for name in told)
    assert stored_of_u1(system) == before


def stored_of_u1(system):
    """Return all rows of the user whom the cases name."""
    condition = Key("user_id").eq("u1")
    return [
        table.query(KeyConditionExpression=condition)["Items"]
        for table in (system.overrides, system.deliveries)
    ]
