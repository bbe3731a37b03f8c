"""Categories: the operators' changes, and the copy by which messages are selected."""

from __future__ import annotations

import pytest

from dispatcher.configuration.categories import Categories, PolicyCache, category_response
from dispatcher.configuration.rows import Category, Policy
from dispatcher.errors import ConflictError, NotFoundError, UnavailableError
from tests.fakes import MemoryEventLog, MemoryPolicies

NEWS = Category(name="news", title="News")
LOCKED = Category(name="news", title="News", locked=True, reach_by=("EMAIL",))


class Tokens:
    """Gives out a fresh token each time."""

    def __init__(self):
        self.given = 0

    def token(self):
        """Return the next one."""
        self.given += 1
        return f"token-{self.given}"


@pytest.fixture
def policies():
    """A table with *news*."""
    found = MemoryPolicies()
    found.policy = Policy({"news": NEWS}, 1)
    return found


@pytest.fixture
def clock():
    """The seconds of a monotonic clock, in a list to set."""
    return [1000.0]


@pytest.fixture
def cache(policies, clock):
    """A copy of the table."""
    return PolicyCache(policies, lambda: clock[0])


@pytest.fixture
def categories(policies):
    """The operators' use case."""
    return Categories(
        policies=policies, id_generator=Tokens(), environ={}, event_log=MemoryEventLog()
    )


# The copy -----------------------------------------------------------------------------------------


def test_a_copy_serves_for_half_a_minute(cache, policies, clock):
    """One eventually consistent read per 30 s; then an operator's change counts."""
    assert cache.category("news") == NEWS
    policies.policy = Policy({"news": LOCKED}, 2)
    clock[0] += 29.9
    assert cache.category("news") == NEWS
    assert policies.reads == ["eventual"]

    clock[0] += 0.1

    assert cache.category("news") == LOCKED
    assert policies.reads == ["eventual"] * 2


def test_a_name_that_the_copy_lacks_is_looked_for_once_a_second(cache, policies, clock):
    """A new category works immediately, and unknown names cost at most one read per second."""
    cache.policy()
    policies.policy = Policy({"news": NEWS, "beta": NEWS}, 2)

    assert cache.category("beta") is not None
    assert [cache.category("none") for _ in range(5)] == [None] * 5
    assert policies.reads == ["eventual", "consistent"]
    clock[0] += 1
    assert cache.category("none") is None
    assert policies.reads == ["eventual", "consistent", "consistent"]


def test_the_last_copy_serves_for_ten_minutes_while_the_table_is_out_of_reach(
    cache, policies, clock
):
    """Then messages with a category wait: a policy that cannot be read is never "no locks"."""
    assert cache.policy().categories == {"news": NEWS}
    policies.broken = True
    clock[0] += 600
    assert cache.category("news") == NEWS

    clock[0] += 0.1

    with pytest.raises(UnavailableError):
        cache.category("news")
    policies.broken = False
    clock[0] += 1
    assert cache.category("news") == NEWS


def test_a_failing_table_is_asked_once_a_second(cache, policies, clock):
    """A failing table is read at most once per second, so that sends do not wait for timeouts."""
    cache.policy()
    policies.broken = True
    clock[0] += 31

    assert [cache.category("news") for _ in range(5)] == [NEWS] * 5

    assert policies.reads == ["eventual"] * 2


def test_without_a_first_copy_there_is_no_policy(cache, policies):
    """The first read fails: unavailable, not empty, also for the call right after it."""
    policies.broken = True

    for _ in range(2):
        with pytest.raises(UnavailableError):
            cache.category("news")


def test_a_name_is_unknown_only_after_a_read(cache, policies, clock):
    """While the table is out of reach, a name that the copy lacks is not called unknown."""
    cache.policy()
    policies.broken = True

    for _ in range(3):
        with pytest.raises(UnavailableError):
            cache.category("beta")

    assert policies.reads == ["eventual", "consistent"]


def test_an_eventually_consistent_read_never_takes_a_copy_back(cache, policies, clock):
    """A consistent copy is kept if a later read returns an older row."""
    cache.policy()
    policies.policy = Policy({"news": LOCKED}, 2)
    cache.category("none")
    policies.policy = Policy({"news": NEWS}, 1)
    clock[0] += 31

    assert cache.category("news") == LOCKED


# Changes ------------------------------------------------------------------------------------------


def test_a_category_is_created_and_replaced(categories, policies):
    """The response shows whether the category was created or replaced; others do not change."""
    beta = category_response(Category(name="beta", title="Beta"))
    assert categories.put("beta", {"title": "Beta"}) == (beta, True)
    assert categories.put("beta", {"title": "B", "order": 1})[1] is False

    listing = categories.listing()
    assert listing["version"] == policies.policy.version == 3
    assert [one["category"] for one in listing["categories"]] == ["beta", "news"]
    assert [fields for _, fields in categories.event_log.lines] == [
        {"category": "beta", "change": "created"},
        {"category": "beta", "change": "replaced"},
    ]


def test_a_category_is_deleted_once(categories, policies):
    """The second time there is none."""
    categories.delete("news")

    with pytest.raises(NotFoundError, match="no category news"):
        categories.delete("news")
    assert policies.policy == Policy({}, 2)


def test_there_are_at_most_100_categories(categories, policies):
    """One more is a conflict; one of them can be replaced still."""
    many = {f"c-{number}": NEWS for number in range(100)}
    policies.policy = Policy(many, 1)

    with pytest.raises(ConflictError, match="100 categories already"):
        categories.put("news", {"title": "News"})
    assert categories.put("c-7", {"title": "Seven"})[1] is False


def test_the_categories_have_a_largest_size(categories, policies):
    """64 KiB of JSON in UTF-8; the conflict names the size."""
    long = Category(name="x", title="T" * 80, description="é" * 400, group="g" * 40)
    policies.policy = Policy({f"c-{number}": long for number in range(70)}, 1)

    with pytest.raises(ConflictError, match="at most 65536"):
        categories.put("new", {"title": "T" * 80, "description": "é" * 400})


def test_a_change_is_computed_again_on_what_another_operator_left(categories, policies):
    """Both changes are kept."""
    write, calls = policies.write, []

    def after_another(policy, *, version, token):
        calls.append(token)
        if len(calls) == 1:
            write(Policy({"news": NEWS, "theirs": NEWS}), version=version, token="other")
        return write(policy, version=version, token=token)

    policies.write = after_another

    categories.put("mine", {"title": "Mine"})

    assert set(policies.policy.categories) == {"news", "theirs", "mine"}
    assert len(set(calls)) == 2


def test_a_change_that_loses_four_races_is_a_conflict(categories, policies):
    """The fifth would wait too long for the caller."""
    write, calls = policies.write, []

    def after_another(policy, *, version, token):
        calls.append(token)
        write(policies.policy, version=version, token=f"other-{len(calls)}")
        return write(policy, version=version, token=token)

    policies.write = after_another

    with pytest.raises(ConflictError, match="try again"):
        categories.put("mine", {"title": "Mine"})
    assert len(calls) == 4
