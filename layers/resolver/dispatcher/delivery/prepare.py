"""Gathers what a send needs, or says what becomes of the delivery without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatcher.configuration.resolution import NOT_CONFIGURED, Secrets, resolved
from dispatcher.delivery.outcomes import Retry
from dispatcher.delivery.ports import Message
from dispatcher.delivery.protocol import Ending
from dispatcher.delivery.rows import REQUEST, Delivery, Item, Status
from dispatcher.errors import SealedError
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Recipient

if TYPE_CHECKING:
    from dispatcher.configuration.ports import Vault
    from dispatcher.configuration.resolution import UserOverrides
    from dispatcher.delivery.moving import Mover

FRESH = 10.0
"""Seconds that one reading of a user's overrides serves."""


class Desk:
    """What one doorbell's answer has read of its user so far."""

    def __init__(self, mover: Mover, vault: Vault, user_id: str) -> None:
        self._mover = mover
        self._vault = vault
        self._user_id = user_id
        self._read_at = 0.0
        self._requests: dict[str, Item | None] = {}
        self.overrides: UserOverrides | None = None
        """The reading that was sent with last, however old."""

    def request(self, request_id: str) -> Item | None:
        """Return a request's row, read once."""
        if request_id not in self._requests:
            self._requests[request_id] = self._mover.deliveries.get(
                (self._user_id, REQUEST + request_id)
            )
        return self._requests[request_id]

    def prepare(self, row: Delivery) -> Message | Retry | Ending:
        """Return the message to send, the attempt's outcome, or how the delivery ends."""
        request = self.request(row.request_id)
        if request is None or request["fingerprint"] != row.fingerprint:
            return Ending(
                status=Status.FAILED,
                code="content_expired",
                message="the message is no longer kept",
            )
        if row.expires_at is not None and self._mover.clock.now() > row.expires_at:
            return Ending(status=Status.FAILED, code="expired", message="expires_at has passed")
        name = row.integration_type
        default = self._mover.system_defaults()[name]
        integration = catalogue()[name]
        override = self._fresh_overrides().by_type.get(name)
        configuration, reason = resolved(default, override)
        if reason and not row.forced:
            return Ending(
                status=Status.SKIPPED,
                code=reason,
                message=f"{name} is no longer used for this user: {reason}",
            )
        if not default.configured:
            return Ending(
                status=Status.FAILED,
                code=NOT_CONFIGURED,
                message=f"{name} is not configured on this system",
            )
        sealed = override.sealed if override else ()
        try:
            secrets = Secrets.of(self._vault.open(row.user_id, name, sealed) if sealed else {})
        except SealedError:
            # Never sent without its secrets; a key that stays denied uses up the budget and shows
            # in the history.
            return Retry("secret_unavailable", "the secrets of the override could not be decrypted")
        config = configuration.config
        if integration.secrets:
            config = integration.secrets.reveal(config, secrets.config)
        address = integration.address(
            config, Recipient(**request["recipient"]), row.user_id, self._mover.environ
        )
        if address is None:
            hint = f"no address is known: set config.{integration.address_key}"
            return Ending(status=Status.FAILED, code="no_address", message=hint)
        return Message(
            delivery_id=row.delivery_id,
            request_id=row.request_id,
            session_id=row.session_id,
            agent_id=request["agent_id"],
            user_id=row.user_id,
            integration_type=name,
            subject=request["subject"],
            content=request["content"],
            config=config,
            secrets=secrets.issued,
            address=address,
            round=row.round,
            attempt=row.tries,
            accepted_at=row.created_at,
            attempted_at=self._mover.clock.now(),
        )

    def _fresh_overrides(self) -> UserOverrides:
        """Return the user's overrides, read anew once the last reading is no longer fresh."""
        now = self._mover.clock.monotonic()
        if self.overrides is None or now - self._read_at > FRESH:
            self.overrides = self._mover.overrides.get(self._user_id)
            self._read_at = now
        return self.overrides
