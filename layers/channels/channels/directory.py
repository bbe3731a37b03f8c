"""Who is who in the Slack workspace: user ids by e-mail address, direct messages by user id.

Remembered in the container: what was found for an hour, what was not for a minute, so that a user
who joins is soon reached and one who is missing does not use up Slack's rate limits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slack_sdk.errors import SlackApiError

from dispatcher.integrations.slack import channel_id, slack_user_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from slack_sdk import WebClient

FOUND = 3600.0
MISSING = 60.0
"""Seconds."""

MOST_ENTRIES = 10_000

NOT_FOUND = "users_not_found"


@dataclass(slots=True)
class Directory:
    """Looks users up, and remembers. Entries belong to the token that saw them."""

    clock: Callable[[], float] = time.monotonic
    _entries: dict[tuple[str | None, str], tuple[float, str | None]] = field(default_factory=dict)

    def user(self, client: WebClient, email: str) -> str | None:
        """Return the id of the user with this address; ``None`` if there is none."""
        return self._remembered(client, email, lambda: _user(client, email))

    def direct_message(self, client: WebClient, user_id: str) -> str:
        """Return the channel of the app's direct messages with a user."""
        return str(self._remembered(client, user_id, lambda: _opened(client, user_id)))

    def forget(self, client: WebClient, key: str) -> None:
        """Look a user up again next time."""
        self._entries.pop((client.token, key), None)

    def _remembered(
        self, client: WebClient, key: str, look_up: Callable[[], str | None]
    ) -> str | None:
        now = self.clock()
        until, value = self._entries.get((client.token, key), (now, None))
        if until > now:
            return value
        value = look_up()
        if len(self._entries) >= MOST_ENTRIES:
            self._entries.clear()
        self._entries[client.token, key] = (now + (FOUND if value else MISSING), value)
        return value


def _user(client: WebClient, email: str) -> str | None:
    try:
        answer = client.users_lookupByEmail(email=email)
    except SlackApiError as error:
        if error.response.get("error") == NOT_FOUND:
            return None
        raise
    return slack_user_id(answer["user"]["id"], {})


def _opened(client: WebClient, user_id: str) -> str:
    return channel_id(client.conversations_open(users=user_id)["channel"]["id"], {})
