"""Requests without a route."""

from __future__ import annotations

import pytest

from tests.functions.service import sample


def refuse(service, **parts):
    """Call the function with parts of its sample event replaced."""
    response = service.invoke("refuse_request", {**sample("refuse_request"), **parts})
    return response["statusCode"], response["headers"].get("Allow"), response["body"]


def test_a_verb_that_a_path_lacks_is_told_which_it_has(service):
    """As the local cloud routes it: the request falls through to the catch-all."""
    status, allow, body = refuse(service)

    assert (status, allow) == (405, "GET")
    assert body == (
        '{"type":"urn:integration-dispatcher:problem:method-not-allowed",'
        '"title":"Method not allowed","status":405,"detail":"This path supports GET.",'
        '"instance":"urn:uuid:5f0c1d2e-3a4b-4c5d-8e6f-1a2b3c4d5e6e"}\n'
    )


def test_the_root_supports_get_alone(service):
    """It leads to the console."""
    assert refuse(service, resource="/", pathParameters=None)[:2] == (405, "GET")


def test_so_it_is_where_aws_sends_it(service):
    """There the event names the path that exists."""
    status, allow, _ = refuse(
        service,
        resource="/api/v1/users/{user_id}/integrations/{integration_type}",
        pathParameters={"user_id": "john.doe", "integration_type": "EMAIL"},
    )

    assert (status, allow) == (405, "DELETE, GET, PUT")


@pytest.mark.parametrize(
    ("resource", "parameters"),
    [
        ("/{proxy+}", {"proxy": "api/v1/user"}),
        ("/{proxy+}", {"proxy": "api/v1/users/john.doe"}),
        ("/{proxy+}", {"proxy": "api/v1/integration-defaults/"}),
    ],
)
def test_a_path_that_does_not_exist_is_not_found(service, resource, parameters):
    """For every verb."""
    status, allow, body = refuse(service, resource=resource, pathParameters=parameters)

    assert (status, allow) == (404, None)
    assert '"detail":"There is no such path."' in body
