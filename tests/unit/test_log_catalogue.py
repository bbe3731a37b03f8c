"""The table of log events is what the code writes, and docs/operations.md explains error codes."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING, get_args

import pytest

from dispatcher.events import EVENTS, EventName
from tests.documents import blocks, rows
from tests.log_events import writers
from tools.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = "docs/operations.md"
TABLE = ROOT / "layers" / "resolver" / "dispatcher" / "events.py"

CODES_OF = {"Retry": 0, "Permanent": 0, "NoResponseError": 0}
"""Constructors with an error code, and the position of that argument."""


def nodes() -> Iterator[ast.AST]:
    """Yield every part of the code that ships, except the table of events itself."""
    for folder in ("layers", "functions"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path != TABLE:
                yield from ast.walk(ast.parse(path.read_text()))


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield every call in what ships, by the last part of the called name."""
    for node in nodes():
        if isinstance(node, ast.Call):
            name = node.func
            yield getattr(name, "attr", getattr(name, "id", "")), node


@cache
def texts() -> set[str]:
    """Return every text in what ships, and the names of keyword arguments."""
    found = {node.value for node in nodes() if isinstance(node, ast.Constant)}
    return found | {node.arg for node in nodes() if isinstance(node, ast.keyword)}


def named_in(column: str) -> set[str]:
    """Return the words in code marks in the first column of a table."""
    return set(re.findall(r"`([\w.]+)`", " ".join(cells[0] for cells in rows(DOCUMENT, column))))


def test_the_table_and_the_type_have_the_same_events():
    """The type checker accepts exactly the events of the table, in the same order."""
    assert get_args(EventName) == (*EVENTS,)


def test_every_event_of_the_table_is_written_by_the_code():
    """No event is documented that no code writes."""
    assert set(EVENTS) - texts() == set()


def test_every_event_of_the_code_is_in_the_table():
    """An emitted name is in the table, or comes from a variable that mypy checks."""
    emitted = {
        call.args[0].value
        for name, call in calls()
        if name == "emit" and isinstance(call.args[0], ast.Constant)
    }

    assert emitted
    assert emitted - set(EVENTS) == set()


def test_every_field_of_the_code_is_in_the_table():
    """A keyword of an emit is a field of its event; tests compare whole lines, too."""
    for name, call in calls():
        if name == "emit" and isinstance(call.args[0], ast.Constant):
            declared = EVENTS[call.args[0].value]
            fields = {keyword.arg for keyword in call.keywords if keyword.arg}
            assert fields <= {*declared.fields, *declared.optional}, call.args[0].value


@pytest.mark.parametrize("event", EVENTS)
def test_an_entry_is_complete_and_true(event):
    """Its functions exist, the code has its fields, and its texts are sentences."""
    declared = EVENTS[event]
    fields = (*declared.fields, *declared.optional)

    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", event)
    assert writers(event) <= {path.parent.name for path in ROOT.glob("functions/*/app.py")}
    assert len(set(fields)) == len(fields)
    assert set(fields) - texts() == set()
    assert re.fullmatch(r"[A-Z].*\.", declared.description)
    assert re.fullmatch(r"[A-Z`].*\.", declared.action)
    assert "|" not in declared.description + declared.action


def test_queries_of_the_documents_name_events_that_exist():
    """A query for an event without an entry would find nothing, and look like good news."""
    queries = [block.text for block in blocks() if "filter message" in block.text]
    named = {name for query in queries for name in re.findall(r'"([a-z_]+\.[a-z_]+)"', query)}

    assert named
    assert named - set(EVENTS) == set()


def test_metrics_have_different_names():
    """Two metrics of one name would add up to one number without a meaning."""
    metrics = {metric for event in EVENTS.values() for metric in event.metrics}

    assert len({metric.name for metric in metrics}) == len(metrics)


def test_every_error_code_is_explained():
    """A code in a user's history is documented for its readers."""
    codes = {
        call.args[place].value
        for name, call in calls()
        for place in [CODES_OF.get(name)]
        if place is not None
        and len(call.args) > place
        and isinstance(call.args[place], ast.Constant)
    }
    codes |= {
        keyword.value.value
        for name, call in calls()
        if name == "Ending"
        for keyword in call.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant)
    }

    assert codes - named_in("Error codes") == set()
