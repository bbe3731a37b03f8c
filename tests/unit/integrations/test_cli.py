"""CLI: what an override may hold, and where a message goes."""

from __future__ import annotations

import pytest

from dispatcher.configuration.bodies import override_config
from dispatcher.errors import InvalidInputError
from dispatcher.integrations import catalogue
from dispatcher.integrations.integration import Address, Recipient

CLI = catalogue()["CLI"]


@pytest.mark.parametrize("told", [True, False])
def test_a_config_holds_one_key(told):
    """Whether the agent is named."""
    assert override_config(CLI, {"include_agent_info": told}, {}) == {"include_agent_info": told}


@pytest.mark.parametrize("config", [{"include_agent_info": 1}, {"colour": True}])
def test_anything_else_is_refused(config):
    """A field_error is reported at the key."""
    with pytest.raises(InvalidInputError) as caught:
        override_config(CLI, config, {})

    assert [field_error.pointer for field_error in caught.value.field_errors] == [
        f"/config/{next(iter(config))}"
    ]


def test_a_message_goes_to_the_users_mailbox():
    """Under the user ID as it is."""
    assert CLI.address({}, Recipient(), "Ada|1", {}) == Address("mailbox", "Ada|1")
