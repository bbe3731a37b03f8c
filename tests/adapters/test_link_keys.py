"""The secret with the keys of links."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from dispatcher.adapters.link_keys import SecretLinkKeys
from dispatcher.errors import UnavailableError
from tests.fakes import FakeClock

NAME = "stack-links"


class Counted:
    """A client that counts the versions that are read."""

    def __init__(self, client):
        self.client, self.exceptions, self.stages = client, client.exceptions, []

    def get_secret_value(self, **call):
        """Count, and read."""
        self.stages.append(call.get("VersionStage", "AWSCURRENT"))
        return self.client.get_secret_value(**call)


@pytest.fixture
def client():
    """A Secrets Manager with the secret as the stack creates it."""
    with mock_aws():
        client = boto3.client(
            "secretsmanager",
            region_name="eu-central-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
        client.create_secret(Name=NAME, SecretString="k1")
        yield Counted(client)


@pytest.fixture
def clock():
    """Time that a test moves."""
    return FakeClock()


@pytest.fixture
def keys(client, clock):
    """The code under test."""
    return SecretLinkKeys(lambda: client, NAME, clock)


def rotate(client, key):
    """Put a new key in place, as a rotation does."""
    client.client.put_secret_value(SecretId=NAME, SecretString=key)


def test_the_key_that_signs_is_read_once_in_300_seconds(client, keys, clock):
    """An email costs no call."""
    before = [keys.current() for _ in range(100)]
    rotate(client, "k2")
    clock.advance(299)
    kept = keys.current()
    clock.advance(1)

    assert ({*before}, kept, keys.current()) == ({"k1"}, "k1", "k2")
    assert client.stages == ["AWSCURRENT"] * 2


def test_the_keys_that_verify_are_the_current_and_the_previous_one(client, clock):
    """Before the first rotation there is only one."""
    found = []
    for key in ("k2", "k3", "k4"):
        found.append(SecretLinkKeys(lambda: client, NAME, clock).all())
        rotate(client, key)

    assert found == [("k1",), ("k2", "k1"), ("k3", "k2")]


def test_unknown_signatures_cause_a_read_a_minute(client, keys, clock):
    """Strangers cannot make the service read the secret for each token that they invent."""
    keys.all()
    rotate(client, "k2")
    within = keys.all(latest=True)
    clock.advance(60)

    assert (within, keys.all(latest=True), keys.all(latest=True)) == (
        ("k1",),
        ("k2", "k1"),
        ("k2", "k1"),
    )
    assert len(client.stages) == 4


def test_a_secret_that_is_gone_is_unavailable(client, keys):
    """The text has the operation and the code."""
    client.client.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)

    for read in (keys.current, keys.all):
        with pytest.raises(UnavailableError, match="ResourceNotFoundException"):
            read()


def test_a_secret_that_cannot_be_read_again_serves_its_last_keys(client, keys, clock):
    """An outage of Secrets Manager does not end the links."""
    before = keys.current(), keys.all()
    client.client.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)
    clock.advance(3600)

    assert (keys.current(), keys.all()) == before
