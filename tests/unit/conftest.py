"""Fixtures of all unit tests: no network, and a service in memory."""

from __future__ import annotations

import pytest
from pytest_socket import disable_socket

from tests.world import World


def pytest_runtest_setup() -> None:
    """Forbid the network; a test that needs loopback says so: ``pytest.mark.enable_socket``."""
    # pytest-socket's own hook runs after this one: it opens for the mark, and tidies up.
    disable_socket(allow_unix_socket=True)


@pytest.fixture
def world() -> World:
    """Return a whole service in memory with a stopped clock."""
    return World()
