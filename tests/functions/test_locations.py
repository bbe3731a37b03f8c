"""``Location`` leads to what a request created."""

from __future__ import annotations

import json
from urllib.parse import urljoin

import pytest

from tests.contract import routed
from tests.functions.service import OPERATOR, asked_by, sample

USERS = "/api/v1/users"


def respond(service, method, path, body=None):
    """Send a request to a path, as API Gateway does behind a stage; return the response."""
    route, parameters = routed(method, path)
    event = asked_by(OPERATOR, sample(route.function)) | {
        "pathParameters": parameters,
        "body": None if body is None else json.dumps(body),
    }
    return service.invoke(route.function, event)


@pytest.mark.parametrize("origin", ["https://api.example.com", "https://example.com/prod"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{USERS}/ada/deliveries", {"content": "Hello"}),
        (f"{USERS}/ada/deliveries", {"content": "Hello", "request_id": ".."}),
        (f"{USERS}/ada/deliveries", {"content": "Hello", "request_id": "a/b?c#d%20e"}),
        (f"{USERS}/auth0%7Cada/integrations/test/test", None),
        (f"{USERS}/auth0%7Cada/integrations", {"integration_type": "email"}),
    ],
)
def test_a_location_leads_to_the_new_resource_behind_any_prefix(service, origin, path, body):
    """It is relative, so a client resolves it against the URL that it called."""
    response = respond(service, "POST", path, body)
    created = urljoin(origin + path, response["headers"]["Location"])

    assert response["statusCode"] in {201, 202}
    assert created.startswith(f"{origin}{USERS}/")
    assert respond(service, "GET", created.removeprefix(origin))["statusCode"] == 200
