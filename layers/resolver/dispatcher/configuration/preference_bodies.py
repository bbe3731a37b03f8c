"""The request bodies that change a user's preferences and define categories."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from dispatcher.configuration.bodies import IntegrationType  # noqa: TC001 - pydantic reads it
from dispatcher.configuration.hours import DAYS, minute_of, window_of, zone_names
from dispatcher.configuration.rows import Category
from dispatcher.configuration.selection import REACHING
from dispatcher.errors import FieldError, InvalidInputError, json_pointer
from dispatcher.identifiers import CATEGORY, CATEGORY_RULE
from dispatcher.integrations import catalogue, read_type
from dispatcher.integrations.rules import within
from dispatcher.ranges import Range
from dispatcher.strict_json import JsonObject  # noqa: TC001 - pydantic reads it
from dispatcher.validation import Strict, Time, distinct, read

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_MUTE = 30 * 86_400
"""Seconds that ``muted_until`` may lie ahead."""

MOST_WINDOWS = 14

SHORTEST_WINDOW = 15
"""Minutes of a window, so that the spread over users ends inside it."""

LANGUAGE = re.compile(
    r"(?=.{1,35}$)(?:[a-z]{2,8}(?:-[a-z0-9]{1,8})*|x(?:-[a-z0-9]{1,8})+)",
    # Without ASCII, two foreign letters match as "s" and "k".
    re.ASCII | re.IGNORECASE,
)
"""The shape of a language tag (BCP 47)."""

_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")

RESERVED = "is reserved for a later version"


def _day(value: str) -> str:
    if value not in DAYS:
        raise ValueError(f"must be one of {', '.join(DAYS)}")
    return value


def _start(value: str) -> str:
    if not _CLOCK.fullmatch(value) or value == "24:00":
        raise ValueError("must be a time of day from 00:00 to 23:59, written HH:MM")
    return value


def _end(value: str) -> str:
    if not _CLOCK.fullmatch(value):
        raise ValueError("must be a time of day from 00:00 to 24:00, written HH:MM")
    return value


def _zone(value: str) -> str:
    if value not in zone_names():
        raise ValueError("must be the name of a time zone, such as Europe/Berlin")
    return value


def _language(value: str) -> str:
    if not LANGUAGE.fullmatch(value):
        raise ValueError("must be a language tag (BCP 47) of at most 35 characters, such as de-AT")
    return value


def _reserved(_value: object) -> object:
    raise ValueError(RESERVED)


def _cells(value: dict[str, bool]) -> dict[str, bool]:
    cells: dict[str, bool] = {}
    for name, enabled in value.items():
        known = read_type(name)
        if known in cells:
            raise ValueError(f"names {known} twice")
        cells[known] = enabled
    return cells


def _reaching(value: list[str]) -> list[str]:
    strangers = [name for name in value if name not in REACHING]
    if strangers:
        raise ValueError(f"must hold only SLACK, EMAIL and SMS, not {', '.join(strangers)}")
    return value


Reserved = Annotated[None, BeforeValidator(_reserved)]
"""A field of a later version: every value is refused."""

Cells = Annotated[
    dict[str, bool],
    AfterValidator(_cells),
    Field(json_schema_extra={"propertyNames": {"enum": [*catalogue()]}}),
]


class WindowBody(Strict):
    """A weekly window; one whose end is before its start runs over midnight."""

    days: Annotated[
        list[Annotated[str, AfterValidator(_day), Field(json_schema_extra={"enum": [*DAYS]})]],
        Field(min_length=1, max_length=7),
        distinct("one"),
    ]
    """The days on which the window starts."""
    start: Annotated[str, AfterValidator(_start), Field(alias="from")]
    """The local time at which the window opens, such as 08:00."""
    end: Annotated[str, AfterValidator(_end), Field(alias="to")]
    """The local time at which the window closes, such as 18:00 or 24:00."""

    @model_validator(mode="after")
    def _long_enough(self) -> WindowBody:
        if minute_of(self.start) == minute_of(self.end):
            raise ValueError("must not end when it starts; leave `windows` out to be always open")
        if window_of(self.settings()).minutes < SHORTEST_WINDOW:
            raise ValueError(f"must last at least {SHORTEST_WINDOW} minutes")
        return self

    def settings(self) -> JsonObject:
        """Return the stored form."""
        return {"days": self.days, "from": self.start, "to": self.end}


def _some_windows(values: list[WindowBody]) -> list[WindowBody]:
    if not values:
        raise ValueError("must not be empty; to hold all messages, use muted_until")
    if len(values) > MOST_WINDOWS:
        raise ValueError(f"must hold at most {MOST_WINDOWS} windows")
    return values


class HoursBody(Strict):
    """The hours in which the user may be disturbed."""

    windows: Annotated[list[WindowBody], AfterValidator(_some_windows)] | None = None
    """The weekly windows, 1 to 14; without them, the user may be disturbed at any time."""
    integrations: (
        Annotated[
            list[IntegrationType],
            Field(min_length=1, max_length=len(catalogue())),
            distinct("one"),
        ]
        | None
    ) = None
    """The integrations that wait for a window, and for the end of a mute."""
    gather: Reserved = None
    """Reserved."""

    @model_validator(mode="after")
    def _not_empty(self) -> HoursBody:
        if not self.model_fields_set:
            raise ValueError("must set windows or integrations; null removes the hours")
        return self

    def settings(self) -> JsonObject:
        """Return the stored form: the fields that were given."""
        settings: JsonObject = {}
        if self.windows is not None:
            settings["windows"] = [window.settings() for window in self.windows]
        if self.integrations is not None:
            settings["integrations"] = self.integrations
        return settings


class ChoiceBody(Strict):
    """The user's choices for one category."""

    enabled: bool | None = None
    """Whether messages of the category are delivered."""
    integrations: Cells | None = None
    """Whether messages of the category are delivered over an integration."""
    digest: Reserved = None
    """Reserved."""

    @model_validator(mode="after")
    def _not_empty(self) -> ChoiceBody:
        if "enabled" not in self.model_fields_set and not self.integrations:
            raise ValueError("must set enabled or an integration; null removes the choice")
        return self

    def settings(self) -> JsonObject:
        """Return the stored form: the fields that were given."""
        given = {"enabled": self.enabled, "integrations": self.integrations}
        return {name: value for name, value in given.items() if value is not None}


