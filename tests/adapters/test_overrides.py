"""One contract suite for the overrides in DynamoDB and those in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.adapters.overrides import OverrideTable, PolicyTable
from dispatcher.configuration.preferences import tag
from dispatcher.configuration.rows import (
    Category,
    CategoryChoice,
    Override,
    Policy,
    Preferences,
    Suppression,
    UserOverrides,
)
from dispatcher.errors import ConditionFailed, UnavailableError
from tests.fakes import MemoryOverrides, MemoryPolicies

NOW = 1_800_000_000.125
EMAIL = Override(
    {"enabled": True, "retry_count": 0, "config": {"email_address": "ada@example.com"}},
    created_at=NOW,
    updated_at=NOW + 1,
)
WEBHOOK = Override(
    {"enabled": False, "config": {}},
    created_at=NOW,
    updated_at=NOW,
    disabled_by_receiver=True,
    sealed=(b"\x00one", b"two"),
)
CHOSEN = Preferences(
    time_zone="Europe/Berlin",
    hours={"windows": [{"days": ["mon"], "from": "08:00", "to": "18:00"}]},
    muted_until=1_800_003_600.0,
    categories={"news": CategoryChoice(enabled=False, integrations={"CLI": True})},
    updated_at=NOW,
    updated_via="api",
)
"""The mute ends at a whole second, which a table returns without its decimal point."""


@pytest.fixture(params=["memory", "dynamodb"])
def table(request):
    """Both implementations of the port."""
    if request.param == "memory":
        return MemoryOverrides()
    return OverrideTable(request.getfixturevalue("dynamodb"), "OverridesTable")


def test_a_user_without_overrides_has_an_empty_set(table):
    """Nothing stored reads as nothing set."""
    found = table.get("ada")

    assert found == UserOverrides({}, 0)


def test_overrides_are_read_consistently(dynamodb, asked):
    """Reads are consistent, so an opt-out applies immediately (moto never lags: check the call)."""
    OverrideTable(dynamodb, "OverridesTable").get("ada")

    assert [(name, one.get("ConsistentRead")) for name, one in asked] == [("GetItem", True)]


def test_overrides_come_back_as_they_were_created(table):
    """Every field survives, one override beside the other, and another user sees none."""
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    table.create("ada", "WEBHOOK", WEBHOOK, now=NOW, token="b")

    found = table.get("ada")

    assert found.by_type == {"EMAIL": EMAIL, "WEBHOOK": WEBHOOK}
    assert table.get("Ada") == UserOverrides({}, 0)


def test_a_second_override_of_a_type_is_refused(table):
    """A second override of a type is refused, and the first one is kept."""
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")

    with pytest.raises(ConditionFailed):
        table.create("ada", "EMAIL", replace(EMAIL, settings={}), now=NOW, token="b")

    assert table.get("ada").by_type == {"EMAIL": EMAIL}


@pytest.mark.parametrize("write", ["create", "replace", "delete"])
def test_our_own_write_is_recognised(table, write):
    """A write that is repeated with its token after a lost response is not a conflict."""
    if write != "create":
        table.create("ada", "EMAIL", EMAIL, now=NOW, token="first")
    table.create("ada", "WEBHOOK", WEBHOOK, now=NOW, token="other")
    version = table.get("ada").version
    calls = {
        "create": lambda: table.create("ada", "EMAIL", EMAIL, now=NOW, token="t"),
        "replace": lambda: table.replace("ada", "EMAIL", EMAIL, version=version, token="t"),
        "delete": lambda: table.delete("ada", "EMAIL", token="t"),
    }
    calls[write]()
    after = table.get("ada")

    calls[write]()

    assert table.get("ada") == after


@pytest.mark.parametrize("token", ["t", "other"])
def test_a_refused_write_takes_no_further_call(dynamodb, asked, token):
    """The refusal returns the row, which shows whether the write was this one."""
    table = OverrideTable(dynamodb, "OverridesTable")
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="t")
    asked.clear()

    if token == "t":
        table.create("ada", "EMAIL", EMAIL, now=NOW, token=token)
    else:
        with pytest.raises(ConditionFailed):
            table.create("ada", "EMAIL", EMAIL, now=NOW, token=token)

    assert [(name, one["ReturnValuesOnConditionCheckFailure"]) for name, one in asked] == [
        ("UpdateItem", "ALL_OLD")
    ]


def test_a_lost_response_of_the_last_deletion_is_no_conflict(dynamodb, monkeypatch):
    """The write took effect and its response was lost: the emptied row goes with the repeat."""
    table = OverrideTable(dynamodb, "OverridesTable")
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    update = dynamodb.update_item

    def repeated(**request):
        update(**request)
        return update(**request)

    monkeypatch.setattr(dynamodb, "update_item", repeated)

    assert table.delete("ada", "EMAIL", token="b") is None
    assert dynamodb.scan(TableName="OverridesTable")["Count"] == 0


def test_a_replacement_demands_the_version_that_was_read(table):
    """Two writers who read the same version: the second is refused."""
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    version = table.get("ada").version
    table.replace("ada", "EMAIL", replace(EMAIL, updated_at=NOW + 2), version=version, token="b")

    with pytest.raises(ConditionFailed):
        table.replace("ada", "EMAIL", WEBHOOK, version=version, token="c")

    assert table.get("ada") == UserOverrides(
        {"EMAIL": replace(EMAIL, updated_at=NOW + 2)}, version + 1
    )


def test_what_is_not_there_can_be_neither_replaced_nor_deleted(table):
    """Both are refused and leave no row behind."""
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    version = table.get("ada").version

    with pytest.raises(ConditionFailed):
        table.replace("ada", "SMS", EMAIL, version=version, token="b")
    with pytest.raises(ConditionFailed):
        table.delete("bob", "EMAIL", token="c")

    assert table.get("bob") == UserOverrides({}, 0)


def test_versions_never_come_twice(table):
    """A user who deletes all and begins again a millisecond later gets a later version."""
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    before = table.get("ada").version
    table.delete("ada", "EMAIL", token="b")

    table.create("ada", "EMAIL", EMAIL, now=NOW + 0.001, token="c")

    assert table.get("ada").version > before


def test_clearing_removes_everything_and_names_it(table):
    """Clearing returns the removed types; clearing again removes none."""
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    table.create("ada", "WEBHOOK", WEBHOOK, now=NOW, token="b")

    removed = [table.clear("ada", token=token) for token in "cd"]

    assert removed == [{"EMAIL": EMAIL, "WEBHOOK": WEBHOOK}, {}]
    assert table.get("ada") == UserOverrides({}, 0)


def test_the_last_deletion_leaves_no_row(dynamodb):
    """Nothing of a user without overrides is stored."""
    table = OverrideTable(dynamodb, "OverridesTable")
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    table.create("ada", "WEBHOOK", WEBHOOK, now=NOW, token="b")

    first = table.delete("ada", "EMAIL", token="c")
    between = dynamodb.scan(TableName="OverridesTable")["Count"]
    last = table.delete("ada", "WEBHOOK", token="d")

    assert (first, last) == (EMAIL, WEBHOOK)
    assert (between, dynamodb.scan(TableName="OverridesTable")["Count"]) == (1, 0)


def test_an_emptied_row_that_was_filled_again_stays(dynamodb, monkeypatch):
    """An override created between the deletion and its clean-up is not lost."""
    table = OverrideTable(dynamodb, "OverridesTable")
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    update, calls = dynamodb.update_item, []

    def and_another_writer(**request):
        answer = update(**request)
        calls.append(request)
        if len(calls) == 1:
            table.create("ada", "WEBHOOK", WEBHOOK, now=NOW, token="b")
        return answer

    monkeypatch.setattr(dynamodb, "update_item", and_another_writer)

    table.delete("ada", "EMAIL", token="c")

    assert table.get("ada").by_type == {"WEBHOOK": WEBHOOK}


@pytest.mark.parametrize(
    "call",
    [
        lambda table: table.get("ada"),
        lambda table: table.create("ada", "EMAIL", EMAIL, now=NOW, token="a"),
        lambda table: table.delete("ada", "EMAIL", token="a"),
        lambda table: table.set_preferences("ada", CHOSEN, version=0, now=NOW, token="a"),
        lambda table: table.delete_preferences("ada", token="a"),
        lambda table: table.clear("ada", token="a"),
        lambda table: suppress(table, "ada", {SUPPRESSION: BOUNCED}),
    ],
)
def test_a_table_out_of_reach_is_unavailability(aws, call):
    """A missing table stands for any fault of AWS."""
    table = OverrideTable(aws("dynamodb"), "NoSuchTable")

    with pytest.raises(UnavailableError, match="ResourceNotFoundException"):
        call(table)


# Preferences --------------------------------------------------------------------------------------


def test_preferences_come_back_as_they_were_stored(table):
    """Every field and the tag survive, with overrides and without."""
    version = table.set_preferences("ada", CHOSEN, version=0, now=NOW, token="a")

    found = table.get("ada")

    assert found == UserOverrides({}, version, CHOSEN)
    assert tag(found.preferences) == tag(CHOSEN)
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="b")
    assert table.get("ada") == UserOverrides({"EMAIL": EMAIL}, version + 1, CHOSEN)


def test_preferences_are_written_on_the_version_that_was_read(table):
    """Any write between the read and this one refuses it, an override's too."""
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    version = table.get("ada").version
    after = table.set_preferences("ada", CHOSEN, version=version, now=NOW, token="b")

    for stale in (0, version):
        with pytest.raises(ConditionFailed):
            table.set_preferences("ada", CHOSEN, version=stale, now=NOW, token="c")

    assert (after, table.get("ada").version) == (version + 1, version + 1)


