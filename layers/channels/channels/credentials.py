"""Secrets that operators keep for the channels, read by name and kept for minutes.

A name that begins with ``/`` is a parameter of Systems Manager, any other (an ARN too) a secret of
Secrets Manager. The environment holds names only.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.parameters import (
    GetParameterError,
    SecretsProvider,
    SSMProvider,
)

from channels.aws_errors import named

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.parameters.base import BaseProvider

KEPT = 300
"""Seconds after which a secret is read anew: a rotated one is noticed by then."""


class CredentialError(Exception):
    """A secret could not be read; the text says why and is safe to show."""


class Credentials:
    """Reads secrets through ``aws(service)``, and keeps them in memory.

    ``parameter`` is the template's that names them: operators read it in errors.
    """

    def __init__(self, aws: Callable[[str], Any], parameter: str, *, kept: int = KEPT) -> None:
        self._aws = aws
        self._parameter = parameter
        self._kept = kept
        self._providers: dict[str, BaseProvider] = {}

    def read(self, name: str) -> str:
        """Return the secret; ``CredentialError`` if it cannot be read."""
        return self._fetched(name, anew=False)

    def has_changed(self, name: str, used: str) -> bool:
        """Read anew a secret that its peer refused, and tell whether it was rotated."""
        return self._fetched(name, anew=True) != used

    def _fetched(self, name: str, *, anew: bool) -> str:
        options: dict[str, Any] = {"max_age": self._kept, "force_fetch": anew}
        if name.startswith("/"):
            options["decrypt"] = True
        try:
            value = self._provider("ssm" if name.startswith("/") else "secretsmanager").get(
                name, **options
            )
        except GetParameterError as error:
            # Its own text may name accounts and roles.
            raise self._error(f"could not be read: {_why(error)}") from None
        secret = _only_value(value.decode() if isinstance(value, bytes) else str(value))
        if not secret:
            raise self._error("is empty, or is JSON without exactly one text")
        return secret

    def _error(self, problem: str) -> CredentialError:
        # Without the secret's own name: /health is for everybody, and an ARN has the account in it.
        return CredentialError(f"the secret that {self._parameter} names {problem}")

    def _provider(self, service: str) -> BaseProvider:
        if service not in self._providers:
            make: Callable[..., BaseProvider] = SSMProvider if service == "ssm" else SecretsProvider
            self._providers[service] = make(boto3_client=self._aws(service))
        return self._providers[service]


def _why(error: BaseException) -> str:
    cause = error.__context__
    return named(cause) if isinstance(cause, Exception) else "unknown"


def _only_value(text: str) -> str:
    """Take a secret as it is, or out of the JSON that the console makes of key and value."""
    if text.lstrip().startswith("{"):
        try:
            (text,) = json.loads(text).values()
        except ValueError:
            return ""
    return text.strip() if isinstance(text, str) else ""
