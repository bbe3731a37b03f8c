"""docs/operations.md knows every log event and every error code that the code can write."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from dispatcher.adapters.event_log import METRICS, TROUBLE
from tests.documents import rows
from tools.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = "docs/operations.md"

CODES_OF = {"Retry": 0, "Permanent": 0, "NoAnswerError": 0}
"""What carries an error code, and which of its arguments it is."""


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield every call in what ships, by the last part of the called name."""
    for folder in ("layers", "functions"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = node.func
                    yield getattr(name, "attr", getattr(name, "id", "")), node


def named_in(column: str) -> set[str]:
    """Return the words in code marks in the first column of a table."""
    return set(re.findall(r"`([\w.]+)`", " ".join(cells[0] for cells in rows(DOCUMENT, column))))


def test_every_event_is_catalogued():
    """Whoever reads a log line finds its meaning, and no line is promised that never comes."""
    written = [call.args[0] for name, call in calls() if name == "emit"]

    assert all(isinstance(event, ast.Constant) for event in written), "events are literal names"
    assert {event.value for event in written} == named_in("Log events")


def test_every_event_is_told_with_its_fields():
    """Each field that a call names is in the event's row."""
    told = {
        cells[0].strip("`"): set(re.findall(r"`(\w+)`", cells[2]))
        for cells in rows(DOCUMENT, "Log events")
    }
    for name, call in calls():
        if name == "emit":
            event = call.args[0].value
            fields = {field.arg for field in call.keywords if field.arg}
            assert fields <= told[event], event


def test_every_error_code_is_explained():
    """A code in a user's history says something to whoever looks it up."""
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


def test_trouble_is_told_as_such():
    """The events that are written as warnings exist, and the document names them."""
    lines = (ROOT / DOCUMENT).read_text().splitlines()
    told = next(line for line in lines if line.startswith("Lines that somebody should look at"))

    assert set(re.findall(r"`([\w.]+)`", told)) == TROUBLE
    assert named_in("Log events") > TROUBLE


def test_what_is_counted_is_logged():
    """A metric of an event that nobody writes any more would be silent for ever."""
    assert set(METRICS) <= named_in("Log events")
