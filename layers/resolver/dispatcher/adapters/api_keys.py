"""The services' API keys, read from the secret that holds their fingerprints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.access.rows import parse_api_keys
from dispatcher.adapters.aws import unavailable_if_it_fails
from dispatcher.ttl_cache import TtlValue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from dispatcher.access.ports import Clock
    from dispatcher.access.rows import ApiKey


class SecretApiKeys:
    """Implements ``ports.ApiKeys`` with a secret of Secrets Manager."""

    def __init__(
        self, secrets: Callable[[], SecretsManagerClient], name: str, clock: Clock
    ) -> None:
        self._secrets = secrets
        self._name = name
        self._keys = TtlValue(self._read, clock.now)

    def all(self, *, latest: bool = False) -> Sequence[ApiKey]:
        """Return all keys; ``latest`` reads them again, for a key that is missing."""
        return self._keys.get(latest=latest)

    def _read(self) -> Sequence[ApiKey]:
        with unavailable_if_it_fails():
            secret = self._secrets().get_secret_value(SecretId=self._name)
        return parse_api_keys(secret.get("SecretString", ""))
