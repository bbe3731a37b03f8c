"""Operators' secrets for the channels, read by name and cached for minutes.

A name that begins with ``/`` is a parameter of Systems Manager, any other (an ARN too) a secret of
Secrets Manager. The environment holds names only.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from channels.aws_errors import AwsError, named
from dispatcher.errors import DispatcherError
from dispatcher.strict_json import read_json
from dispatcher.ttl_cache import TTL, TtlValue

if TYPE_CHECKING:
    from channels import ClientFactory


class CredentialError(DispatcherError):
    """A secret could not be read; the text says why and is safe to show."""


class Credentials:
    """Reads secrets through ``aws(service)``, and caches them for ``ttl`` seconds.

    ``parameter`` is the template parameter that names the secret; errors mention it.
    """

    def __init__(self, aws: ClientFactory, parameter: str, *, ttl: float = TTL) -> None:
        self._aws = aws
        self._parameter = parameter
        self._ttl = ttl
        self._secrets: dict[str, TtlValue[str]] = {}

    def read(self, name: str) -> str:
        """Return the secret; ``CredentialError`` if it cannot be read."""
        return self._secret(name).get()

    def has_changed(self, name: str, used: str) -> bool:
        """Read a refused secret again and return whether it was rotated."""
        return self._secret(name).get(latest=True) != used

    def _secret(self, name: str) -> TtlValue[str]:
        if name not in self._secrets:
            self._secrets[name] = TtlValue(
                lambda: self._fetch(name), time.time, ttl=self._ttl, pause=0
            )
        return self._secrets[name]

    def _fetch(self, name: str) -> str:
        try:
            text = self._parameter_text(name) if name.startswith("/") else self._secret_text(name)
        except AwsError as error:
            # The error's text may name accounts and roles.
            raise self._error(f"could not be read: {named(error)}") from None
        secret = _only_value(text)
        if not secret:
            raise self._error("is empty, or is JSON without exactly one text")
        try:
            secret.encode()
        except UnicodeEncodeError:
            raise self._error("is not text in UTF-8") from None
        return secret

    def _parameter_text(self, name: str) -> str:
        response = self._aws("ssm").get_parameter(Name=name, WithDecryption=True)
        return str(response["Parameter"]["Value"])

    def _secret_text(self, name: str) -> str:
        response = self._aws("secretsmanager").get_secret_value(SecretId=name)
        if "SecretString" in response:
            return str(response["SecretString"])
        binary: bytes = response["SecretBinary"]
        try:
            return binary.decode()
        except UnicodeDecodeError:
            raise self._error("is not text in UTF-8") from None

    def _error(self, problem: str) -> CredentialError:
        # The secret's name is left out: /health is public, and an ARN contains the account.
        return CredentialError(f"the secret that {self._parameter} names {problem}")


def _only_value(text: str) -> str:
    """Return a secret's text, or the only value of the JSON object that the console creates."""
    if text.lstrip().startswith("{"):
        try:
            (text,) = read_json(text).values()
        except ValueError:
            return ""
    return text.strip() if isinstance(text, str) else ""
