"""The links of an email, by the category of its message.

Pure. All expiries count from the message's acceptance: every attempt sends the same links.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.delivery.ports import MailLinks

if TYPE_CHECKING:
    from dispatcher.configuration.rows import Category
    from dispatcher.delivery.ports import Sign
    from dispatcher.delivery.rows import MessageRow

DAY = 86_400

UNSUBSCRIBE_SECONDS = 400 * DAY
"""Longer than a year: a reader may unsubscribe by a yearly email."""

PREFERENCES_SECONDS = 30 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class MailLinkWriter:
    """Writes the links of emails."""

    sign: Sign
    public_url: str
    """The address of the API, without a slash at its end."""
    preferences_page: str
    """The operator's own page for preferences; empty without one."""
    console: bool
    """Whether the console is there, which opens preferences by a link."""
    footer: bool

    def links(self, row: MessageRow, category: Category) -> MailLinks:
        """Return the links of an email; ``UnavailableError`` if they cannot be signed now."""
        return MailLinks(
            category=category.name,
            title=category.title,
            unsubscribe_url=None if category.locked else self._unsubscribe_url(row, category),
            preferences_url=self.preferences_page or self._preferences_url(row),
            footer=self.footer,
        )

    def _unsubscribe_url(self, row: MessageRow, category: Category) -> str:
        expiry = int(row.created_at) + UNSUBSCRIBE_SECONDS
        payload = {"u": row.user_id, "c": category.name, "e": expiry}
        return f"{self.public_url}/u/{self.sign('unsubscribe', payload)}"

    def _preferences_url(self, row: MessageRow) -> str | None:
        if not self.console:
            return None
        payload = {"u": row.user_id, "e": int(row.created_at) + PREFERENCES_SECONDS}
        return f"{self.public_url}/p/{self.sign('preferences', payload)}"
