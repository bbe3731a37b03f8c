"""What authentication needs from the world: the issuer's keys and the services' API keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Return the seconds since 1970, to the millisecond."""


class Tokens(Protocol):
    """Verifies bearer tokens."""

    def claims(self, token: str) -> Mapping[str, Any]:
        """Return what a token of ours says, its ``exp`` a number.

        Raise ``UnauthenticatedError`` for any other token, ``UnavailableError`` if that cannot be
        told now.
        """


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a service's key."""

    name: str
    sha256: str
    """In hexadecimal, lower case."""
    scopes: frozenset[str]
    user: str
    """Whose affairs it may touch: one user's, ``access.EVERY_USER``'s, or empty: nobody's."""


class ApiKeys(Protocol):
    """Keeps what is known of the services' keys."""

    def all(self, *, anew: bool = False) -> Sequence[ApiKey]:
        """Return all, ``anew`` if one is missing.

        Raise ``UnavailableError`` if they are not known, or not known to be the latest when
        ``anew`` is asked for.
        """
