"""Authorization: the one rule for all routes.

A scope says what a caller may do, the caller's user says for whom. ``dispatch:admin`` includes all
scopes for every user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dispatcher.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Kind = Literal["token", "key", "link", "none"]

READ = "dispatch:read"
WRITE = "dispatch:write"
SEND = "dispatch:send"
ADMIN = "dispatch:admin"
PREFERENCES = "dispatch:preferences"
"""Covers a user's own preferences alone: links start sessions with it, and no token and no key can
carry it."""

SCOPES = frozenset({READ, WRITE, SEND, ADMIN})
"""The scopes that tokens and keys can carry."""

ANY = ("any credential",)
"""Stands for the scopes of a route that any credential may use; no scope is called so.

Not an empty tuple, which permits nothing.
"""

EVERY_USER = "*"
"""Stands for all users; no user can be called so."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request, as the authorizer identified it."""

    name: str
    """For the log: ``token:…``, ``key:…``, ``link:…`` or ``anyone``."""
    user: str
    """The user whom the caller is, ``EVERY_USER``, or empty for none."""
    scopes: frozenset[str]
    expires_at: float | None = None
    """When the credential expires, in seconds since 1970; ``None`` if it does not."""

    @property
    def kind(self) -> Kind:
        """The kind of the credential, ``none`` if none was needed."""
        kind = self.name.partition(":")[0]
        return kind if kind in {"token", "key", "link"} else "none"  # type: ignore[return-value] # one of these

    def as_context(self) -> dict[str, str]:
        """Return what API Gateway hands on to the handlers; it takes flat values only."""
        context = {"caller": self.name, "user": self.user, "scopes": " ".join(sorted(self.scopes))}
        return (
            context if self.expires_at is None else {**context, "expires_at": str(self.expires_at)}
        )

    @classmethod
    def of(cls, context: Mapping[str, object]) -> Caller:
        """Read the output of ``as_context``; without it, return a caller without any rights."""
        name, user, scopes = (str(context.get(key, "")) for key in ("caller", "user", "scopes"))
        expires_at = context.get("expires_at")
        return cls(
            name,
            user,
            frozenset(scopes.split()),
            None if expires_at is None else float(str(expires_at)),
        )


def require(caller: Caller, scopes: Collection[str] | None, user_id: str | None) -> None:
    """Raise ``ForbiddenError`` unless the caller may use a route for a user.

    The caller needs one of ``scopes``; ``None`` stands for an open route, ``ANY`` for one that
    needs a credential alone. ``user_id`` is the path's, ``None`` if the path has none. The error is
    the same whether the user exists or not.
    """
    if scopes is None or ADMIN in caller.scopes:
        return
    if scopes == ANY:
        if not caller.name:
            raise ForbiddenError("This requires a credential.")
    elif caller.scopes.isdisjoint(scopes):
        raise ForbiddenError(f"This requires the scope {' or '.join(scopes)}.")
    if user_id is not None and not (caller.user and caller.user in {user_id, EVERY_USER}):
        raise ForbiddenError(f"Access to another user requires the scope {ADMIN}.")
