"""The running service's documentation of itself, and whether it is true."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import requests

from tests.contract import DOCUMENT, operation
from tests.e2e.system import answered
from tools.api_document import samples
from tools.api_document.operations import OPERATIONS

EXAMPLES = [
    (function, name)
    for function in OPERATIONS
    # No example can hold a token that a stack has signed.
    if function != "create_session"
    for name in samples.requests(function)
]


def test_anybody_reads_the_document(api):
    """It is the committed one."""
    document = answered(api.get("/openapi.json"), 200)

    assert document == DOCUMENT


def test_the_page_arrives_whole(api):
    """With its policy, which names each of its scripts."""
    page = api.get("/docs")

    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"].count("sha256-") == 3
    assert page.text.startswith("<!DOCTYPE html>")
    assert page.text.endswith("</html>\n")


def test_the_page_may_try_everything_out(api, user):
    """Its own requests are accepted, though the local cloud behind it accepts no page."""
    own = {"Origin": api.api_url, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    body = {"content": "From the page."}

    sent = api.post(f"/api/v1/users/{user}/deliveries", json=body, headers=own)

    assert answered(sent, 202)["deliveries"]


def test_the_document_leads_back_to_where_it_came_from(cloud, stack):
    """Behind API Gateway's own address, stage included, its server is that address."""
    [api_id] = [one["id"] for one in cloud.session.client("apigateway").get_rest_apis()["items"]]
    base = f"{stack['endpoint_url']}/_aws/execute-api/{api_id}/local/"
    with requests.Session() as session:
        session.trust_env = False
        document = session.get(f"{base}openapi.json", timeout=30).json()
        server = requests.compat.urljoin(f"{base}openapi.json", document["servers"][0]["url"])

        defaults = session.get(f"{server}api/v1/integration-defaults", timeout=30)

    assert server == base
    assert defaults.status_code == 200


@pytest.mark.parametrize(("function", "name"), EXAMPLES)
def test_an_example_works_when_it_is_pasted(api, user, function, name):
    """With the parameters that the document shows, except the user: each test has another one."""
    told = operation(function)
    content = told["requestBody"]["content"]["application/json"]
    given = {one["name"]: one["example"] for one in told["parameters"] if one["in"] == "path"}
    [(path, method)] = [
        (path, method)
        for path, methods in DOCUMENT["paths"].items()
        for method, one in methods.items()
        if one["operationId"] == function
    ]
    if function == "update_override":
        email = samples.requests("create_override")["email"]["body"]
        answered(api.post(f"/api/v1/users/{user}/integrations", json=email), 201)
    for known in ("news", "builds", "security"):
        # The examples name them; another test may have defined them already.
        api.put(f"/api/v1/categories/{known}", json={"title": known})
    body = dict(content["examples"][name]["value"])
    if "since" in body:
        # The example's time is that of the other examples; the deployed stack has today's.
        body["since"] = datetime.now(UTC).isoformat()

    response = api.request(
        method.upper(),
        path.format(**given | {"user_id": user}),
        json=body,
    )

    several = {"put_category": {"200", "201"}, "recover_deliveries": {"200", "202"}}
    statuses = several.get(function, {min(told["responses"])})
    assert str(response.status_code) in statuses, response.text