def test_our_own_write_of_preferences_is_recognised(table):
    """Repeated with its token, because its response was lost, it is no conflict."""
    first = table.set_preferences("ada", CHOSEN, version=0, now=NOW, token="t")

    assert table.set_preferences("ada", CHOSEN, version=0, now=NOW, token="t") == first
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="other")
    assert table.delete_preferences("ada", token="u") is True
    assert table.delete_preferences("ada", token="u") is True
    assert table.delete_preferences("ada", token="v") is False


def test_preferences_are_removed_at_the_version_that_was_read(table):
    """Another writer in between refuses the removal, and what it wrote stays."""
    version = table.set_preferences("ada", CHOSEN, version=0, now=NOW, token="a")
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="b")

    with pytest.raises(ConditionFailed):
        table.delete_preferences("ada", version=version, token="c")
    assert table.get("ada").preferences == CHOSEN
    assert table.delete_preferences("ada", version=version + 1, token="d") is True
    assert table.get("ada").preferences is None


@pytest.mark.parametrize("last", ["override", "preferences"])
def test_the_row_goes_with_its_last_part(dynamodb, last):
    """Overrides keep the row for preferences, and preferences for overrides; then none is left."""
    table = OverrideTable(dynamodb, "OverridesTable")
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    version = table.get("ada").version
    table.set_preferences("ada", CHOSEN, version=version, now=NOW, token="b")
    deletions = [
        lambda: table.delete("ada", "EMAIL", token="c"),
        lambda: table.delete_preferences("ada", token="d"),
    ]
    if last == "override":
        deletions.reverse()

    deletions[0]()
    between = table.get("ada")
    deletions[1]()

    assert between.version > version
    assert between.by_type == ({"EMAIL": EMAIL} if last == "override" else {})
    assert between.preferences == (None if last == "override" else CHOSEN)
    assert dynamodb.scan(TableName="OverridesTable")["Count"] == 0


