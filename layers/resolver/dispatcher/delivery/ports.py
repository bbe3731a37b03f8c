"""Ports of delivery, each as small as its users allow.

Adapters and channels implement them, and ``tests/fakes.py`` in memory. For the stores, one contract
suite runs against both (``tests/adapters/test_deliveries.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dispatcher.configuration.rows import UserOverrides
    from dispatcher.delivery.doorbells import DeadLetter, Doorbell
    from dispatcher.delivery.outcomes import Outcome
    from dispatcher.delivery.rows import MessageRow, RequestRow
    from dispatcher.events import EventName
    from dispatcher.integrations.integration import Address, Config
    from dispatcher.strict_json import JsonObject


Result = TypeVar("Result")


class Clock(Protocol):
    """The source of the current time."""

    def now(self) -> float:
        """Return the seconds since 1970, to the millisecond."""

    def monotonic(self) -> float:
        """Return the seconds of a monotonic clock, to measure durations."""

    def pause(self, seconds: float) -> None:
        """Wait before a call is repeated."""


class IdGenerator(Protocol):
    """The source of IDs and random bytes."""

    def message_id(self, now: float) -> str:
        """Return a fresh UUIDv7 whose last two digits are 00: IDs made later sort later."""

    def token(self) -> str:
        """Return a fresh token: the owner of a claim, the caller that opens a round."""

    def rev(self) -> bytes:
        """Return 8 random bytes: the revision of one computed row."""


class VisitRead(NamedTuple):
    """The result of one consistent read for a doorbell."""

    message: MessageRow | None
    request: RequestRow | None
    overrides: UserOverrides


class MessageStore(Protocol):
    """The message rows. Every read is consistent except ``overdue``.

    Any call may raise ``UnavailableError``: the effect may then have happened or not.
    """

    def message(self, user_id: str, message_id: str) -> MessageRow | None:
        """Return one row."""

    def visit(self, user_id: str, message_id: str, request_id: str | None) -> VisitRead:
        """Return a message row, its request and the user's overrides with one call.

        Without ``request_id`` the request is left out.
        """

    def pending(self, user_id: str, *, pages: int) -> tuple[tuple[MessageRow, ...], bool]:
        """Return a user's messages in which something is pending, newest first.

        From up to ``pages`` pages of 1 MB; the second value tells whether these were all.
        """

    def between(
        self, user_id: str, first: str, last: str, *, limit: int
    ) -> tuple[tuple[MessageRow, ...], str | None]:
        """Return up to ``limit`` of a user's messages of one query, oldest first.

        Their IDs lie between the two texts. The second value is the ID at which the query stopped,
        ``None`` at the end.
        """

    def create(self, row: MessageRow) -> None:
        """Write a new row; if the row exists, nothing changes."""

    def write(self, row: MessageRow, *, on: bytes) -> MessageRow | None:
        """Write the successor of the row whose ``rev`` is ``on``.

        Returns the row as stored now: ``row`` itself, or the row that refused the write (``None``
        if it is gone).
        """

    def overdue(self, shard: int, now: float) -> Iterator[tuple[str, str]]:
        """Yield user and message ID of the rows of a shard whose ``sweep_at`` has come.

        Oldest first, a page at a time; the index may lag behind the rows.
        """


class Doorbells(Protocol):
    """The queues. A ring may be lost or doubled: the rows are the source of truth."""

    def ring_first(self, doorbell: Doorbell, *, delay: int = 0) -> None:
        """Ring for a new message, after ``delay`` seconds (0-900)."""

    def ring(self, doorbell: Doorbell, *, delay: int = 0) -> None:
        """Ring on the queue of retries, so that retries never hold up new messages."""

    def send_dead_letter(self, dead_letter: DeadLetter) -> None:
        """Put a dead letter into the dead-letter queue."""

    def park(self, body: str, *, reason: str, source: str) -> None:
        """Put an unreadable queue message aside for an operator."""


class OutcomePublisher(Protocol):
    """Publishes how deliveries end."""

    def publish(self, row: MessageRow, place: int) -> None:
        """Publish the end of a delivery; ``UnavailableError`` if that may have failed."""


class EventLog(Protocol):
    """The log: one wide line per event."""

    def begin(self, context: object, **ids: object) -> None:
        """Name an invocation in every line from here on; ``context`` is Lambda's."""

    def emit(self, event: EventName, **fields: object) -> None:
        """Write one line."""


class Sign(Protocol):
    """Makes the token of a link."""

    def __call__(self, purpose: Literal["unsubscribe", "preferences"], payload: JsonObject) -> str:
        """Sign the payload for the purpose; ``UnavailableError`` if the key cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailLinks:
    """The category of an email, and the links that its reader can use."""

    category: str
    title: str
    unsubscribe_url: str | None
    """Ends the category by email; ``None`` for a locked category."""
    preferences_url: str | None
    """Where the user changes preferences; ``None`` if there is no such page."""
    footer: bool
    """Whether the email ends with the links, too; its headers always have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The content that a channel delivers: text with its variables, config with its secrets."""

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
    """Counts the claims of this round from 1, including those without a known outcome."""
    accepted_at: float
    attempted_at: float
    expires_at: float | None = None
    links: MailLinks | None = None
    """For EMAIL: ``None`` for a message without a category."""

    @property
    def shows_agent(self) -> bool:
        """Whether the message names the agent that sent it."""
        return bool(self.config.get("include_agent_info", True))


class Channel(Protocol):
    """Delivers over one integration.

    Sends at most once per call and never raises for a receiver's fault.
    """

    def deliver(self, message: Message) -> Outcome:
        """Send the message and return the outcome."""


if TYPE_CHECKING:
    Render = Callable[[Message], Callable[[], Outcome]]
    """``render`` of a channel whose messages take the processor some time to write.

    It renders the message, sends nothing, and returns what sends it once, as ``deliver`` does. The
    worker calls it before the attempt's clock starts, for one message at a time.
    """


class Watchdog(Protocol):
    """Bounds the wall-clock time of an attempt, or of a rendering."""

    def within(self, seconds: float, work: Callable[[], Result]) -> Result | None:
        """Return what ``work`` returns, or ``None`` once ``seconds`` have passed."""
