"""TOOL: what an override may hold, and where a message goes."""

from __future__ import annotations

import pytest

from dispatcher.configuration.bodies import override_config
from dispatcher.errors import InvalidInputError
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Address, Recipient

TOOL = catalogue()["TOOL"]


@pytest.mark.parametrize("tool", ["a", "9", "crm/ticket:v1.2_x-y", "t" * 128])
def test_a_config_names_a_tool(tool):
    """1-128 letters, digits and a few marks."""
    config = {"tool_id": tool, "include_agent_info": True}

    assert override_config(TOOL, config, {}) == config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tool_id", ""),
        ("tool_id", "*"),
        ("tool_id", "/crm"),
        ("tool_id", "a b"),
        ("tool_id", "t" * 129),
        ("tool_id", "\u00e9"),
        ("tool_id", 5),
        ("include_agent_info", "x"),
        ("bus", "b"),
    ],
)
def test_each_key_has_its_rule(key, value):
    """A field_error is reported at the key."""
    with pytest.raises(InvalidInputError) as caught:
        override_config(TOOL, {key: value}, {})

    assert [field_error.pointer for field_error in caught.value.field_errors] == [f"/config/{key}"]


@pytest.mark.parametrize(("config", "tool"), [({"tool_id": "crm"}, "crm"), ({}, "*")])
def test_a_message_goes_to_the_named_tool_or_to_all(config, tool):
    """``*`` addresses all subscribers."""
    assert TOOL.address(config, Recipient(), "ada", {}) == Address("tool", tool)