def test_preferences_of_a_user_without_any_are_not_there_to_delete(table):
    """Nothing is written, neither for a user without a row nor for one with overrides alone."""
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    before = table.get("ada")

    assert table.delete_preferences("ada", token="b") is False
    assert table.delete_preferences("bob", token="b") is False
    assert (table.get("ada"), table.get("bob")) == (before, UserOverrides())


def test_clearing_overrides_keeps_preferences(table):
    """A reset concerns overrides only."""
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    version = table.get("ada").version
    version = table.set_preferences("ada", CHOSEN, version=version, now=NOW, token="b")

    removed = [table.clear("ada", token=token) for token in ("c", "d")]

    assert removed == [{"EMAIL": EMAIL}, {}]
    assert table.get("ada") == UserOverrides({}, version + 1, CHOSEN)


def test_clearing_without_preferences_takes_one_call(dynamodb, asked):
    """As it did before there were preferences."""
    table = OverrideTable(dynamodb, "OverridesTable")
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    asked.clear()

    table.clear("ada", token="b")

    assert [name for name, _ in asked] == ["DeleteItem"]


def test_preferences_that_go_while_overrides_are_cleared_are_no_conflict(dynamodb, monkeypatch):
    """The row changed between the two calls: the clearing begins again and names its types."""
    table = OverrideTable(dynamodb, "OverridesTable")
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    version = table.get("ada").version
    table.set_preferences("ada", CHOSEN, version=version, now=NOW, token="b")
    update, calls = dynamodb.update_item, []

    def after_another_writer(**request):
        calls.append(request)
        if len(calls) == 1:
            table.delete_preferences("ada", token="c")
        return update(**request)

    monkeypatch.setattr(dynamodb, "update_item", after_another_writer)

    assert table.clear("ada", token="d") == {"EMAIL": EMAIL}
    assert dynamodb.scan(TableName="OverridesTable")["Count"] == 0


