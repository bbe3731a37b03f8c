"""One contract suite for the overrides in DynamoDB and those in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.adapters.overrides import OverrideTable
from dispatcher.configuration.rows import Override, UserOverrides
from dispatcher.errors import ConditionFailed, UnavailableError
from tests.fakes import MemoryOverrides

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
    """An opt-out holds from the moment it was answered; moto never lags, so look at the call."""
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
    """What is stored stays."""
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")

    with pytest.raises(ConditionFailed):
        table.create("ada", "EMAIL", replace(EMAIL, settings={}), now=NOW, token="b")

    assert table.get("ada").by_type == {"EMAIL": EMAIL}


@pytest.mark.parametrize("write", ["create", "replace", "delete"])
def test_our_own_write_is_recognised(table, write):
    """A write repeated with its token, because its answer was lost, is no conflict."""
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

    table.delete("ada", "EMAIL", token="b")

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
    """The types that were there are told; clearing again removes nothing."""
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    table.create("ada", "WEBHOOK", WEBHOOK, now=NOW, token="b")

    removed = [sorted(table.clear("ada")), sorted(table.clear("ada"))]

    assert removed == [["EMAIL", "WEBHOOK"], []]
    assert table.get("ada") == UserOverrides({}, 0)


def test_the_last_deletion_leaves_no_row(dynamodb):
    """Nothing of a user without overrides is stored."""
    table = OverrideTable(dynamodb, "OverridesTable")
    table.create("ada", "EMAIL", EMAIL, now=NOW, token="a")
    table.create("ada", "WEBHOOK", WEBHOOK, now=NOW, token="b")

    table.delete("ada", "EMAIL", token="c")
    between = dynamodb.scan(TableName="OverridesTable")["Count"]
    table.delete("ada", "WEBHOOK", token="d")

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
        lambda table: table.clear("ada"),
    ],
)
def test_a_table_out_of_reach_is_unavailability(aws, call):
    """A missing table stands for any fault of AWS."""
    table = OverrideTable(aws("dynamodb"), "NoSuchTable")

    with pytest.raises(UnavailableError, match="ResourceNotFoundException"):
        call(table)
