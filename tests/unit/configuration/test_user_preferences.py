"""Changes of preferences that race with others."""

from __future__ import annotations

import pytest

from dispatcher.configuration.categories import PolicyCache
from dispatcher.configuration.ports import Rescheduled
from dispatcher.configuration.resolution import system_defaults
from dispatcher.configuration.user_preferences import WRITE_TRIES, UserPreferences
from dispatcher.errors import ConflictError, PreconditionError, UnavailableError
from tests.fakes import FakeClock, FakeIdGenerator, MemoryEventLog, MemoryOverrides, MemoryPolicies


class Replanner:
    """Counts the re-plans."""

    def __init__(self):
        self.users = []

    def replan(self, user_id):
        """Count one."""
        self.users.append(user_id)
        return Rescheduled(2, complete=False)


class Unpublished:
    """A bus that cannot be reached."""

    def publish_change(self, _change):
        """Fail."""
        raise UnavailableError("PutEvents failed")


class Room:
    """The use case over memory; ``meanwhile`` is called after each read of the user's row."""

    def __init__(self):
        self.overrides, self.replanner = MemoryOverrides(), Replanner()
        self.event_log, self.clock = MemoryEventLog(), FakeClock()
        self.meanwhile = lambda: None
        self.use_case = UserPreferences(
            environ={},
            system_defaults=lambda: system_defaults({}),
            overrides=self,
            policies=PolicyCache(MemoryPolicies(), self.clock.monotonic),
            replanner=lambda: self.replanner,
            default_time_zone="UTC",
            clock=self.clock,
            id_generator=FakeIdGenerator(),
            event_log=self.event_log,
            publisher=Unpublished(),
        )

    def get(self, user_id):
        """Read, and let another writer come between."""
        stored, meanwhile = self.overrides.get(user_id), self.meanwhile
        self.meanwhile = lambda: None
        meanwhile()
        return stored

    def __getattr__(self, name):
        """Be the table for everything else."""
        return getattr(self.overrides, name)


@pytest.fixture
def room():
    """A new room for each test."""
    return Room()


def test_two_changes_at_once_are_both_stored(room):
    """The change that lost is merged again into the row of the one that won."""
    room.meanwhile = lambda: room.use_case.update("ada", {"language": "de"})

    changed = room.use_case.update("ada", {"time_zone": "Europe/Berlin"})

    assert (changed["language"], changed["time_zone"]) == ("de", "Europe/Berlin")


def test_giving_the_last_field_back_keeps_a_field_that_came_meanwhile(room):
    """The removal of all preferences is conditional on the row that was read."""
    room.use_case.update("ada", {"language": "de"})
    room.meanwhile = lambda: room.use_case.update("ada", {"time_zone": "Europe/Berlin"})

    changed = room.use_case.update("ada", {"language": None})

    assert (changed["language"], changed["time_zone"]) == (None, "Europe/Berlin")


def test_a_change_that_loses_every_race_is_a_conflict(room):
    """It is computed four times."""
    lost = []

    def win():
        lost.append(1)
        room.use_case.update("ada", {"language": f"x-{len(lost)}"})
        room.meanwhile = win

    room.meanwhile = win

    with pytest.raises(ConflictError, match="try again"):
        room.use_case.update("ada", {"language": "de"})
    assert len(lost) == WRITE_TRIES


def test_a_tag_is_compared_with_each_row_that_is_read(room):
    """A change that comes between the read and the write fails the precondition."""
    tag = room.use_case.update("ada", {"language": "de"})["version"]
    room.meanwhile = lambda: room.use_case.update("ada", {"language": "en"})

    with pytest.raises(PreconditionError):
        room.use_case.update("ada", {"language": "fr"}, f'"{tag}"')


def test_only_a_change_of_times_plans_again(room):
    """Language and categories hold nothing; a deletion always plans, for it may be a repeat."""
    assert room.use_case.update("ada", {"language": "de"})["rescheduled"]["complete"] is True
    assert room.replanner.users == []

    changed = room.use_case.update("ada", {"muted_until": None})
    room.use_case.delete("ada")
    room.use_case.delete("ada")

    assert changed["rescheduled"] == {"deliveries": 2, "complete": False}
    assert room.replanner.users == ["ada"] * 3


def test_a_lost_event_does_not_fail_the_change(room):
    """It is logged, after the change itself."""
    room.use_case.update("ada", {"language": "de"})

    assert room.event_log.events() == ["preferences.changed", "change.unpublished"]
