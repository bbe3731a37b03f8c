"""CLI: what an override may hold, and where a message goes."""

from __future__ import annotations

import pytest

from dispatcher.errors import InvalidInputError
from dispatcher.inputs import override_config
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Address, Recipient

CLI = catalogue()["CLI"]


@pytest.mark.parametrize("told", [True, False])
def test_a_config_holds_one_key(told):
    """Whether the agent is named."""
    assert override_config(CLI, {"include_agent_info": told}, {}) == {"include_agent_info": told}


@pytest.mark.parametrize("config", [{"include_agent_info": 1}, {"colour": True}])
def test_anything_else_is_refused(config):
    """A flaw is told at the key."""
    with pytest.raises(InvalidInputError) as caught:
        override_config(CLI, config, {})

    assert [flaw.pointer for flaw in caught.value.flaws] == [f"/config/{next(iter(config))}"]


def test_a_message_goes_to_the_users_mailbox():
    """Under the user id as it is."""
    assert CLI.address({}, Recipient(), "Ada|1", {}) == Address("mailbox", "Ada|1")
