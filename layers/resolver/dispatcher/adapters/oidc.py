"""Bearer tokens of one OpenID Connect issuer, verified against the keys that it publishes."""

from __future__ import annotations

import base64
import http.client
import time
from typing import TYPE_CHECKING
from urllib.request import Request

import jwt

from dispatcher.adapters.system import ThreadWatchdog
from dispatcher.deadline import Deadline
from dispatcher.errors import UnauthenticatedError, UnavailableError
from dispatcher.http_client import send
from dispatcher.strict_json import MalformedJsonError, read_json
from dispatcher.ttl_cache import TtlValue

if TYPE_CHECKING:
    from dispatcher.access.ports import Claims, Clock
    from dispatcher.strict_json import JsonObject

ALGORITHMS = {"RSA": "RS256", "EC": "ES256"}
"""Key type → algorithm. All others (``none``, shared secrets) are rejected."""

PUBLIC = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}
"""Members of a published key that are read, by key type."""

SMALLEST_RSA = 2048

LEEWAY = 30
"""Seconds by which our clock and the issuer's may differ."""

FETCH_WITHIN = 3.0
READ_WITHIN = 2.5
"""Seconds after which the keys that have arrived are used; part of ``FETCH_WITHIN``."""
LARGEST_KEY_SET = 64 * 1024

Keys = dict[tuple[str, str], jwt.PyJWK]
"""Keys by ``kid`` and algorithm, so that a token cannot choose another algorithm for a key."""


class OidcTokens:
    """Implements ``ports.Tokens``."""

    def __init__(self, *, issuer: str, audience: str, jwks_uri: str, clock: Clock) -> None:
        self._issuer = issuer
        self._audience = audience
        self._jwks_uri = jwks_uri
        self._watchdog = ThreadWatchdog()
        self._keys = TtlValue(self._fetch, clock.now)

    def claims(self, token: str) -> Claims:
        """Return the claims of a valid token."""
        named = _named_key(token)
        # The issuer may have published a new key since the last fetch.
        key = self._keys.get().get(named) or self._keys.get(latest=True).get(named)
        if key is None:
            raise UnauthenticatedError("signed with an unknown key")
        try:
            claims: Claims = jwt.decode(
                token,
                key,
                # The algorithm was fixed when the key was published.
                algorithms=[named[1]],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
            # PyJWT accepts text, and integers of any size; the float of a long text is infinite.
            claims["exp"] = float(int(claims["exp"]))
        except (
            jwt.InvalidTokenError,
            ValueError,
            TypeError,
            ArithmeticError,
            RecursionError,
        ) as error:
            # The error's text may quote the token.
            raise UnauthenticatedError(f"refused: {type(error).__name__}") from None
        return claims

    def _fetch(self) -> Keys:
        text = self._watchdog.within(FETCH_WITHIN, lambda: _download(self._jwks_uri))
        if text is None:
            raise UnavailableError("the issuer's keys did not arrive in time")
        keys = _usable_keys(text)
        if not keys:
            raise UnavailableError("the issuer publishes no key for RS256 or ES256")
        return keys


def _download(uri: str) -> str:
    try:
        headers = {"User-Agent": "integration-dispatcher"}
        request = Request(uri, headers=headers)  # noqa: S310 - the settings check the scheme
        response = send(request, Deadline(READ_WITHIN, time.monotonic), largest=LARGEST_KEY_SET + 1)
        if not 200 <= response.status < 300:
            raise UnavailableError(f"the issuer's keys: HTTP {response.status}")
        if len(response.body) > LARGEST_KEY_SET:
            raise UnavailableError("the issuer's keys are too many")
        return response.body.decode()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnavailableError(f"the issuer's keys: {type(error).__name__}") from None


def _named_key(token: str) -> tuple[str, str]:
    """Return the key ID and the algorithm from a token's header."""
    try:
        encoded = token.partition(".")[0]
        header = read_json(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
    except (MalformedJsonError, ValueError):
        raise UnauthenticatedError("a header that cannot be read") from None
    if not isinstance(header, dict) or "crit" in header:
        raise UnauthenticatedError("a header that requires unknown extensions")
    kid, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(kid, str) or algorithm not in ALGORITHMS.values():
        raise UnauthenticatedError("a header without a kid, or with another algorithm")
    return kid, str(algorithm)


def _usable_keys(text: str) -> Keys:
    try:
        published = read_json(text)
    except MalformedJsonError:
        raise UnavailableError("the issuer's keys are not JSON") from None
    listed = published.get("keys") if isinstance(published, dict) else None
    keys: Keys = {}
    for entry in listed if isinstance(listed, list) else ():
        key = _key(entry) if isinstance(entry, dict) else None
        if key is not None:
            keys[entry["kid"], str(key.algorithm_name)] = key
    return keys


def _key(published: JsonObject) -> jwt.PyJWK | None:
    kind = published.get("kty")
    algorithm = ALGORITHMS.get(kind) if isinstance(kind, str) else None
    if (
        algorithm is None
        or not isinstance(published.get("kid"), str)
        or published.get("use", "sig") != "sig"
        or published.get("alg", algorithm) != algorithm
        or published.get("crv", "P-256") != "P-256"
    ):
        return None
    try:
        key = jwt.PyJWK({name: published[name] for name in PUBLIC[str(kind)]}, algorithm)
    except (jwt.PyJWTError, KeyError, ValueError, TypeError):
        return None
    return key if kind == "EC" or key.key.key_size >= SMALLEST_RSA else None
