"""The template as plain values, and the parts of it that tests ask for."""

from __future__ import annotations

import pytest

from tests.declared import template as read_template


@pytest.fixture(scope="session")
def template():
    """The whole template."""
    return read_template()


@pytest.fixture(scope="session")
def resources(template):
    """All resources by logical ID."""
    return template["Resources"]


@pytest.fixture(scope="session")
def functions(resources):
    """The properties of all functions by logical ID."""
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
