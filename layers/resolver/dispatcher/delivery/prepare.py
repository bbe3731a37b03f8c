"""Builds the message for an attempt, or ends the delivery without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dispatcher.configuration.resolution import DISABLED_AFTER_FAILURES, NOT_CONFIGURED
from dispatcher.configuration.rows import Secrets
from dispatcher.configuration.selection import wanted_now
from dispatcher.configuration.suppressions import REASONS, suppression_now
from dispatcher.delivery.outcomes import Retry
from dispatcher.delivery.ports import Message
from dispatcher.delivery.rows import Status
from dispatcher.delivery.transitions import Ending, Held
from dispatcher.errors import BrokenSettingError, SealedError, UnavailableError
from dispatcher.integrations import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dispatcher.configuration.categories import PolicyCache
    from dispatcher.configuration.ports import Overrides, Vault
    from dispatcher.configuration.resolution import Configuration, SystemDefaults
    from dispatcher.configuration.rows import Category, UserOverrides
    from dispatcher.delivery.holds import Holds
    from dispatcher.delivery.mail_links import MailLinkWriter
    from dispatcher.delivery.ports import Clock, MailLinks
    from dispatcher.delivery.rows import Delivery, MessageRow, RequestRow
    from dispatcher.integrations.integration import Recipient

FRESH = 10.0
"""Seconds for which one read of a user's overrides is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageBuilder:
    """Reads the parts that may change until an attempt: enabled, config, address and secrets."""

    environ: Mapping[str, str]
    system_defaults: Callable[[], SystemDefaults]
    overrides: Overrides
    vault: Vault
    clock: Clock
    categories: PolicyCache
    holds: Holds
    mail_links: Callable[[], MailLinkWriter]
    """Called only for an email of a category."""

    def category(self, row: MessageRow) -> Category | None:
        """Return the category of a message as it is now; raises ``UnavailableError``."""
        return None if row.category is None else self.categories.category(row.category)

    def build(
        self, row: MessageRow, request: RequestRow | None, overrides: FreshOverrides
    ) -> Message | Retry | Ending | Held:
        """Return the message to send, or the outcome, end or hold of the delivery.

        Raises ``UnavailableError`` if something cannot be read now.
        """
        place = row.current or 0
        delivery = row.deliveries[place]
        # A later request may use the same request_id after this one expired: other content [20].
        if request is None or request.message_id != row.message_id:
            return Ending(Status.FAILED, "content_expired", "the content is no longer stored")
        if row.expires_at is not None and self.clock.now() > row.expires_at:
            return Ending(Status.FAILED, "expired", "expires_at has passed")
        integration = catalogue()[delivery.type]
        stored = overrides.read()
        override = stored.by_type.get(delivery.type)
        configuration, obstacle = self._obstacle(row, delivery, stored, request.recipient)
        if obstacle is not None:
            return obstacle
        sealed = override.sealed if override else ()
        try:
            secrets = Secrets.of(
                self.vault.open(row.user_id, delivery.type, sealed) if sealed else {}
            )
        except SealedError:
            # Without its secrets the message is not sent. If the key stays denied, the attempts
            # use up the budget and appear in the history.
            return Retry("secret_unavailable", "the secrets of the override could not be decrypted")
        config = configuration.config
        if integration.secrets:
            config = integration.secrets.reveal(config, secrets.config)
        address = integration.address(config, request.recipient, row.user_id, self.environ)
        if address is None:
            message = f"no address is known: set config.{integration.address_key}"
            return Ending(Status.FAILED, "no_address", message)
        try:
            links = self._links(row, delivery)
        except (UnavailableError, BrokenSettingError) as error:
            # Never sent without the links that laws and mailbox providers require.
            return Retry("links_unavailable", str(error))
        return Message(
            delivery_id=row.delivery_id(place),
            request_id=row.request_id,
            session_id=row.session_id,
            agent_id=request.agent_id,
            user_id=row.user_id,
            integration_type=delivery.type,
            subject=request.subject,
            content=request.content,
            config=config,
            secrets=secrets.issued,
            address=address,
            round=delivery.round,
            attempt=delivery.tries,
            accepted_at=row.created_at,
            attempted_at=self.clock.now(),
            expires_at=row.expires_at,
            links=links,
        )

    def _links(self, row: MessageRow, delivery: Delivery) -> MailLinks | None:
        category = self.category(row) if delivery.type == "EMAIL" else None
        return None if category is None else self.mail_links().links(row, category)

    def _obstacle(
        self, row: MessageRow, delivery: Delivery, stored: UserOverrides, recipient: Recipient
    ) -> tuple[Configuration, Ending | Held | None]:
        """Return the settings of a delivery, and why it is not sent now by these preferences."""
        name, default = delivery.type, self.system_defaults()[delivery.type]
        configuration, reason = wanted_now(
            default, stored, name, self.category(row), locked=row.locked
        )
        if reason == DISABLED_AFTER_FAILURES and not row.forced:
            # Failed, with a dead letter: the message is still wanted.
            message = f"the receiver of {name} failed for days"
            return configuration, Ending(Status.FAILED, reason, message)
        if reason and not row.forced:
            message = f"{name} is no longer used for this user: {reason}"
            return configuration, Ending(Status.SKIPPED, reason, message)
        if not default.configured:
            message = f"{name} is not configured on this system"
            return configuration, Ending(Status.FAILED, NOT_CONFIGURED, message)
        suppression = suppression_now(
            stored, name, configuration.config, recipient, row.user_id, self.environ
        )
        if suppression is not None:
            # Before the hold: the next delivery of a first_success message need not wait for it.
            message = f"{suppression.shown} is suppressed: {suppression.state}"
            return configuration, Ending(Status.SKIPPED, REASONS[suppression.state], message)
        opens = self.holds.opens(stored, row.user_id)
        opening = opens(row, delivery, self.clock.now()) if opens else None
        if opening is not None and opening.reason is not None:
            return configuration, Held(opening)
        return configuration, None


@dataclass(slots=True)
class FreshOverrides:
    """A user's overrides within one visit, read again if the last read is too old."""

    builder: MessageBuilder
    user_id: str
    latest: UserOverrides
    read_at: float
    """By the monotonic clock."""

    def read(self) -> UserOverrides:
        """Return the overrides, at most 10 s old."""
        now = self.builder.clock.monotonic()
        return self.read_again() if now - self.read_at > FRESH else self.latest

    def read_again(self) -> UserOverrides:
        """Return the overrides as they are now."""
        # The time before the read, so that the age is never underestimated.
        now = self.builder.clock.monotonic()
        self.latest = self.builder.overrides.get(self.user_id)
        self.read_at = now
        return self.latest
