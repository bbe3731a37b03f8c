"""Ports of access: the issuer's keys, the services' API keys, and the keys of links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from dispatcher.strict_json import JsonObject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dispatcher.access.rows import ApiKey


Claims = JsonObject
"""The claims of a verified token: JSON that the issuer chose."""


class Clock(Protocol):
    """The source of the current time."""

    def now(self) -> float:
        """Return the seconds since 1970, to the millisecond."""


class Tokens(Protocol):
    """Verifies bearer tokens."""

    def claims(self, token: str) -> Claims:
        """Return the claims of a valid token, its ``exp`` as a number.

        Raise ``UnauthenticatedError`` for any other token, ``UnavailableError`` if that cannot be
        told now.
        """


class ApiKeys(Protocol):
    """Keeps what is known of the services' keys."""

    def all(self, *, latest: bool = False) -> Sequence[ApiKey]:
        """Return all keys; ``latest`` reads them again, for a key that is missing.

        Raise ``UnavailableError`` if they could not be read.
        """


class SigningKeys(Protocol):
    """Keeps the keys that sign the tokens of links."""

    def current(self) -> str:
        """Return the key that signs; ``UnavailableError`` if it could not be read."""

    def all(self, *, latest: bool = False) -> Sequence[str]:
        """Return the keys that verify, the current one first.

        ``latest`` reads them again, for a token that none of them signed. Raise
        ``UnavailableError`` if they could not be read.
        """
