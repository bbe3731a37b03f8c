"""Finds out who sends a request: by a bearer token, or by the key of a service."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dispatcher.access.policy import ADMIN, EVERY_USER, SCOPES, Caller
from dispatcher.access.sessions import is_claimed
from dispatcher.errors import UnauthenticatedError
from dispatcher.identifiers import USER_ID
from dispatcher.ttl_cache import TtlCache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dispatcher.access.ports import ApiKeys, Claims, Clock, Tokens
    from dispatcher.access.sessions import Sessions

TTL = 300.0
"""Seconds for which a verified token is accepted without another check, but never past its end."""

MOST_TOKENS = 1000
"""Verified tokens in memory at a time; the oldest makes room for a new one."""

BEARER = re.compile(r"(?i:bearer) +([\w-]+\.[\w-]+\.[\w-]+)", re.ASCII)
"""A signed token in its compact form (RFC 7515), after the one scheme that we know, in any case."""

LONGEST_TOKEN = 8192

KEY = re.compile(r"[\x21-\x7e]{1,256}")

ANYONE = Caller("anyone", EVERY_USER, frozenset({ADMIN}))


@dataclass(frozen=True, slots=True)
class Open:
    """Treats every caller as an administrator: for a personal machine or account.

    The session of a link has its narrow rights here, too, so that a link can be tried.
    """

    sessions: Callable[[], Sessions]

    def caller(self, authorizations: Sequence[str], keys: Sequence[str]) -> Caller:
        """Return the same for all but the bearers of sessions, whose credential must be valid."""
        if not any(map(is_claimed, authorizations)):
            return ANYONE
        if len(authorizations) > 1 or keys:
            raise UnauthenticatedError("more than one credential")
        return self.sessions().caller(authorizations[0])


@dataclass(slots=True, kw_only=True)
class Authentication:
    """Demands one credential, of a kind that is configured.

    The verifier of the other kind is not created: it would lengthen the cold start.
    """

    tokens: Callable[[], Tokens] | None
    keys: Callable[[], ApiKeys] | None
    sessions: Callable[[], Sessions]
    user_claim: str
    clock: Clock
    _verified: TtlCache[bytes, Caller] = field(init=False)
    """Callers by the digest of their token: no credential is kept."""

    def __post_init__(self) -> None:
        """Create the cache of verified tokens."""
        self._verified = TtlCache(self.clock.now, size=MOST_TOKENS)

    def caller(self, authorizations: Sequence[str], keys: Sequence[str]) -> Caller:
        """Return who asks; the arguments are all values of the two headers.

        Raise ``UnauthenticatedError`` if they do not prove it, ``UnavailableError`` if that cannot
        be decided now.
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
        if is_claimed(authorization):
            return self.sessions().caller(authorization)
        if self.tokens is None:
            raise UnauthenticatedError("tokens are not accepted here")
        found = BEARER.fullmatch(authorization)
        if found is None or len(authorization) > LONGEST_TOKEN:
            raise UnauthenticatedError("not a bearer token")
        digest = hashlib.sha256(found[1].encode()).digest()
        if caller := self._verified.get(digest):
            return caller
        claims = self.tokens().claims(found[1])
        caller = _person(claims, self.user_claim)
        self._verified.put(digest, caller, min(TTL, float(claims["exp"]) - self.clock.now()))
        return caller

    def _of_key(self, key: str) -> Caller:
        if self.keys is None:
            raise UnauthenticatedError("keys are not accepted here")
        if KEY.fullmatch(key) is None:
            raise UnauthenticatedError("not a key")
        digest = hashlib.sha256(key.encode()).hexdigest()
        for latest in (False, True):
            # All are compared, each in constant time: the duration reveals nothing.
            matches = [
                known
                for known in self.keys().all(latest=latest)
                if hmac.compare_digest(known.sha256.encode(), digest.encode())
            ]
            if matches:
                return Caller(f"key:{matches[0].name}", matches[0].user, matches[0].scopes)
        raise UnauthenticatedError("an unknown key")


def _person(claims: Claims, user_claim: str) -> Caller:
    user = claims.get(user_claim)
    if not isinstance(user, str) or USER_ID.fullmatch(user) is None:
        # Known, but not a valid user ID: the name that means all users is invalid, too.
        user = ""
    return Caller(f"token:{user}", user, _scopes(claims), float(claims["exp"]))


def _scopes(claims: Claims) -> frozenset[str]:
    """Read the scopes as RFC 9068 writes them, else as some issuers do; others' scopes fall out."""
    given = claims.get("scope", claims.get("scp", ""))
    names = given.split() if isinstance(given, str) else given
    if not isinstance(names, list):
        return frozenset()
    return SCOPES.intersection(name for name in names if isinstance(name, str))
