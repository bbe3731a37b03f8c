"""The import of another dispatcher's settings, against the real functions."""

from __future__ import annotations

import json

import pytest
import requests

from tests.cli.server import Gateway, behind
from tests.functions.conftest import service, session  # noqa: F401 - fixtures
from tools.import_overrides import convert, main

OLD = {"retry_count": 3, "retry_delay_seconds": 60, "id": 7, "created_at": "2026-01-01T00:00:00"}
EMAIL = {
    "user_id": "ada",
    "integration_type": "EMAIL",
    "enabled": True,
    "priority": 1,
    "config": {"email_address": "ada@example.com", "signature": "gone"},
    **OLD,
}
SLACK = {
    "user_id": "ada",
    "integration_type": "slack",
    "enabled": False,
    "priority": 9,
    "config": {},
    **OLD,
    "retry_count": 0,
    "retry_delay_seconds": 0,
}
TEAMS = EMAIL | {"user_id": "grace", "integration_type": "TEAMS"}


def test_the_highest_number_becomes_priority_one():
    """Attempts become retries, out-of-range numbers the nearest limit; unknown keys are dropped."""
    assert [*convert([EMAIL, SLACK])] == [
        (
            "ada",
            {
                "integration_type": "SLACK",
                "enabled": False,
                "priority": 1,
                "retry_count": 0,
                "retry_delay_seconds": 1,
                "config": {},
            },
        ),
        (
            "ada",
            {
                "integration_type": "EMAIL",
                "enabled": True,
                "priority": 2,
                "retry_count": 2,
                "retry_delay_seconds": 60,
                "config": {"email_address": "ada@example.com"},
            },
        ),
    ]


def test_exclusive_disables_what_a_user_had_no_row_for():
    """Only integrations that are enabled without an override need it."""
    disabled = [body for _, body in convert([EMAIL, SLACK], exclusive=True) if len(body) == 2]

    assert disabled == [
        {"integration_type": name, "enabled": False} for name in ("TEST", "CLI", "TOOL")
    ]


@pytest.fixture
def gateway(service, monkeypatch):  # noqa: F811 - a fixture is asked for by its name
    """The service behind an HTTP server, named in the environment."""
    with Gateway(behind(service)) as running:
        monkeypatch.setenv("DISPATCH_URL", running.url)
        monkeypatch.setenv("DISPATCH_API_KEY", "a-key")
        yield running


def test_a_file_is_imported(gateway, tmp_path, capsys):
    """Every row becomes an override; a rejected one is named, and the others are imported."""
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, (EMAIL, TEAMS, SLACK))) + "\n\n")

    assert main([str(file)]) == 1

    assert {headers["x-api-key"] for _, _, headers, _ in gateway.requests} == {"a-key"}
    assert capsys.readouterr().err.startswith("grace TEAMS: /integration_type: ")
    route = f"{gateway.url}/api/v1/users/ada/integrations"
    stored = requests.get(route, timeout=30).json()["integrations"]
    assert [(one["integration_type"], one["priority"]) for one in stored] == [
        ("SLACK", 1),
        ("EMAIL", 2),
    ]


def test_a_dry_run_sends_nothing(gateway, tmp_path, capsys):
    """It prints each override as one line of JSON."""
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(EMAIL))

    assert main([str(file), "--dry-run"]) == 0

    assert json.loads(capsys.readouterr().out) == {"user_id": "ada", **next(convert([EMAIL]))[1]}
    assert gateway.requests == []
