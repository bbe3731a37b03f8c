"""Secrets of operators, read from Secrets Manager and Parameter Store on moto."""

from __future__ import annotations

import pytest

from channels.credentials import CredentialError, Credentials

PARAMETER = "SlackBotTokenSecret"  # pragma: allowlist secret


@pytest.fixture
def secrets(aws):
    """A store that counts how often it is read."""
    asked = []

    def make(service):
        client = aws(service)
        client.meta.events.register("before-call", lambda model, **_: asked.append(model.name))
        return client

    aws("secretsmanager").create_secret(Name="token", SecretString="first")
    return Credentials(make, PARAMETER), asked


def test_a_secret_is_read_once(secrets):
    """Later readers get what is kept."""
    credentials, asked = secrets

    assert [credentials.read("token"), credentials.read("token")] == ["first", "first"]
    assert asked == ["GetSecretValue"]


def test_a_secret_that_was_refused_is_read_anew(secrets, aws):
    """Whether it has changed is what its user wants to know; the new one is kept."""
    credentials, asked = secrets
    used = credentials.read("token")

    before = credentials.has_changed("token", used)
    aws("secretsmanager").put_secret_value(SecretId="token", SecretString="second")
    after = credentials.has_changed("token", used)

    assert (before, after, credentials.read("token")) == (False, True, "second")
    assert asked == ["GetSecretValue"] * 3


@pytest.mark.parametrize(
    ("stored", "secret"),
    [("plain\n", "plain"), ('{"token": "inner"}', "inner"), (' {"a": "b"}', "b")],
)
def test_the_consoles_json_is_understood(aws, stored, secret):
    """It stores key and value even where there is but one."""
    aws("secretsmanager").create_secret(Name="one", SecretString=stored)

    assert Credentials(aws, PARAMETER).read("one") == secret


def test_bytes_and_parameters_are_secrets_too(aws):
    """A name that begins with a slash is a parameter's."""
    aws("secretsmanager").create_secret(Name="bytes", SecretBinary=b"raw")
    aws("ssm").put_parameter(Name="/a/b", Value="parameter", Type="SecureString")

    assert [Credentials(aws, PARAMETER).read(name) for name in ("bytes", "/a/b")] == [
        "raw",
        "parameter",
    ]


@pytest.mark.parametrize("stored", ['{"a": "1", "b": "2"}', "{broken", '{"a": 1}', " ", "{}"])
def test_what_is_no_secret_is_refused(aws, stored):
    """Without showing what it is."""
    aws("secretsmanager").create_secret(Name="one", SecretString=stored)

    with pytest.raises(CredentialError) as raised:
        Credentials(aws, PARAMETER).read("one")

    assert str(raised.value) == (
        "the secret that SlackBotTokenSecret names is empty, or is JSON without exactly one text"
    )


def test_bytes_that_are_no_text_are_refused(aws):
    """A binary secret that is not UTF-8 is rejected with an error that names no secret."""
    aws("secretsmanager").create_secret(Name="bytes", SecretBinary=b"\xff")

    with pytest.raises(CredentialError) as raised:
        Credentials(aws, PARAMETER).read("bytes")

    assert str(raised.value) == "the secret that SlackBotTokenSecret names is not text in UTF-8"


def test_a_stale_secret_serves_while_it_cannot_be_read(aws):
    """After the TTL a secret is read again; if that fails, the last known one is used."""
    aws("secretsmanager").create_secret(Name="token", SecretString="first")
    credentials = Credentials(aws, PARAMETER, ttl=0)
    credentials.read("token")
    aws("secretsmanager").delete_secret(SecretId="token", ForceDeleteWithoutRecovery=True)

    assert credentials.read("token") == "first"
    with pytest.raises(CredentialError):
        credentials.has_changed("token", "first")


@pytest.mark.parametrize(
    ("name", "why"),
    [("none", "ResourceNotFoundException"), ("/none", "ParameterNotFound")],
)
def test_what_is_missing_is_told_by_its_parameter_and_aws_word(aws, name, why):
    """Not by its own name, as /health is public, nor by AWS's text, which has accounts."""
    with pytest.raises(CredentialError) as raised:
        Credentials(aws, PARAMETER).read(name)

    assert str(raised.value) == (
        f"the secret that SlackBotTokenSecret names could not be read: {why}"
    )
