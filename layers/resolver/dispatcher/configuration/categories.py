"""Categories: their definition by operators, and the cached copy that selects messages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

from dispatcher.errors import ConditionFailed, ConflictError, NotFoundError, UnavailableError
from dispatcher.strict_json import size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dispatcher.configuration.ports import EventLog, IdGenerator, Policies
    from dispatcher.configuration.preference_responses import (
        CategoriesResponse,
        CategoryResponse,
    )
    from dispatcher.configuration.rows import Category, Policy

TTL = 30.0
"""Seconds for which a copy is used, and after which an operator's change applies everywhere."""

PAUSE = 1.0
"""Seconds between two consistent reads for a name that the copy lacks, and between failures."""

LONGEST_STALE = 600.0
"""Seconds for which the last copy is used while it cannot be read again."""

MOST_CATEGORIES = 100
LARGEST_POLICY = 64 * 1024
"""Bytes of JSON in UTF-8, written without spaces."""

WRITE_TRIES = 4
"""Attempts at a change, each computed on the row that another writer has stored."""


class PolicyCache:
    """The categories, read at most every 30 s. Threads may share it.

    If the policy cannot be read, ``UnavailableError`` is raised, because "no locks" would be wrong.
    """

    def __init__(self, policies: Policies, now: Callable[[], float]) -> None:
        self._policies = policies
        self._now = now
        self._lock = Lock()
        self._copy: Policy | None = None
        self._read_at = self._failed_at = self._consistent_at = float("-inf")
        self._is_latest = False

    def policy(self) -> Policy:
        """Return the categories as of 30 s ago or later, while reads fail as of 10 min ago."""
        with self._lock:
            return self._current()

    def category(self, name: str) -> Category | None:
        """Return a category; read the table for a missing name, at most once per second."""
        with self._lock:
            found = self._current().categories.get(name)
            if found is None:
                # The category may be newer than the copy.
                found = self._latest().categories.get(name)
            return found

    def _latest(self) -> Policy:
        now = self._now()
        if now - self._consistent_at >= PAUSE:
            self._consistent_at, self._is_latest = now, False
            self._read(consistent=True)
            self._is_latest = True
        if self._copy is None or not self._is_latest:
            # The last read has failed, so the category may exist.
            raise UnavailableError("the categories cannot be read")
        return self._copy

    def _current(self) -> Policy:
        now = self._now()
        if self._copy is not None and now - self._read_at < TTL:
            return self._copy
        failure: Exception | None = None
        if now - self._failed_at >= PAUSE:
            try:
                return self._read(consistent=False)
            except UnavailableError as error:
                failure, self._failed_at = error, now
        if self._copy is None or now - self._read_at > LONGEST_STALE:
            raise UnavailableError("the categories cannot be read") from failure
        return self._copy

    def _read(self, *, consistent: bool) -> Policy:
        # The time before the read, so that the copy's age is never underestimated.
        now = self._now()
        policy = self._policies.read(consistent=consistent)
        # An eventually consistent read may return what came before the copy.
        if self._copy is None or policy.version >= self._copy.version:
            self._copy = policy
        self._read_at = now
        return self._copy


@dataclass(frozen=True, slots=True, kw_only=True)
class Categories:
    """Reads and changes the categories for operators."""

    policies: Policies
    id_generator: IdGenerator
    environ: Mapping[str, str]
    event_log: EventLog

    def listing(self) -> CategoriesResponse:
        """Return all categories as they are stored now, in their order."""
        policy = self.policies.read(consistent=True)
        return {
            "categories": [category_response(category) for category in policy.in_order()],
            "version": policy.version,
        }

    def put(self, name: str, body: object) -> tuple[CategoryResponse, bool]:
        """Create or replace a category; return it and whether it is new."""
        from dispatcher.configuration.preference_bodies import category_of

        category = category_of(name, body, self.environ)

        def with_it(old: Policy) -> Policy:
            return _within_limits(replace(old, categories={**old.categories, name: category}))

        old = self._replace(with_it)
        is_new = name not in old.categories
        self.event_log.emit(
            "category.changed", category=name, change="created" if is_new else "replaced"
        )
        return category_response(category), is_new

    def delete(self, name: str) -> None:
        """Remove a category; users' choices for it stay stored and have no effect."""

        def without_it(old: Policy) -> Policy:
            if name not in old.categories:
                raise NotFoundError(f"There is no category {name}.")
            left = {other: one for other, one in old.categories.items() if other != name}
            return replace(old, categories=left)

        self._replace(without_it)
        self.event_log.emit("category.changed", category=name, change="deleted")

    def _replace(self, change: Callable[[Policy], Policy]) -> Policy:
        """Apply ``change`` to the categories and write them; return the previous ones."""
        for _ in range(WRITE_TRIES):
            old = self.policies.read(consistent=True)
            # A token for each computation identifies this write if its response was lost.
            token = self.id_generator.token()
            try:
                self.policies.write(change(old), version=old.version, token=token)
            except ConditionFailed:
                continue
            return old
        raise ConflictError("The categories are being changed by others: try again.")


def category_response(category: Category) -> CategoryResponse:
    """Return a category as the API shows it."""
    return {
        "category": category.name,
        "title": category.title,
        "description": category.description,
        "group": category.group,
        "order": category.order,
        "enabled": category.enabled,
        "integrations": dict(category.integrations),
        "locked": category.locked,
        "reach_by": [*category.reach_by],
        "urgent": category.urgent,
    }


def _within_limits(policy: Policy) -> Policy:
    if len(policy.categories) > MOST_CATEGORIES:
        raise ConflictError(f"There are {MOST_CATEGORIES} categories already: delete one first.")
    stored = {name: one.as_item() for name, one in policy.categories.items()}
    size = size_of(stored)
    if size > LARGEST_POLICY:
        message = (
            f"The categories would take {size} bytes; at most {LARGEST_POLICY} are kept. "
            "Shorten a description, or delete a category first."
        )
        raise ConflictError(message)
    return policy
