"""docs/configuration.md names every parameter and variable, beside its true default."""

from __future__ import annotations

import re
from itertools import chain

from dispatcher.integrations import catalogue
from tests.declared import functions, variables
from tests.documents import rows

DOCUMENT = "docs/configuration.md"
EMPTY, NONE, NO_DEFAULT = "empty", "-", "none"


def word(cell: str) -> str:
    """Return a cell without its code marks."""
    return cell.strip("`")


def documented() -> dict[str, tuple[str, str]]:
    """Return variable and default by parameter, as the tables tell them."""
    tables = chain(rows(DOCUMENT, "Parameters"), rows(DOCUMENT, "Defaults of the integrations"))
    return {word(cells[0]): (word(cells[1]), word(cells[2])) for cells in tables}


def variables_by_parameter(template) -> dict[str, str]:
    """Return the environment variable that each parameter becomes."""
    return {
        value["Ref"]: name
        for function in functions()
        for name, value in variables(function).items()
        if isinstance(value, dict) and value.get("Ref") in template["Parameters"]
    }


def test_every_parameter_is_told_with_its_variable_and_default(template):
    """No parameter is missing, none is invented, and no default is an old one."""
    by_parameter = variables_by_parameter(template)
    declared = {
        name: (by_parameter.get(name, NONE), str(traits.get("Default", NO_DEFAULT)) or EMPTY)
        for name, traits in template["Parameters"].items()
    }

    assert documented() == declared


def test_every_variable_is_told(template):
    """A variable that no parameter sets is named, too."""
    known = {name for function in functions() for name in variables(function)}
    cells = (cells[0] for cells in rows(DOCUMENT, "Variables set by the template"))
    by_template = set(re.findall(r"`(\w+)`", " ".join(cells)))

    assert by_template == known - set(variables_by_parameter(template).values())


def test_the_built_in_values_are_those_of_the_integrations(template):
    """The last column is what an empty parameter leaves."""
    built_in = {
        word(cells[0]): word(cells[3]) for cells in rows(DOCUMENT, "Defaults of the integrations")
    }

    assert built_in == {
        f"{name.capitalize()}Default{setting}": value
        for name, one in catalogue().items()
        if f"{name.capitalize()}DefaultEnabled" in template["Parameters"]
        for setting, value in {
            "Enabled": "true once configured" if one.auto_enabled else "false",
            "Priority": str(one.priority),
            "RetryCount": str(one.retry_count),
            "RetryDelaySeconds": str(one.retry_delay_seconds),
        }.items()
    }
