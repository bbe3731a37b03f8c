"""Ports of configuration: the table of overrides, the vault, the probes and others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dispatcher.configuration.rows import (
        Override,
        Policy,
        Preferences,
        Suppression,
        UserOverrides,
    )
    from dispatcher.events import EventName
    from dispatcher.strict_json import JsonObject


class Clock(Protocol):
    """The source of the current time."""

    def now(self) -> float:
        """Return the seconds since 1970, to the millisecond."""

    def monotonic(self) -> float:
        """Return the seconds of a monotonic clock, to measure durations."""


class IdGenerator(Protocol):
    """The source of IDs and random bytes."""

    def token(self) -> str:
        """Return a fresh random token: the author of a write."""

    def random(self, count: int) -> bytes:
        """Return ``count`` random bytes that are safe for secrets."""


class Overrides(Protocol):
    """The table of overrides: one row per user who has any. Reads are consistent."""

    def get(self, user_id: str) -> UserOverrides:
        """Return the user's overrides, none for a user without a row."""

    def create(
        self, user_id: str, integration_type: str, override: Override, *, now: float, token: str
    ) -> None:
        """Add an override; ``ConditionFailed`` if one exists."""

    def replace(
        self, user_id: str, integration_type: str, override: Override, *, version: int, token: str
    ) -> None:
        """Replace the override that was read at ``version``.

        Raise ``ConditionFailed`` if the row has changed.
        """

    def delete(self, user_id: str, integration_type: str, *, token: str) -> Override | None:
        """Remove an override, and the row with the last one; ``ConditionFailed`` if missing.

        Return the override; ``None`` if it is unknown, because a response was lost.
        """

    def clear(self, user_id: str, *, token: str) -> Mapping[str, Override]:
        """Remove the user's overrides and return them; all else stays."""

    def set_preferences(
        self, user_id: str, preferences: Preferences, *, version: int, now: float, token: str
    ) -> int:
        """Store preferences beside the overrides that were read at ``version``, 0 without a row.

        Return the row's new version; raise ``ConditionFailed`` if the row has changed.
        """

    def delete_preferences(self, user_id: str, *, token: str, version: int | None = None) -> bool:
        """Remove the preferences, and the row with its last part; return whether any existed.

        With ``version``, raise ``ConditionFailed`` if the row has changed since that version.
        """

    def set_suppressions(
        self,
        user_id: str,
        suppressions: Mapping[str, Suppression],
        *,
        stored: UserOverrides,
        now: float,
        token: str,
    ) -> None:
        """Replace the suppressions of the row that was read as ``stored``; all else stays.

        The row goes with its last part. ``ConditionFailed`` if the row has changed.
        """


class Rescheduled(NamedTuple):
    """The number of held deliveries that a change of preferences moved."""

    deliveries: int
    complete: bool
    """Whether all were considered; otherwise some deliveries keep their old time."""


class Replanner(Protocol):
    """Moves a user's held deliveries."""

    def replan(self, user_id: str) -> Rescheduled:
        """Plan a user's held deliveries by the preferences and pauses that are stored now.

        Never raises ``UnavailableError``: the change is stored already.
        """


class EventLog(Protocol):
    """The log: one wide line per event."""

    def emit(self, event: EventName, **fields: object) -> None:
        """Write one line."""


class ChangePublisher(Protocol):
    """Publishes changes of preferences."""

    def publish_change(self, change: Mapping[str, str | Sequence[str] | None]) -> None:
        """Publish a change; ``UnavailableError`` if that may have failed."""


class IntegrationPublisher(Protocol):
    """Publishes that a user's integration is paused, disabled, or works again."""

    def publish_integration(self, name: str, change: Mapping[str, str | None]) -> None:
        """Publish an event with this name; ``UnavailableError`` if that may have failed."""


class Policies(Protocol):
    """The categories of all users, which operators change."""

    def read(self, *, consistent: bool) -> Policy:
        """Return the categories, none if none was ever defined."""

    def write(self, policy: Policy, *, version: int, token: str) -> Policy:
        """Replace the categories that were read at ``version``; return them with the new version.

        Raise ``ConditionFailed`` if they have changed.
        """


class Vault(Protocol):
    """Encrypts the secrets of one override, bound to its user and integration type."""

    def seal(self, user_id: str, integration_type: str, secrets: JsonObject) -> tuple[bytes, ...]:
        """Encrypt a JSON object."""

    def open(self, user_id: str, integration_type: str, sealed: tuple[bytes, ...]) -> JsonObject:
        """Decrypt the chunks of ``seal``.

        Raise ``SealedError`` if the key refuses permanently.
        """


class Probes(Protocol):
    """Checks whether the service's dependencies and the integrations' providers respond."""

    def all_within(self, seconds: float, integrations: Iterable[str]) -> Mapping[str, str | None]:
        """Run all probes in parallel, each for at most ``seconds``.

        Return the problem by name, ``None`` for a successful probe. An integration without a shared
        provider is omitted.
        """


class Depth(NamedTuple):
    """The approximate numbers of a queue's messages."""

    visible: int
    delayed: int
    in_flight: int


class HourMetrics(NamedTuple):
    """The metrics of the last hour."""

    accepted: int
    oldest_due_seconds: float | None
    ended: Mapping[tuple[str, str], int]
    """By metric and integration type."""


class Numbers(Protocol):
    """Reads queues and metrics; every call may raise ``UnavailableError``."""

    def depth(self, url: str) -> Depth:
        """Return the approximate depth of a queue."""

    def last_hour(self, now: float, ends: Sequence[str], names: Sequence[str]) -> HourMetrics:
        """Return the metrics until ``now``: those of ``ends`` for each integration of ``names``."""


class SideBySide(Protocol):
    """Runs reads at the same time."""

    def __call__(self, reads: Sequence[Callable[[], object]]) -> Sequence[object]:
        """Return the result of each, in order."""
