"""A separate service for each test."""

from __future__ import annotations

import boto3
import pytest

from tests.functions.service import needed_rights, running


@pytest.fixture(scope="session")
def session():
    """One session for all tests, for it is slow to make, that writes down what is called."""
    session = boto3.Session(
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        region_name="eu-central-1",
    )
    called = []
    session.events.register(
        "provide-client-params",
        lambda params, model, **_: called.extend(needed_rights(params, model)),
    )
    session.called = called
    return session


@pytest.fixture
def service(session):
    """A newly deployed service without any stored data."""
    with running(session) as service:
        yield service
