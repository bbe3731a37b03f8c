"""Generated requests: every caller gets a documented response to every request."""

from __future__ import annotations

import json

import pytest

from tests.fuzz_api import fuzz
from tests.issuer import AUDIENCE, ISSUER, Issuer
from tools.local_cloud import LocalCloud
from tools.processes import free_port

USERS = ("ada", "grace")


@pytest.fixture(scope="module")
def issuer():
    """An issuer that this module's stack trusts."""
    with Issuer() as running:
        yield running


@pytest.fixture(scope="module")
def guarded(issuer, tmp_path_factory):
    """The API's address in a stack with authentication."""
    home = tmp_path_factory.mktemp("fuzzed")
    cloud = LocalCloud(home, api_port=free_port(), cloud_port=free_port())
    cloud.start()
    stack = cloud.deploy(
        {
            "AuthMode": "required",
            "OidcIssuer": ISSUER,
            "OidcAudience": AUDIENCE,
            "OidcJwksUri": issuer.jwks_uri,
        }
    )
    yield stack["api_url"]
    cloud.forget()


@pytest.fixture
def credentials(issuer, tmp_path):
    """A file with the tokens of two users who must not see each other's affairs."""
    users = [
        {
            "name": name,
            "fixedHeaders": [
                {"name": "Authorization", "value": f"Bearer {issuer.token(sub=name)}"}
            ],
        }
        for name in USERS
    ]
    file = tmp_path / "users.json"
    file.write_text(json.dumps({"auth": users}))
    return file


def test_the_api_keeps_to_its_document(guarded, credentials, tmp_path):
    """No 5xx, no undocumented response, no access without authorization.

    `make fuzz-api` asks thousands; here some dozens, always the same.
    """
    verdict = fuzz(
        guarded,
        home=tmp_path,
        cases=40,
        seed=1,
        phases="examples,fuzzing,stateful",
        credentials=credentials,
    )

    assert verdict.passed, verdict.output
    assert verdict.cases >= 40
