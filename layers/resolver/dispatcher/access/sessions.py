"""Sessions of links: a link to preferences is exchanged for a bearer token of a few minutes.

The bearer is a signed token: nothing is stored, and no call verifies it. It has the scope
``dispatch:preferences`` for the link's user.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.access.policy import ADMIN, EVERY_USER, PREFERENCES, SCOPES, Caller
from dispatcher.errors import NotFoundError, UnauthenticatedError

if TYPE_CHECKING:
    from dispatcher.access.links import Links
    from dispatcher.access.ports import Clock
    from dispatcher.access.session_responses import (
        PreferencesLinkResponse,
        SessionResponse,
        StartedSessionResponse,
    )

PREFIX = "dps_"

_CLAIMED = re.compile(rf"\s*bearer\s+{PREFIX}", re.IGNORECASE)
_BEARER = re.compile(rf"(?i:bearer) +{PREFIX}([A-Za-z0-9_.-]+)")


def is_claimed(authorization: str) -> bool:
    """Return whether a header claims to be the bearer of a session, valid or not."""
    return _CLAIMED.match(authorization) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Links to preferences, and the sessions that they start."""

    links: Links
    clock: Clock

    def caller(self, authorization: str) -> Caller:
        """Return the bearer of a session; ``UnauthenticatedError`` if it is not a valid one."""
        found = _BEARER.fullmatch(authorization)
        payload = None if found is None else self.links.open("session", found[1])
        if payload is None:
            raise UnauthenticatedError("not a session of a link")
        user = payload["u"]
        return Caller(f"link:{user}", user, frozenset({PREFERENCES}), float(payload["e"]))

    def link(self, user_id: str, body: object, base_url: str) -> PreferencesLinkResponse:
        """Return a link to the user's preferences."""
        from dispatcher.access.bodies import PreferencesLinkBody
        from dispatcher.responses import rfc3339
        from dispatcher.validation import read

        given = read(PreferencesLinkBody, body, {}, nulls=False)
        expiry = int(self.clock.now()) + given.expires_in
        token = self.links.sign("preferences", {"u": user_id, "e": expiry})
        return {"url": f"{base_url}/p/{token}", "expires_at": rfc3339(expiry)}

    def start(self, body: object, seconds: int) -> StartedSessionResponse:
        """Exchange the token of a link for a session, which does not outlive the link.

        Raises ``NotFoundError`` for a token that is not valid.
        """
        from dispatcher.access.bodies import StartSessionBody
        from dispatcher.responses import rfc3339
        from dispatcher.validation import read

        given = read(StartSessionBody, body, {}, nulls=False)
        payload = self.links.open("preferences", given.token)
        if payload is None:
            raise NotFoundError("This link is not valid, or not any more.")
        expiry = min(int(self.clock.now()) + seconds, payload["e"])
        token = self.links.sign("session", {"u": payload["u"], "e": expiry})
        return {
            "access_token": f"{PREFIX}{token}",
            "user_id": payload["u"],
            "expires_at": rfc3339(expiry),
        }


def described(caller: Caller) -> SessionResponse:
    """Return what a caller may do, and for whom."""
    from dispatcher.responses import rfc3339

    is_anyone = caller.kind == "none"
    has_all_users = ADMIN in caller.scopes or caller.user == EVERY_USER
    return {
        "user_id": None if caller.user in {"", EVERY_USER} else caller.user,
        "all_users": has_all_users,
        "scopes": sorted(SCOPES if is_anyone else caller.scopes),
        "kind": caller.kind,
        "expires_at": rfc3339(caller.expires_at),
    }