# Suppressions -------------------------------------------------------------------------------------

SUPPRESSION = "EMAIL-9f86d081884c7d65"
BOUNCED = Suppression("bounced", 1_800_000_000.0, "d-1", "550 5.1.1 unknown", "a•••@example.com")
"""At a whole second, which a table returns without its decimal point."""


def suppress(table, user_id, suppressions, stored=None):
    """Store suppressions on the row as it is, or as it was read."""
    table.set_suppressions(
        user_id, suppressions, stored=stored or UserOverrides(), now=NOW, token="s"
    )


def test_suppressions_come_back_as_they_were_stored(table):
    """A user without a row gets one with that fact alone; other parts stay beside it."""
    suppress(table, "ada", {SUPPRESSION: BOUNCED})

    alone = table.get("ada")

    assert alone == UserOverrides({}, alone.version, None, {SUPPRESSION: BOUNCED})
    assert isinstance(alone.suppressions[SUPPRESSION].at, float)
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    table.set_preferences("ada", CHOSEN, version=alone.version + 1, now=NOW, token="b")
    assert table.get("ada") == UserOverrides(
        {"EMAIL": EMAIL}, alone.version + 2, CHOSEN, {SUPPRESSION: BOUNCED}
    )


def test_a_suppression_is_an_attribute_of_its_own(dynamodb):
    """The storage form is the contract's: ``!<TYPE>#<16 hex digits>``."""
    suppress(OverrideTable(dynamodb, "OverridesTable"), "ada", {SUPPRESSION: BOUNCED})

    item = dynamodb.scan(TableName="OverridesTable")["Items"][0]

    assert set(item) == {
        "user_id", "version", "last_write", "suppressed", "!EMAIL#9f86d081884c7d65"
    }  # fmt: skip
    assert set(item["!EMAIL#9f86d081884c7d65"]["M"]) == {
        "state", "at", "delivery_id", "detail", "shown"
    }  # fmt: skip


def test_suppressions_are_written_on_the_row_that_was_read(table):
    """Any write between the read and this one refuses it, an override's too."""
    suppress(table, "ada", {SUPPRESSION: BOUNCED})
    read = table.get("ada")
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")

    for stale in (UserOverrides(), read):
        with pytest.raises(ConditionFailed):
            suppress(table, "ada", {}, stale)

    assert table.get("ada").suppressions == {SUPPRESSION: BOUNCED}


def test_suppressions_are_replaced_one_by_one(table):
    """Those that are not named any more go, the others stay or change."""
    suppress(table, "ada", {SUPPRESSION: BOUNCED, "SMS-00": BOUNCED, "SMS-01": BOUNCED})
    later = replace(BOUNCED, state="opted_out")

    suppress(table, "ada", {SUPPRESSION: BOUNCED, "SMS-01": later}, table.get("ada"))

    assert table.get("ada").suppressions == {SUPPRESSION: BOUNCED, "SMS-01": later}


