"""What `make deploy` sets, and what it refuses."""

from __future__ import annotations

import pytest

from tools.build import architecture, runtime
from tools.deploy import deploy, settled
from tools.failure import ToolFailure


def test_a_persons_parameters_come_before_the_environments():
    """And what was built is said with them; nothing else is set."""
    chosen = settled({"Stage": "dev", "LogLevel": "INFO"}, {"LogLevel": "DEBUG"})

    assert chosen == {
        "Stage": "dev",
        "LogLevel": "DEBUG",
        "Runtime": runtime(),
        "Architecture": architecture(),
    }


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("LogLevl", "DEBUG", "Did you mean LogLevel"),
        ("Runtime", "python3.99", "not what this machine builds"),
        ("RetentionDays", "0", "whole number from 1 to 3650"),
    ],
)
def test_a_slip_is_told_before_anything_is_built(name, value, told):
    """With the value, and what it should be."""
    with pytest.raises(ToolFailure, match=told):
        settled({}, {name: value})


@pytest.mark.parametrize("environment", ["", "production", "local"])
def test_only_environments_of_aws_are_deployed(environment):
    """`local` is `make up`'s."""
    with pytest.raises(ToolFailure, match="name one of dev, prod"):
        deploy(environment, {}, ask=False)
