"""The shapes of the responses about sessions and links.

They are not in ``responses``, which every cold start reads: no function reads this module at all.
The API's document is generated from both.
"""

# No "from __future__ import annotations": see ``responses``.

from typing import Literal

from typing_extensions import TypedDict

from dispatcher.responses import Timestamp


class SessionResponse(TypedDict):
    """The rights of the request's credential."""

    user_id: str | None
    """The user whom the caller is, or for whom a key may act; null for none, and for all users."""
    all_users: bool
    """Whether the scopes apply to every user."""
    scopes: list[str]
    """The scopes; `dispatch:admin` implies the others."""
    kind: Literal["token", "key", "link", "none"]
    """The kind of credential; `none` if the system requires no authentication."""
    expires_at: Timestamp | None
    """The time at which the credential expires, null if it does not."""


class StartedSessionResponse(TypedDict):
    """A session that a link started."""

    access_token: str
    """The bearer token, with the scope `dispatch:preferences` for the user."""
    user_id: str
    """The user whose link it is."""
    expires_at: Timestamp
    """The time at which the session ends; the link can start another one until it expires."""


class PreferencesLinkResponse(TypedDict):
    """A link to a user's preferences. Its holder can change them."""

    url: str
    """The address that opens the preferences in the console."""
    expires_at: Timestamp
    """The time at which the link expires."""
