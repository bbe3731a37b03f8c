"""Suppressed addresses: where nothing is sent any more, because a provider said so.

The functions are pure. The use case reads and changes the user's row.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from dispatcher.configuration.rows import Suppression
from dispatcher.errors import ConditionFailed, NotFoundError, UnavailableError
from dispatcher.integrations import catalogue
from dispatcher.responses import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dispatcher.configuration.ports import Clock, IdGenerator, Overrides
    from dispatcher.configuration.rows import UserOverrides
    from dispatcher.integrations.integration import Config, Recipient
    from dispatcher.responses import ListSuppressionsResponse, SuppressionResponse

MOST = 20
"""Suppressions that a user's row holds; the oldest goes."""

WRITE_TRIES = 10
"""Times that a change is computed, each time on the row that another writer left."""

REASONS: Mapping[str, str] = {
    "bounced": "address_bounced",
    "complained": "address_complained",
    "opted_out": "opted_out",
}
"""The reason that a delivery to the address is skipped, by the suppression's state."""


def suppression_id(integration_type: str, address: str) -> str:
    """Return the ID of an address's suppression, the same however the address is written."""
    return f"{integration_type}-{sha256(_normal(address).encode()).hexdigest()[:16]}"


def shown(address: str) -> str:
    """Return an address as people may see it: ``a•••@example.com``, ``+14•••71``."""
    name, at, domain = address.rpartition("@")
    if at:
        return f"{name[:1]}•••@{domain}"
    return f"{address[:3]}•••{address[-2:]}"


def suppression_of(
    suppressions: Mapping[str, Suppression], integration_type: str, address: str
) -> Suppression | None:
    """Return the suppression of an address; ``None`` if messages may go there."""
    # Most users have none: their addresses are not hashed.
    return suppressions.get(suppression_id(integration_type, address)) if suppressions else None


def suppression_now(
    stored: UserOverrides,
    integration_type: str,
    config: Config,
    recipient: Recipient,
    user_id: str,
    environ: Mapping[str, str],
) -> Suppression | None:
    """Return the suppression of the address that a message would go to; ``None`` without one."""
    if not stored.suppressions:
        return None
    address = catalogue()[integration_type].address(config, recipient, user_id, environ)
    if address is None:
        return None
    return suppression_of(stored.suppressions, integration_type, address.value)


def with_suppression(
    known: Mapping[str, Suppression], identity: str, new: Suppression
) -> Mapping[str, Suppression]:
    """Return the suppressions with a new one, of the same address the latest, at most 20.

    The order in which several are added does not matter, and neither does adding one again.
    """
    latest = max(known.get(identity, new), new, key=lambda one: (one.at, one.state, one.detail))
    ranked = sorted({**known, identity: latest}.items(), key=lambda item: (item[1].at, item[0]))
    return dict(ranked[-MOST:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressions:
    """The suppressed addresses of users."""

    overrides: Overrides
    clock: Clock
    id_generator: IdGenerator

    def add(
        self,
        user_id: str,
        integration_type: str,
        address: str,
        *,
        state: str,
        at: float,
        delivery_id: str,
        detail: str,
    ) -> bool:
        """Suppress an address; return whether that changed anything.

        Raises ``UnavailableError`` if other writers keep changing the row.
        """
        identity = suppression_id(integration_type, address)
        new = Suppression(state, at, delivery_id, detail, shown(address))
        return self._change(user_id, lambda stored: with_suppression(stored, identity, new))

    def list(self, user_id: str) -> ListSuppressionsResponse:
        """Return the user's suppressions, newest first."""
        stored = self.overrides.get(user_id).suppressions
        newest_first = sorted(stored.items(), key=lambda item: (-item[1].at, item[0]))
        return {
            "user_id": user_id,
            "suppressions": [_response(identity, one) for identity, one in newest_first],
        }

    def remove(self, user_id: str, suppression_id: str) -> None:
        """Remove a suppression, so that messages go to the address again.

        Raises ``NotFoundError`` if there is none, and ``UnavailableError`` if other writers keep
        changing the row.
        """

        def left(stored: Mapping[str, Suppression]) -> Mapping[str, Suppression]:
            if suppression_id not in stored:
                message = (
                    f"User {user_id} has no suppression {suppression_id}; "
                    f"GET /api/v1/users/{user_id}/suppressions lists those that exist."
                )
                raise NotFoundError(message)
            return {identity: one for identity, one in stored.items() if identity != suppression_id}

        self._change(user_id, left)

    def _change(
        self,
        user_id: str,
        change: Callable[[Mapping[str, Suppression]], Mapping[str, Suppression]],
    ) -> bool:
        """Store changed suppressions; return whether they differ from those before."""
        for _ in range(WRITE_TRIES):
            stored = self.overrides.get(user_id)
            changed = change(stored.suppressions)
            if changed == stored.suppressions:
                return False
            try:
                self.overrides.set_suppressions(
                    user_id,
                    changed,
                    stored=stored,
                    now=self.clock.now(),
                    token=self.id_generator.token(),
                )
            except ConditionFailed:
                continue
            return True
        raise _contended(user_id)


def _contended(user_id: str) -> UnavailableError:
    return UnavailableError(f"the row of user {user_id} is being changed by others")


def _normal(address: str) -> str:
    """Return an address in the form that providers report: lower case, its domain in ASCII."""
    lowered = address.lower()
    if lowered.isascii():
        return lowered
    import idna

    name, at, domain = lowered.rpartition("@")
    try:
        return f"{name}{at}{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:
        return lowered


def _response(identity: str, one: Suppression) -> SuppressionResponse:
    return {
        "suppression_id": identity,
        "integration_type": identity.partition("-")[0],
        "state": one.state,
        "address": one.shown,
        "at": rfc3339(one.at),
        "delivery_id": one.delivery_id,
        "detail": one.detail,
    }
