"""Requests that are wrong in every way that we know of: refused, and nothing is written."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import parse_qs, unquote

import boto3
import pytest

from dispatcher.edges.routes import ROUTES
from tests.functions.service import OPERATOR, TABLES, asked_by, running, sample

CASES = [
    case
    for case in json.loads(Path(__file__).parents[1].joinpath("data/bad_inputs.json").read_text())[
        "cases"
    ]
    if case["kind"] == "api_request"
]


def body_of(given):
    """Write out what the data abbreviates."""
    match given.get("body"):
        case {"$gen": [prefix, unit, count, suffix]}:
            return prefix + unit * count + suffix
        case {"$gen_runs": runs}:
            return "".join(unit * count for unit, count in runs)
        case text:
            return text


def routed(given, *, decoded):
    """Return what API Gateway calls, and with what; AWS does not decode a path's parameters."""
    path, _, query = given["path"].partition("?")
    asked = path.split("/")
    for route in ROUTES:
        template = route.path.split("/")
        pairs = list(zip(template, asked, strict=False))
        fits = all(part == segment or part.startswith("{") for part, segment in pairs)
        if route.method == given["method"] and len(template) == len(asked) and fits:
            function = route.function
            named = {part[1:-1]: segment for part, segment in pairs if part.startswith("{")}
            break
    else:
        function, named = "refuse_request", {"proxy": path[1:]}
    if decoded:
        named = {name: unquote(value, errors="replace") for name, value in named.items()}
    encoded = "body_b64" in given
    return function, {
        **asked_by(OPERATOR, sample(function)),
        "httpMethod": given["method"],
        "pathParameters": named,
        "multiValueQueryStringParameters": parse_qs(query, keep_blank_values=True) or None,
        "body": given["body_b64"] if encoded else body_of(given),
        "isBase64Encoded": encoded,
    }


@pytest.fixture(scope="module")
def service(session):
    """One service for all cases: none of them may leave anything behind."""
    with running(session) as service:
        yield service


@pytest.mark.parametrize("decoded", [False, True], ids=["aws", "local"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_bad_request_is_refused(service, case, decoded):
    """As the case expects, with a problem that tells why, and with the tables as they were."""
    function, event = routed(case["input"], decoded=decoded)

    response = service.invoke(function, event)

    body = json.loads(response["body"])
    dynamodb = boto3.client("dynamodb")
    written = [dynamodb.scan(TableName=table)["Count"] for table in TABLES]
    assert str(response["statusCode"]) in case["expect"], case["why"]
    assert written == [0, 0]
    if response["statusCode"] != 200:
        assert response["headers"]["Content-Type"] == "application/problem+json"
        assert list(body)[:5] == ["type", "title", "status", "detail", "instance"]


def test_no_case_is_left_out():
    """The data is where we think it is."""
    encodings = {"body_b64" in case["input"] for case in CASES}

    assert len(CASES) > 60
    assert encodings == {True, False}
    assert base64.b64decode(next(c for c in CASES if "body_b64" in c["input"])["input"]["body_b64"])
