"""What the use cases need from the world, each as small as its users allow.

The real ones are in ``adapters`` and ``channels``, the fakes in ``tests``; one contract suite holds
both to this page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dispatcher.delivery.doorbells import Doorbell
    from dispatcher.delivery.outcomes import Outcome
    from dispatcher.delivery.protocol import Change, Key, Write
    from dispatcher.delivery.rows import Delivery, Item
    from dispatcher.integrations.integration import Address, Config


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Return the seconds since 1970, to the millisecond."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow, for measuring how long something took."""

    def pause(self, seconds: float) -> None:
        """Wait before a call is tried again."""


class IdGenerator(Protocol):
    """Where randomness comes from."""

    def delivery_id(self, now: float) -> str:
        """Return a fresh UUIDv7: ids made later sort later."""

    def token(self) -> str:
        """Return a fresh random token: the owner of a claim, the author of a write."""

    def random(self, count: int) -> bytes:
        """Return ``count`` random bytes, fit for secrets."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a listing, and the sort key to go on after (``None``: that was all)."""

    rows: tuple[Item, ...]
    after: str | None


class Deliveries(Protocol):
    """The table of requests, deliveries and mailboxes. Every read is consistent but for ``due``.

    Any call may raise ``UnavailableError``: the effect may then have happened or not.
    """

    def get(self, key: Key) -> Item | None:
        """Return one row."""

    def apply(self, key: Key, change: Change) -> Item:
        """Change one row if its conditions hold and return it as it is then.

        Else raise ``ConditionFailed``.
        """

    def commit(self, writes: Sequence[Write]) -> None:
        """Do all writes or none (at most 100).

        ``ConditionFailed`` says whose conditions did not hold.
        """

    def remove(self, key: Key) -> Item | None:
        """Remove one row and return it; ``None`` if there is none."""

    def listing(
        self,
        user_id: str,
        prefix: str,
        *,
        limit: int,
        newest_first: bool,
        after: str | None = None,
        equal: Mapping[str, str] | None = None,
        without: tuple[str, ...] = (),
        now: float,
    ) -> Page:
        """Return rows of one user whose sort key begins with ``prefix``, in key order.

        ``equal`` filters (a page may then be short and still have more behind it), ``without``
        names attributes that the caller does not need, and rows whose ``ttl`` lies before ``now``
        are left out.
        """

    def skip(self, user_id: str, prefix: str, count: int) -> str | None:
        """Return the sort key to go on after, past the ``count`` newest; ``None``: none is left."""

    def due(self, shard: int, now: float) -> Iterator[Item]:
        """Yield what the sweep index shows as due in one shard, oldest first.

        It may be a little behind the rows.
        """


class Doorbells(Protocol):
    """The queues. A ring may be lost or doubled: the rows are the truth."""

    def ring(self, doorbell: Doorbell, *, delay: int = 0) -> None:
        """Ring for a first try, after ``delay`` seconds (0-900)."""

    def ring_retry(self, doorbell: Doorbell, *, delay: int = 0) -> None:
        """Ring on the queue of retries, so that they never hold up first tries."""

    def leave_ticket(self, ticket: Doorbell) -> None:
        """Put a ticket for a fresh round into the dead-letter queue."""

    def park(self, body: str, *, reason: str, source: str) -> None:
        """Put a message that nobody can read aside for a person."""


class Outcomes(Protocol):
    """Whoever wants to hear how deliveries end."""

    def tell(self, ended: Delivery) -> None:
        """Tell of a delivery that has ended; ``UnavailableError`` if that may have failed."""


class EventLog(Protocol):
    """The log: one wide line per thing that happened."""

    def begin(self, context: object, **ids: object) -> None:
        """Name an invocation in every line from here on; ``context`` is what Lambda hands over."""

    def emit(self, event: str, **fields: object) -> None:
        """Write one line; ``event`` is one of the names catalogued in ``docs/operations.md``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a channel is asked to deliver.

    Text with its variables filled in, the config with its secrets in place.
    """

    delivery_id: str
    request_id: str
    session_id: str | None
    agent_id: str | None
    user_id: str
    integration_type: str
    subject: str | None
    content: str
    config: Config
    secrets: Config
    address: Address
    round: int
    attempt: int
    """Counts the tries of this round from 1, those without a known outcome included."""
    accepted_at: float
    attempted_at: float


class Channel(Protocol):
    """Delivers over one integration.

    Sends at most once per call and never raises for a receiver's fault.
    """

    def deliver(self, message: Message) -> Outcome:
        """Send the message and say what came of it."""


class Watchdog(Protocol):
    """Bounds the wall-clock time of an attempt."""

    def within(self, seconds: float, work: Callable[[], Outcome]) -> Outcome | None:
        """Return what ``work`` returns, or ``None`` once ``seconds`` have passed."""
