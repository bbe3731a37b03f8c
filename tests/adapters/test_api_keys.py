"""The secret with the fingerprints of the services' keys."""

from __future__ import annotations

import json

import boto3
import pytest
from moto import mock_aws

from dispatcher.access.policy import ADMIN, EVERY_USER, READ, SEND
from dispatcher.access.rows import ApiKey, parse_api_keys
from dispatcher.adapters.api_keys import SecretApiKeys
from dispatcher.errors import BrokenSettingError, UnavailableError
from tests.fakes import FakeClock

DIGEST = "ab" * 32
ENTRY = {"sha256": DIGEST, "scopes": [SEND], "user": EVERY_USER}
NAME = "dispatcher/keys"


@pytest.fixture
def secrets():
    """A Secrets Manager with one key in one secret."""
    with mock_aws():
        client = boto3.client(
            "secretsmanager",
            region_name="eu-central-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
        client.create_secret(Name=NAME, SecretString=json.dumps({"billing": ENTRY}))
        yield client


def names(keys, **options):
    """Return the names of all keys."""
    return [key.name for key in keys.all(**options)]


def test_an_entry_says_what_its_key_may_do_and_for_whom():
    """Without a user, the key is a service's and belongs to no user."""
    text = json.dumps(
        {
            "billing": ENTRY,
            "johns": {"sha256": "0" * 64, "scopes": [READ, SEND], "user": "john.doe"},
            "operator": {"sha256": "1" * 64, "scopes": [ADMIN]},
            "asleep": {"sha256": "2" * 64, "scopes": []},
        }
    )

    assert parse_api_keys(text) == (
        ApiKey("billing", DIGEST, frozenset({SEND}), EVERY_USER),
        ApiKey("johns", "0" * 64, frozenset({READ, SEND}), "john.doe"),
        ApiKey("operator", "1" * 64, frozenset({ADMIN}), ""),
        ApiKey("asleep", "2" * 64, frozenset(), ""),
    )


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        ("", "it is empty"),
        ("disp_a-key-as-it-is", "is not valid JSON"),
        ("[]", "is not a JSON object"),
        ('{"a": {}, "a": {}}', "contains a key twice"),
        ({"": ENTRY}, "has a name"),
        ({"a b": ENTRY}, "has a name"),
        ({"a": "ab"}, "a: holds sha256, scopes"),
        ({"a": {**ENTRY, "admin": True}}, "a: holds sha256, scopes"),
        ({"a": {**ENTRY, "sha256": DIGEST.upper()}}, "a: sha256 is not"),
        ({"a": {**ENTRY, "sha256": "ab"}}, "a: sha256 is not"),
        ({"a": {"scopes": [SEND]}}, "a: sha256 is not"),
        ({"a": {**ENTRY, "scopes": "dispatch:send"}}, "a: scopes is a list of dispatch:admin"),
        ({"a": {**ENTRY, "scopes": ["send"]}}, "a: scopes is a list of dispatch:admin"),
        ({"a": {**ENTRY, "scopes": [5]}}, "a: scopes is a list of dispatch:admin"),
        ({"a": {"sha256": DIGEST}}, "a: scopes is a list of dispatch:admin"),
        ({"a": {**ENTRY, "user": "**"}}, "a: user is a user's ID"),
        ({"a": {**ENTRY, "user": None}}, "a: user is a user's ID"),
        ({"a": ENTRY, "b": ENTRY}, "the same key under two names"),
    ],
)
def test_a_secret_with_a_slip_is_refused_whole_and_says_where(secret, complaint):
    """Rather than to guess what a key may do; no fingerprint is in the text."""
    text = secret if isinstance(secret, str) else json.dumps(secret)

    with pytest.raises(BrokenSettingError, match=complaint) as caught:
        parse_api_keys(text)

    assert str(caught.value).startswith("API_KEYS_SECRET names a secret that cannot be used: ")
    assert DIGEST not in str(caught.value)


def test_the_secret_is_read_again_after_five_minutes(secrets):
    """A key that was taken out of it opens nothing from then on."""
    clock = FakeClock()
    keys = SecretApiKeys(lambda: secrets, NAME, clock)
    before = names(keys)
    secrets.put_secret_value(SecretId=NAME, SecretString="{}")

    clock.advance(299)
    kept = names(keys)
    clock.advance(1)

    assert (before, kept, names(keys)) == (["billing"], ["billing"], [])


def test_a_new_key_is_looked_for_at_most_once_a_minute(secrets):
    """Strangers with wrong keys cost one call a minute."""
    clock = FakeClock()
    keys = SecretApiKeys(lambda: secrets, NAME, clock)
    names(keys)
    secrets.put_secret_value(SecretId=NAME, SecretString=json.dumps({"new": ENTRY}))

    within = names(keys, latest=True)
    clock.advance(60)

    assert (within, names(keys, latest=True)) == (["billing"], ["new"])


def test_known_keys_go_on_while_the_secret_cannot_be_read(secrets):
    """Nor is a caller with an unknown key refused permanently: the key may be valid."""
    clock = FakeClock()
    keys = SecretApiKeys(lambda: secrets, NAME, clock)
    names(keys)
    secrets.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)
    clock.advance(3600)

    assert names(keys) == ["billing"]
    with pytest.raises(UnavailableError):
        keys.all(latest=True)


def test_without_the_secret_nobody_is_known(secrets):
    """The reason is AWS's own word."""
    keys = SecretApiKeys(lambda: secrets, "other", FakeClock())

    with pytest.raises(UnavailableError, match="GetSecretValue failed: ResourceNotFoundException"):
        keys.all()
