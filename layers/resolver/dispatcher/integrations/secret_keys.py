"""Secrets in a config: keys whose whole value is encrypted and read back as ``***``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.errors import FieldError, InvalidInputError, NotFoundError, json_pointer
from dispatcher.integrations.integration import PLACEHOLDER, Config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class SecretKeys:
    """Hides some keys of a config; the service issues no secrets here."""

    def __init__(self, *keys: str) -> None:
        self._keys = frozenset(keys)

    def conceal(self, config: Config) -> tuple[Config, Config]:
        """Hide the values of the secret keys."""
        secrets = {key: value for key, value in config.items() if key in self._keys}
        return {**config, **dict.fromkeys(secrets, PLACEHOLDER)}, secrets

    def reveal(self, concealed: Config, secrets: Config) -> Config:
        """Put the values back."""
        return {**concealed, **secrets}

    def keep(self, new: Config, concealed: Config, secrets: Config) -> Config:  # noqa: ARG002 - a whole value needs no context
        """Replace each ``***`` by the stored value of its key."""
        kept = {key for key, value in new.items() if key in self._keys and value == PLACEHOLDER}
        if missing := sorted(kept - secrets.keys()):
            detail = f"{PLACEHOLDER} keeps a stored value, and there is none here: send a value"
            raise InvalidInputError(
                *(FieldError(json_pointer("config", key), detail) for key in missing)
            )
        return {**new, **{key: secrets[key] for key in kept}}

    def issue(self, random: Callable[[int], bytes]) -> Config:  # noqa: ARG002 - as the protocol has it
        """Issue nothing."""
        return {}

    def rotate(self, issued: Config, random: Callable[[int], bytes], now: float) -> Config:  # noqa: ARG002 - as the protocol has it
        """Refuse: a secret that the user chose is replaced by PUT."""
        raise NotFoundError("This integration has no signing secret to rotate: PUT a new value.")


def or_kept(
    rule: Callable[[str, Mapping[str, str]], object],
) -> Callable[[str, Mapping[str, str]], object]:
    """Return a rule for a secret key, which also accepts ``***`` for the stored value."""
    return lambda value, environ: value if value == PLACEHOLDER else rule(value, environ)
