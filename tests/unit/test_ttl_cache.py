"""Values with a time to live, by key and alone."""

from __future__ import annotations

import pytest

from dispatcher.errors import UnavailableError
from dispatcher.ttl_cache import TtlCache, TtlValue


class Source:
    """Counts how often it is asked, and fails on demand."""

    def __init__(self):
        self.asked = 0
        self.fails = False

    def fetch(self):
        """Return the number of this fetch."""
        self.asked += 1
        if self.fails:
            raise UnavailableError(f"fetch {self.asked}")
        return self.asked


@pytest.fixture
def now():
    """The time, which the test sets."""
    return [0.0]


@pytest.fixture
def source():
    """The source of a value."""
    return Source()


def test_each_value_has_its_own_ttl(now):
    """A value is served until its TTL has passed, and not at that moment."""
    cache = TtlCache(lambda: now[0], size=10)
    cache.put("short", 1, 5)
    cache.put("long", 2, 10)
    now[0] = 5

    assert [cache.get(key) for key in ("short", "long", "none")] == [None, 2, None]


def test_a_full_cache_drops_its_oldest_value(now):
    """A value that is stored again counts as new."""
    cache = TtlCache(lambda: now[0], size=2)
    for key in ("a", "b", "a", "c"):
        cache.put(key, key, 10)

    assert [cache.get(key) for key in ("a", "b", "c")] == ["a", None, "c"]


def test_a_forgotten_value_is_gone(now):
    """Forgetting a missing value does nothing."""
    cache = TtlCache(lambda: now[0], size=2)
    cache.put("a", 1, 10)

    cache.forget("a")
    cache.forget("a")

    assert cache.get("a") is None


def test_a_value_is_fetched_again_after_its_ttl(now, source):
    """The TTL alone decides, even if it is shorter than the pause."""
    value = TtlValue(source.fetch, lambda: now[0], ttl=10, pause=60)
    results = []
    for moment in (0, 9.9, 10, 19.9, 20):
        now[0] = moment
        results.append(value.get())

    assert results == [1, 1, 2, 2, 3]


def test_the_latest_value_is_fetched_at_most_once_per_pause(now, source):
    """Within the pause the known value is served."""
    value = TtlValue(source.fetch, lambda: now[0], ttl=300, pause=60)
    results = []
    for moment in (0, 59, 60, 119, 120):
        now[0] = moment
        results.append(value.get(latest=True))

    assert results == [1, 1, 2, 2, 3]


def test_the_stale_value_is_served_while_a_refresh_fails(now, source):
    """A failed fetch is repeated after 10 s at the earliest."""
    value = TtlValue(source.fetch, lambda: now[0])
    value.get()
    source.fails = True
    asked = []
    for moment in (300, 309, 310):
        now[0] = moment
        asked.append((value.get(), source.asked))

    assert asked == [(1, 2), (1, 2), (1, 3)]


def test_a_stale_value_is_not_passed_off_as_the_latest(now, source):
    """If the latest value is needed and the fetch failed, its error is raised."""
    value = TtlValue(source.fetch, lambda: now[0])
    value.get()
    source.fails = True
    now[0] = 60

    with pytest.raises(UnavailableError, match="fetch 2"):
        value.get(latest=True)
    assert value.get() == 1


def test_without_any_value_the_error_of_the_last_fetch_is_raised(now, source):
    """Within 10 s it is the same error, and no other fetch is made."""
    source.fails = True
    value = TtlValue(source.fetch, lambda: now[0])

    for _ in range(2):
        with pytest.raises(UnavailableError, match="fetch 1"):
            value.get()
    now[0] = 10
    source.fails = False

    assert (value.get(), source.asked) == (2, 2)


def test_without_a_pause_every_failed_fetch_is_repeated_at_once(now, source):
    """A secret that an operator has just fixed is read on the next attempt."""
    source.fails = True
    value = TtlValue(source.fetch, lambda: now[0], pause=0)
    with pytest.raises(UnavailableError, match="fetch 1"):
        value.get()
    source.fails = False

    assert value.get() == 2
