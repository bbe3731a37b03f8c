"""The keys of links, read from the secret that the stack creates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.adapters.aws import unavailable_if_it_fails
from dispatcher.ttl_cache import TtlValue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from dispatcher.access.ports import Clock


class SecretLinkKeys:
    """Implements ``ports.SigningKeys`` with a secret of Secrets Manager.

    A rotation there moves the current key to ``AWSPREVIOUS``: links that it signed stay valid until
    the next rotation.
    """

    def __init__(
        self, secrets: Callable[[], SecretsManagerClient], name: str, clock: Clock
    ) -> None:
        self._secrets = secrets
        self._name = name
        self._current = TtlValue(self._read_current, clock.now)
        self._all = TtlValue(self._read_all, clock.now)

    def current(self) -> str:
        """Return the key that signs."""
        return self._current.get()

    def all(self, *, latest: bool = False) -> Sequence[str]:
        """Return the keys that verify, the current one first."""
        return self._all.get(latest=latest)

    def _read_current(self) -> str:
        with unavailable_if_it_fails():
            secret = self._secrets().get_secret_value(SecretId=self._name)
        return secret["SecretString"]

    def _read_all(self) -> Sequence[str]:
        current = self._read_current()
        secrets = self._secrets()
        with unavailable_if_it_fails():
            try:
                previous = secrets.get_secret_value(SecretId=self._name, VersionStage="AWSPREVIOUS")
            except secrets.exceptions.ResourceNotFoundException:
                # It was never rotated.
                return (current,)
        return current, previous["SecretString"]
