"""IDs in the Slack workspace: user IDs by email address, direct messages by user ID.

A user who was found is cached for an hour. A missing user is cached for a minute: new users are
reached soon, and missing users do not use up Slack's rate limits.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from slack_sdk.errors import SlackApiError

from dispatcher.integrations.slack import channel_id, slack_user_id
from dispatcher.ttl_cache import TtlCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from slack_sdk import WebClient

TTL_FOUND = 3600.0
TTL_MISSING = 60.0
"""Seconds."""

MOST_ENTRIES = 10_000

NOT_FOUND = "users_not_found"


class Directory:
    """Looks up and caches users; each entry belongs to the token that it was found with."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        # An empty ID stands for a user who was not found.
        self._ids: TtlCache[tuple[str | None, str], str] = TtlCache(clock, size=MOST_ENTRIES)

    def user(self, client: WebClient, email: str) -> str | None:
        """Return the ID of the user with this address; ``None`` if there is none."""
        return self._cached(client, email, lambda: _find_user(client, email)) or None

    def direct_message(self, client: WebClient, user_id: str) -> str:
        """Return the channel of the app's direct messages with a user."""
        return self._cached(client, user_id, lambda: _open_channel(client, user_id))

    def forget(self, client: WebClient, key: str) -> None:
        """Remove a cached entry, so that the next call looks it up again."""
        self._ids.forget((client.token, key))

    def _cached(self, client: WebClient, key: str, look_up: Callable[[], str]) -> str:
        found = self._ids.get((client.token, key))
        if found is None:
            found = look_up()
            self._ids.put((client.token, key), found, TTL_FOUND if found else TTL_MISSING)
        return found


def _find_user(client: WebClient, email: str) -> str:
    try:
        response = client.users_lookupByEmail(email=email)
    except SlackApiError as error:
        if error.response.get("error") == NOT_FOUND:
            return ""
        raise
    return slack_user_id(response["user"]["id"], {})


def _open_channel(client: WebClient, user_id: str) -> str:
    return channel_id(client.conversations_open(users=user_id)["channel"]["id"], {})