class PreferencesBody(Strict):
    """The preferences to change; an explicit null removes a field."""

    time_zone: Annotated[str, AfterValidator(_zone)] | None = None
    """The time zone of the hours, such as Europe/Berlin."""
    language: Annotated[str, AfterValidator(_language)] | None = None
    """The user's language, a BCP 47 tag such as de-AT."""
    hours: HoursBody | None = None
    """The hours in which the user may be disturbed; they are replaced as a whole."""
    muted_until: Time | None = None
    """The time until which the user is not disturbed, at most 30 days ahead."""
    categories: dict[str, ChoiceBody | None] | None = None
    """The user's choices by category; null removes one."""
    digest_at: Reserved = None
    """Reserved."""
    digest_day: Reserved = None
    """Reserved."""

    def given(self) -> JsonObject:
        """Return the named fields in their stored form, null included."""
        given: JsonObject = {}
        for name in ("time_zone", "language", "hours", "muted_until", "categories"):
            if name in self.model_fields_set:
                given[name] = getattr(self, name)
        if given.get("hours") is not None:
            given["hours"] = given["hours"].settings()
        if given.get("categories") is not None:
            given["categories"] = {
                name: None if choice is None else choice.settings()
                for name, choice in given["categories"].items()
            }
        return given


class CategoryBody(Strict):
    """A category, complete: it replaces the stored one."""

    category: str | None = None
    """The name, as in the path."""
    title: Annotated[str, Field(min_length=1, max_length=80)]
    """The title that users see."""
    description: Annotated[str, Field(max_length=400)] = ""
    """The description that users see."""
    group: Annotated[str, Field(max_length=40)] = ""
    """The heading under which the category is listed."""
    order: Annotated[int, within(Range(0, 999))] = 500
    """The place in the list."""
    enabled: bool = True
    """Whether messages are delivered to users without a choice."""
    integrations: Cells = Field(default_factory=dict)
    """Whether messages of the category are delivered over an integration."""
    locked: bool = False
    """Whether users cannot disable the category."""
    reach_by: Annotated[list[IntegrationType], AfterValidator(_reaching), distinct("one")] = Field(
        default_factory=list
    )
    """The integrations that reach the user of a locked category if no other does, in order."""
    urgent: bool = False
    """Whether hours and mutes do not apply."""
    digest: Reserved = None
    """Reserved."""
    cap: Reserved = None
    """Reserved."""


def preferences_change(body: object, environ: Mapping[str, str], *, now: float) -> JsonObject:
    """Read the body of a PUT of preferences; return the named fields in their stored form."""
    change = read(PreferencesBody, body, environ, nulls=True)
    given = change.given()
    if not given:
        names = "time_zone, language, hours, muted_until, categories"
        raise InvalidInputError(FieldError("", f"must name at least one of {names}"))
    wrong = _inner_nulls(change)
    if change.muted_until is not None and change.muted_until > now + LONGEST_MUTE:
        wrong.append(FieldError("/muted_until", "must be at most 30 days ahead"))
    if wrong:
        raise InvalidInputError(*wrong)
    return given


def _inner_nulls(change: PreferencesBody) -> list[FieldError]:
    """Return an error for each null below the top level that is not a category."""
    parts: list[tuple[str, Strict | None]] = [("/hours", change.hours)]
    for name, choice in (change.categories or {}).items():
        parts.append((json_pointer("categories", name), choice))
    return [
        FieldError(f"{pointer}/{name}", "must not be null; leave the field out instead")
        for pointer, part in parts
        if part is not None
        for name in sorted(part.model_fields_set)
        if getattr(part, name) is None
    ]


def category_of(name: str, body: object, environ: Mapping[str, str]) -> Category:
    """Read the body of a PUT of a category."""
    if not CATEGORY.fullmatch(name):
        raise InvalidInputError(FieldError("/category", CATEGORY_RULE))
    given = read(CategoryBody, body, environ, nulls=False)
    wrong = []
    if given.category not in {None, name}:
        wrong.append(FieldError("/category", f"must be {name}, as in the path, or left out"))
    if given.locked and not given.reach_by:
        wrong.append(FieldError("/reach_by", "must name at least one of SLACK, EMAIL and SMS"))
    if wrong:
        raise InvalidInputError(*wrong)
    return Category(
        name=name,
        title=given.title,
        description=given.description,
        group=given.group,
        order=given.order,
        enabled=given.enabled,
        integrations=given.integrations,
        locked=given.locked,
        reach_by=tuple(given.reach_by),
        urgent=given.urgent,
    )
