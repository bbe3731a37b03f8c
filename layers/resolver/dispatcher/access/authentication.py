"""Finds out who sends a request: by a bearer token, or by the key of a service."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dispatcher.access.policy import ADMIN, EVERY_USER, SCOPES, Caller
from dispatcher.errors import UnauthenticatedError
from dispatcher.identifiers import USER_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dispatcher.access.ports import ApiKeys, Clock, Tokens

KEPT = 300.0
"""Seconds that a verified token is taken without another look, though never past its end."""

MOST_KEPT = 1000
"""Verified tokens in memory at a time."""

BEARER = re.compile(r"[Bb]earer +([\w-]+\.[\w-]+\.[\w-]+)", re.ASCII)
"""A signed token in its compact form (RFC 7515), after the one scheme that we know."""

LONGEST_TOKEN = 8192

KEY = re.compile(r"[\x21-\x7e]{1,256}")

ANYONE = Caller("anyone", EVERY_USER, frozenset({ADMIN}))


class Open:
    """Takes everybody for an administrator: for a machine or an account of one's own."""

    def caller(self, _authorizations: Sequence[str], _keys: Sequence[str]) -> Caller:
        """Return the same for all."""
        return ANYONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """Demands one credential, of a kind that is configured.

    What verifies the other kind is not even made: a cold start has nothing to spare.
    """

    tokens: Callable[[], Tokens] | None
    keys: Callable[[], ApiKeys] | None
    user_claim: str
    clock: Clock
    _verified: dict[bytes, tuple[Caller, float]] = field(default_factory=dict)

    def caller(self, authorizations: Sequence[str], keys: Sequence[str]) -> Caller:
        """Return who asks; the arguments are all values of the two headers.

        Raise ``UnauthenticatedError`` if they do not prove it, ``UnavailableError`` if that cannot
        be told now.
        """
        match [*authorizations], [*keys]:
            case [authorization], []:
                return self._of_token(authorization)
            case [], [key]:
                return self._of_key(key)
            case [], []:
                raise UnauthenticatedError("no credential")
        # Two that name different callers could be read by another part as the other one.
        raise UnauthenticatedError("more than one credential")

    def _of_token(self, authorization: str) -> Caller:
        if self.tokens is None:
            raise UnauthenticatedError("tokens are not taken here")
        found = BEARER.fullmatch(authorization)
        if found is None or len(authorization) > LONGEST_TOKEN:
            raise UnauthenticatedError("not a bearer token")
        digest = hashlib.sha256(found[1].encode()).digest()
        caller, until = self._verified.get(digest, (None, 0.0))
        if caller is not None and self.clock.now() < until:
            return caller
        claims = self.tokens().claims(found[1])
        caller = _person(claims, self.user_claim)
        self._keep(digest, caller, min(self.clock.now() + KEPT, float(claims["exp"])))
        return caller

    def _keep(self, digest: bytes, caller: Caller, until: float) -> None:
        # The oldest goes first: whoever has many tokens can only crowd out memory, not change it.
        self._verified.pop(digest, None)
        while len(self._verified) >= MOST_KEPT:
            del self._verified[next(iter(self._verified))]
        self._verified[digest] = (caller, until)

    def _of_key(self, key: str) -> Caller:
        if self.keys is None:
            raise UnauthenticatedError("keys are not taken here")
        if KEY.fullmatch(key) is None:
            raise UnauthenticatedError("not a key")
        digest = hashlib.sha256(key.encode()).hexdigest()
        for anew in (False, True):
            # All are compared, each in constant time: how long it takes says nothing.
            same = [
                one
                for one in self.keys().all(anew=anew)
                if hmac.compare_digest(one.sha256.encode(), digest.encode())
            ]
            if same:
                return Caller(f"key:{same[0].name}", same[0].user, same[0].scopes)
        raise UnauthenticatedError("an unknown key")


def _person(claims: Mapping[str, Any], user_claim: str) -> Caller:
    user = claims.get(user_claim)
    if not isinstance(user, str) or USER_ID.fullmatch(user) is None:
        # Known, but no user of ours: the name of all users is none either.
        user = ""
    return Caller(f"token:{user}", user, _scopes(claims))


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """Read the scopes as RFC 9068 writes them, else as some issuers do; others' scopes fall out."""
    given = claims.get("scope", claims.get("scp", ""))
    names = given.split() if isinstance(given, str) else given
    if not isinstance(names, list):
        return frozenset()
    return SCOPES.intersection(name for name in names if isinstance(name, str))
