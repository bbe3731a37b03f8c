"""A separate service for each test."""

from __future__ import annotations

import pytest

from tests.functions.service import Session, running


@pytest.fixture(scope="session")
def session():
    """One session for all tests."""
    return Session()


@pytest.fixture
def service(session):
    """A newly deployed service without any stored data."""
    with running(session) as service:
        yield service
