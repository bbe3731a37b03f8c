"""Clients that are generated from the API's document work against the real functions."""

from __future__ import annotations

import json

import pytest

from dispatcher.integrations import catalogue
from tests.catalogues import unused
from tests.clients.conftest import NODE_MODULES, run
from tests.contract import operation

NEW_OVERRIDES = [
    example["value"]
    for example in operation("create_override")["requestBody"]["content"]["application/json"][
        "examples"
    ].values()
]
TYPES = [body["integration_type"] for body in NEW_OVERRIDES]


@pytest.fixture
def python_program(python_client):
    """Run the Python program against a URL; return what it read."""
    bodies = python_client / "overrides.json"
    bodies.write_text(json.dumps(NEW_OVERRIDES))
    return lambda url: json.loads(
        run("python", python_client / "program.py", url, bodies, cwd=python_client)
    )


@pytest.fixture
def typescript_program(typescript_client):
    """Run the TypeScript program against a URL; return what it read."""
    return lambda url: json.loads(
        run("node", typescript_client / "program.ts", url, cwd=typescript_client)
    )


def test_a_python_client_does_what_a_caller_does(python_program, gateway):
    """It overrides every integration, sends, reads all pages of the history, and reads problems."""
    assert python_program(gateway.url) == {
        "created": TYPES,
        "signed": [name == "WEBHOOK" for name in TYPES],
        "retry_count": 0,
        "listed": [*catalogue()],
        "effective": ["TEST"],
        "disabled": unused({"STAGE": "local", "TOOL_BUS_NAME": "ToolBus"}, "TEST"),
        "accepted": [["TEST", "pending"]],
        "skipped": [["SMS", "disabled_by_default"]],
        "request": ["Ticket 42", "all", 1],
        "history": [["TEST", "success", None, True], ["TEST", "success", None, True]],
        "attempts": [["delivered", None]],
        "mailbox": [["TEST", "Hello Ada"], ["TEST", "Second"]],
        "invalid": [422, [["/content", "must not be blank"]]],
        "missing": [404, "Not found"],
        "health": "healthy",
        "docs": "<!DOCTYPE html>",
    }


def test_a_python_client_reads_values_that_it_does_not_know(python_program, later_gateway):
    """A new integration, status, reason, error code or field breaks no client in use."""
    found = python_program(later_gateway.url)

    assert found["created"] == found["listed"] == ["FAX"] * len(TYPES)
    assert found["effective"] == ["TEST", "FAX"]
    assert found["accepted"] == [["FAX", "paused"]]
    assert found["skipped"] == [["FAX", "quiet_hours"]]
    assert found["request"] == ["Ticket 42", "round_robin", 1]
    assert found["history"] == [["FAX", "paused", "fax_jam", True]] * 2
    assert found["attempts"] == [["postponed", "fax_jam"]]
    assert found["health"] == "paused"


def test_a_typescript_client_does_what_a_caller_does(typescript_program, gateway):
    """It creates a webhook override, sends, reads the history, and reads problems."""
    assert typescript_program(gateway.url) == {
        "created": "WEBHOOK",
        "signed": True,
        "accepted": ["TEST"],
        "skipped": [],
        "history": ["TEST success"],
        "invalid": ["/content"],
    }


def test_a_typescript_client_reads_values_that_it_does_not_know(typescript_program, later_gateway):
    """A new integration, status, reason, error code or field breaks no client in use."""
    found = typescript_program(later_gateway.url)

    assert found["created"] == "FAX"
    assert found["history"] == ["by fax: paused fax_jam"]


def test_a_typescript_program_passes_the_strict_type_check(typescript_client):
    """Responses are open strings, and request bodies require only what the service requires."""
    compiler = NODE_MODULES / "typescript" / "bin" / "tsc"
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext"]

    run(
        *("node", compiler, *options, "--allowImportingTsExtensions", "program.ts"),
        cwd=typescript_client,
    )
