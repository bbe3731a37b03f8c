"""The shapes of the responses about preferences and categories.

They are not in ``responses``, which every cold start reads: no function reads this module at all.
The API's document is generated from both.
"""

# No "from __future__ import annotations": see ``responses``.

from typing import Any

from typing_extensions import TypedDict

from dispatcher.responses import (
    DeliveryStatus,
    Hold,
    IntegrationType,
    SkippedIntegration,
    SkipReason,
    Timestamp,
)


class CategoryResponse(TypedDict):
    """A category of messages, as operators defined it."""

    category: str
    """The name of the category."""
    title: str
    """The title that users see."""
    description: str
    """The description that users see."""
    group: str
    """The heading under which the category is listed."""
    order: int
    """The place in the list; categories with equal places are listed by name."""
    enabled: bool
    """Whether messages are delivered to users without a choice; false makes it opt-in."""
    integrations: dict[str, bool]
    """Whether messages are delivered over an integration, for users without a choice."""
    locked: bool
    """Whether users cannot disable the category."""
    reach_by: list[IntegrationType]
    """The integrations of which one is used if no other reaches the user, in order."""
    urgent: bool
    """Whether hours and mutes do not apply."""


class CategoriesResponse(TypedDict):
    """All categories."""

    categories: list[CategoryResponse]
    """The categories by `order`, then by name."""
    version: int
    """The version of the list; every change increases it."""


class HoursSettings(TypedDict, total=False):
    """The hours that a user has set."""

    windows: list[dict[str, Any]]
    """The weekly windows in which the user may be disturbed, each with `days`, `from` and `to`."""
    integrations: list[str]
    """The integrations that wait for a window."""


class CategoryChoiceSettings(TypedDict, total=False):
    """The fields that a user has set for one category."""

    enabled: bool
    """Whether messages of the category are delivered."""
    integrations: dict[str, bool]
    """Whether messages of the category are delivered over an integration."""


class TimeZoneInEffect(TypedDict):
    """The time zone of a user's hours."""

    value: str
    """The name of the zone."""
    source: str
    """The origin of the value: `user` or `default`."""


class IntegrationInEffect(TypedDict):
    """Whether messages are delivered to the user over one integration."""

    enabled: bool
    """Whether a message would be delivered over the integration now."""
    reason: SkipReason | None
    """The reason why it would not."""
    changeable: bool
    """Whether a change of the user's preferences can have an effect."""


class WithoutCategory(TypedDict):
    """The rules that apply to messages without a category."""

    integrations: dict[str, IntegrationInEffect]
    """The state of each integration, by its type."""


class CategoryInEffect(TypedDict):
    """The rules that apply to messages of one category."""

    category: str
    """The name of the category."""
    title: str
    """The title that users see."""
    description: str
    """The description that users see."""
    group: str
    """The heading under which the category is listed."""
    locked: bool
    """Whether users cannot disable the category."""
    urgent: bool
    """Whether hours and mutes do not apply."""
    enabled: bool
    """Whether the category is enabled for the user."""
    ignored: list[str]
    """The user's settings that have no effect because the category is locked."""
    integrations: dict[str, IntegrationInEffect]
    """The state of each integration, by its type."""


class PreferencesInEffect(TypedDict):
    """The current result of a user's preferences, the categories and the defaults."""

    time_zone: TimeZoneInEffect
    """The time zone of the hours."""
    open_now: bool
    """Whether the user may be disturbed now."""
    next_open_at: Timestamp | None
    """The time from which the user may be disturbed; null if it is now."""
    without_category: WithoutCategory
    """The rules that apply to messages without a category."""
    categories: list[CategoryInEffect]
    """The rules that apply to messages of each category, in the order of the categories."""


class PreferencesResponse(TypedDict):
    """A user's preferences, and what results from them."""

    user_id: str
    """The user."""
    time_zone: str | None
    """The name of the user's time zone."""
    language: str | None
    """The user's language tag."""
    hours: HoursSettings | None
    """The hours in which the user may be disturbed."""
    muted_until: Timestamp | None
    """The time until which the user is not disturbed."""
    categories: dict[str, CategoryChoiceSettings] | None
    """The user's choices by category."""
    version: str
    """The tag of the stored preferences, which `ETag` carries too."""
    updated_at: Timestamp | None
    """The time of the last change."""
    updated_via: str | None
    """The origin of the last change: `api`, `link` or `unsubscribe`."""
    effective: PreferencesInEffect
    """The result of the preferences."""


class RescheduledDeliveries(TypedDict):
    """The held deliveries that a change of preferences moved."""

    deliveries: int
    """The number of deliveries that got another time."""
    complete: bool
    """Whether all held deliveries were considered; the others keep their times."""


class ChangedPreferencesResponse(PreferencesResponse):
    """The preferences after a change."""

    rescheduled: RescheduledDeliveries
    """The held deliveries that the change moved."""


class PlannedDeliveryResponse(TypedDict):
    """A delivery that a message would have."""

    integration_type: IntegrationType
    """The integration that delivers."""
    priority: int
    """The place in the delivery order; 1 is delivered first."""
    status: DeliveryStatus
    """The state at acceptance: `pending`."""
    locked: bool
    """Whether the integration is used only because the category is locked."""
    held: Hold | None
    """The hold of the delivery at acceptance."""


class PreviewResponse(TypedDict):
    """The response that a send would get now, without IDs."""

    user_id: str
    """The user's ID."""
    category: str | None
    """The category that the message belongs to."""
    deliveries: list[PlannedDeliveryResponse]
    """The deliveries, in delivery order."""
    skipped: list[SkippedIntegration]
    """The integrations that get no delivery, each with the reason."""