def test_clearing_overrides_keeps_suppressions(table):
    """A reset removes overrides only and keeps suppressed addresses."""
    suppress(table, "ada", {SUPPRESSION: BOUNCED})
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    version = table.get("ada").version

    removed = [table.clear("ada", token=token) for token in ("c", "d")]

    assert removed == [{"EMAIL": EMAIL}, {}]
    assert table.get("ada") == UserOverrides({}, version + 1, None, {SUPPRESSION: BOUNCED})


@pytest.mark.parametrize("last", ["override", "preferences", "suppression"])
def test_a_row_with_three_parts_goes_with_the_last(dynamodb, last):
    """Each part keeps the row for the others; then none is left, and a new one can be cleared."""
    table = OverrideTable(dynamodb, "OverridesTable")
    suppress(table, "ada", {SUPPRESSION: BOUNCED})
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    version = table.get("ada").version
    table.set_preferences("ada", CHOSEN, version=version, now=NOW, token="b")
    deletions = {
        "override": lambda: table.delete("ada", "EMAIL", token="c"),
        "preferences": lambda: table.delete_preferences("ada", token="d"),
        "suppression": lambda: suppress(table, "ada", {}, table.get("ada")),
    }
    order = sorted(deletions, key=lambda part: part == last)

    counts = []
    for part in order:
        deletions[part]()
        counts.append(dynamodb.scan(TableName="OverridesTable")["Count"])

    assert counts == [1, 1, 0]


def test_clearing_after_the_last_suppression_takes_one_call(dynamodb, asked):
    """A row whose suppressions were removed is as one that never had any."""
    table = OverrideTable(dynamodb, "OverridesTable")
    suppress(table, "ada", {SUPPRESSION: BOUNCED})
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    suppress(table, "ada", {}, table.get("ada"))
    asked.clear()

    assert table.clear("ada", token="b") == {"EMAIL": EMAIL}
    assert [name for name, _ in asked] == ["DeleteItem"]


# Categories ---------------------------------------------------------------------------------------

SECURITY = Category(
    name="security",
    title="Security",
    order=10,
    integrations={"SMS": True},
    locked=True,
    reach_by=("EMAIL", "SMS"),
    urgent=True,
)
NEWS = Category(name="news", title="News", enabled=False)


@pytest.fixture(params=["memory", "dynamodb"])
def policies(request):
    """Both implementations of the port."""
    if request.param == "memory":
        return MemoryPolicies()
    return PolicyTable(request.getfixturevalue("dynamodb"), "OverridesTable")


def test_there_are_no_categories_before_the_first(policies):
    """No row reads as no category."""
    assert policies.read(consistent=True) == Policy({}, 0)


def test_categories_come_back_as_they_were_written(policies):
    """Every field survives; the version grows by one."""
    both = Policy({"security": SECURITY, "news": NEWS})

    written = policies.write(both, version=0, token="a")

    assert written == policies.read(consistent=True) == Policy(both.categories, 1)
    assert policies.write(Policy({}), version=1, token="b") == Policy({}, 2)


def test_categories_are_written_on_the_version_that_was_read(policies):
    """Of two operators who read the same version the second is refused; a repeat is not."""
    policies.write(Policy({"news": NEWS}), version=0, token="a")

    for stale in (0, 7):
        with pytest.raises(ConditionFailed):
            policies.write(Policy({}), version=stale, token="b")

    assert policies.write(Policy({"news": NEWS}), version=0, token="a").version == 1


@pytest.mark.parametrize("consistent", [True, False])
def test_the_reader_of_categories_chooses_the_consistency(dynamodb, asked, consistent):
    """Functions that keep a copy need no consistent read, at half the price."""
    PolicyTable(dynamodb, "OverridesTable").read(consistent=consistent)

    assert [(name, one["ConsistentRead"]) for name, one in asked] == [("GetItem", consistent)]


def test_categories_of_a_table_out_of_reach_are_unavailable(aws):
    """A missing table stands for any fault of AWS: it is not an empty policy."""
    with pytest.raises(UnavailableError):
        PolicyTable(aws("dynamodb"), "NoSuchTable").read(consistent=False)
