"""Who may do what to whom: the one rule that every route goes by.

A scope says what may be done, the caller's user says for whom. ``dispatch:admin`` is every scope,
for every user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dispatcher.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Mapping

READ = "dispatch:read"
WRITE = "dispatch:write"
SEND = "dispatch:send"
ADMIN = "dispatch:admin"

SCOPES = frozenset({READ, WRITE, SEND, ADMIN})

EVERY_USER = "*"
"""Stands for all users; no user can be called so."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request, as the authorizer found out."""

    name: str
    """For the log: ``token:…``, ``key:…`` or ``anyone``."""
    user: str
    """The user whom the caller is, ``EVERY_USER``, or empty for none."""
    scopes: frozenset[str]

    def as_context(self) -> dict[str, str]:
        """Return what API Gateway hands on to the handlers; it takes flat values only."""
        return {"caller": self.name, "user": self.user, "scopes": " ".join(sorted(self.scopes))}

    @classmethod
    def of(cls, context: Mapping[str, Any]) -> Caller:
        """Read what ``as_context`` wrote; nobody, who may do nothing, where that is missing."""
        name, user, scopes = (str(context.get(key, "")) for key in ("caller", "user", "scopes"))
        return cls(name, user, frozenset(scopes.split()))


def require(caller: Caller, scope: str | None, user_id: str | None) -> None:
    """Raise ``ForbiddenError`` unless the caller may do this to that user.

    ``scope`` is the route's, ``None`` where anybody may; ``user_id`` the path's, ``None`` where it
    names none. The answer is the same whether the user exists or not.
    """
    if scope is None or ADMIN in caller.scopes:
        return
    if scope not in caller.scopes:
        raise ForbiddenError(f"This takes the scope {scope}.")
    if user_id is not None and not (caller.user and caller.user in {user_id, EVERY_USER}):
        raise ForbiddenError(f"Another user's affairs take the scope {ADMIN}.")
