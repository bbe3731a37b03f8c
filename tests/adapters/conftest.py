"""Real adapters on moto, with the tables that the template declares."""

from __future__ import annotations

import json

import boto3
import pytest
from moto import mock_aws

from tests.declared import create_table


@pytest.fixture(scope="session")
def session():
    """One session for all tests: it reads the models of the services, which takes long, once."""
    return boto3.Session("testing", "testing", region_name="eu-central-1")


@pytest.fixture
def aws(session, monkeypatch):
    """An AWS for one test, in memory."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
        yield boto3.client


@pytest.fixture
def dynamodb(aws):
    """A DynamoDB client with both tables of the template, named by their logical IDs."""
    client = aws("dynamodb")
    for table in ("OverridesTable", "DeliveriesTable"):
        create_table(client, table)
    return client


@pytest.fixture
def asked(dynamodb):
    """The client's calls from now on: each operation with its body."""
    sent: list[tuple[str, dict]] = []

    def seen(model, params, **_):
        sent.append((model.name, json.loads(params["body"])))

    dynamodb.meta.events.register("before-call", seen)
    return sent
