"""The authorizer as API Gateway calls it: who is let in, and how it refuses."""

from __future__ import annotations

import json
import time

import boto3
import pytest

from dispatcher import wiring
from dispatcher.edges import authorizer
from dispatcher.edges.authorizer import UnauthorizedError, UncheckedError
from tests.fakes import MemoryEventLog
from tests.functions.service import KEY, sample
from tests.issuer import AUDIENCE, ISSUER, Issuer


@pytest.fixture
def event_log(monkeypatch):
    """Log lines of the authorizer."""
    kept = MemoryEventLog()
    monkeypatch.setattr(wiring, "event_log", lambda: kept)
    return kept


def asked(headers, **parts):
    """Return an event with these headers, each with a list of values."""
    return {**sample("authorize_request"), "multiValueHeaders": headers, **parts}


@pytest.mark.parametrize("name", ["x-api-key", "X-Api-Key", "X-API-KEY"])
def test_a_header_is_found_in_any_case(service, event_log, name):
    """HTTP/2 writes them in lower case."""
    answer = service.invoke("authorize_request", asked({name: [KEY]}))

    assert answer["context"]["caller"] == "key:ticketing"
    [(event, line)] = event_log.lines
    assert (event, line["caller"]) == ("caller.authenticated", "key:ticketing")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (None, "no credential"),
        ({}, "no credential"),
        ({"Authorization": []}, "no credential"),
        ({"x-api-key": ["wrong"]}, "an unknown key"),
        ({"x-api-key": [KEY, KEY]}, "more than one credential"),
        ({"x-api-key": [KEY], "X-API-Key": [KEY]}, "more than one credential"),
        ({"x-api-key": [KEY], "authorization": ["Bearer a.b.c"]}, "more than one credential"),
        ({"authorization": ["Bearer a.b.c"]}, "tokens are not accepted here"),
    ],
)
def test_a_stranger_is_told_no_more_than_that(service, event_log, headers, reason):
    """API Gateway makes a 401 of exactly this text; the reason is in the log only."""
    with pytest.raises(UnauthorizedError, match=r"^Unauthorized$") as caught:
        service.invoke("authorize_request", asked(headers))

    [(event, line)] = event_log.lines
    assert (event, line["reason"]) == ("caller.rejected", reason)
    assert KEY not in str(event_log.lines)
    assert caught.value.__cause__ is None


def test_a_secret_that_cannot_be_read_refuses_nobody_for_good(service, event_log):
    """That is an error to API Gateway, which returns our 503."""
    boto3.client("secretsmanager").delete_secret(
        SecretId="ApiKeysSecret", ForceDeleteWithoutRecovery=True
    )

    with pytest.raises(UncheckedError):
        service.invoke("authorize_request", sample("authorize_request"))

    [(event, line)] = event_log.lines
    assert event == "caller.unchecked"
    assert line["reason"] == "GetSecretValue failed: ResourceNotFoundException"


def test_a_fault_of_ours_lets_nobody_in_and_tells_nothing(service, event_log, monkeypatch):
    """A library's message may quote the credential; the place in the code does not."""

    def broken():
        raise ValueError(f"cannot use {KEY}")

    monkeypatch.setattr(authorizer.wiring, "authentication", broken)

    with pytest.raises(UncheckedError) as caught:
        service.invoke("authorize_request", sample("authorize_request"))

    assert KEY not in f"{caught.value}{caught.value.__cause__}{event_log.lines}"
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("path", ["*", "?x", "${aws:username}", "a/b/c"])
def test_what_stands_in_the_path_stands_in_no_policy(service, path):
    """There it would be a pattern or a variable."""
    stage = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/prod"

    answer = service.invoke(
        "authorize_request", asked({"x-api-key": [KEY]}, methodArn=f"{stage}/GET/api/{path}")
    )

    [statement] = answer["policyDocument"]["Statement"]
    assert statement["Resource"] == f"{stage}/*"


def test_a_token_is_let_in_with_its_user_and_scopes(service, monkeypatch):
    """From an issuer on this machine, which only the local stage may trust over http."""
    with Issuer() as issuer:
        monkeypatch.setenv("OIDC_ISSUER", ISSUER)
        monkeypatch.setenv("OIDC_AUDIENCE", AUDIENCE)
        monkeypatch.setenv("OIDC_JWKS_URI", issuer.jwks_uri)
        token = issuer.token(scope="dispatch:read openid")

        answer = service.invoke("authorize_request", asked({"authorization": [f"Bearer {token}"]}))

    assert answer["context"] == {
        "caller": "token:john.doe",
        "user": "john.doe",
        "scopes": "dispatch:read",
        "expires_at": answer["context"]["expires_at"],
    }
    assert float(answer["context"]["expires_at"]) > time.time()


@pytest.mark.parametrize("stage", ["local", "dev"])
def test_without_authentication_everybody_is_an_administrator(service, monkeypatch, stage):
    """If an operator asked for that, for a private machine or account."""
    monkeypatch.setenv("AUTH_MODE", "none")
    monkeypatch.setenv("STAGE", stage)

    answer = service.invoke("authorize_request", asked({}))

    assert answer["context"] == {"caller": "anyone", "user": "*", "scopes": "dispatch:admin"}


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        ({"AUTH_MODE": "none", "STAGE": "prod"}, "AUTH_MODE"),
        ({"AUTH_MODE": "none", "STAGE": ""}, "AUTH_MODE"),
        ({"AUTH_MODE": "None"}, "AUTH_MODE"),
        ({"AUTH_MODE": ""}, "AUTH_MODE"),
        ({"API_KEYS_SECRET": ""}, "AUTH_MODE"),
        ({"OIDC_ISSUER": ISSUER, "OIDC_AUDIENCE": "x"}, "OIDC_JWKS_URI"),
        ({"OIDC_ISSUER": ISSUER, "OIDC_JWKS_URI": "https://x"}, "OIDC_AUDIENCE"),
        ({"OIDC_ISSUER": ISSUER, "OIDC_JWKS_URI": "http://id.example.com/"}, "OIDC_JWKS_URI"),
        ({"OIDC_ISSUER": ISSUER, "OIDC_JWKS_URI": "http://127.0.0.1:1@x.com/"}, "OIDC_JWKS_URI"),
        ({"OIDC_ISSUER": ISSUER, "OIDC_JWKS_URI": "file:///etc/passwd"}, "OIDC_JWKS_URI"),
        (
            {"OIDC_ISSUER": ISSUER, "OIDC_JWKS_URI": "http://127.0.0.1:1/", "STAGE": "dev"},
            "OIDC_JWKS_URI",
        ),
    ],
)
def test_settings_that_are_not_safe_let_nobody_in(
    service, event_log, monkeypatch, settings, variable
):
    """Open doors in prod, half a configuration, keys that come over an open line."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(UncheckedError):
        service.invoke("authorize_request", sample("authorize_request"))

    [(event, line)] = event_log.lines
    assert (event, line["error"]) == ("caller.unchecked", "BrokenSettingError")
    assert line["reason"].startswith(variable)
    assert json.dumps(line)
