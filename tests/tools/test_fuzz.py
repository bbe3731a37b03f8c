"""Fuzzing of the API: the settings of schemathesis, and the use of its report."""

from __future__ import annotations

import json
import stat
import tomllib

import pytest

from tests import fuzz_api as tool
from tests.contract import DOCUMENT

SAYS = """#!/bin/sh
printf '%s\\n' "$@" > "{arguments}"
echo "Test cases:"
echo "  1,234 generated, 1 found 1 unique failure"
exit {code}
"""


@pytest.fixture
def program(monkeypatch, tmp_path):
    """A program in schemathesis's place that writes down how it was called."""

    def make(code):
        path = tmp_path / "schemathesis"
        path.write_text(SAYS.format(arguments=tmp_path / "arguments", code=code))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(tool, "PROGRAM", path)
        return tmp_path / "arguments"

    return make


OPERATIONS = sum(len(methods) for methods in DOCUMENT["paths"].values())


def test_without_credentials_all_is_checked_that_needs_none(program, tmp_path):
    """The verdict is schemathesis's own."""
    arguments = program(code=1)

    verdict = tool.fuzz(
        "http://localhost:1", home=tmp_path / "home", cases=5 * OPERATIONS + 1, seed=7
    )

    asked = arguments.read_text().splitlines()
    assert (verdict.cases, verdict.passed) == (1234, False)
    assert "1 unique failure" in (tmp_path / "home" / "schemathesis.log").read_text()
    assert asked[asked.index("--max-examples") + 1] == "5"
    assert asked[asked.index("--seed") + 1] == "7"
    assert asked[asked.index("--exclude-checks") + 1] == tool.NEED_CREDENTIALS


def test_with_credentials_nothing_is_left_out(program, tmp_path):
    """The first user owns the paths, and no user may see another's objects."""
    arguments = program(code=0)
    users = tmp_path / "users.json"
    users.write_text(json.dumps({"auth": [{"name": "ada"}, {"name": "grace"}]}))

    verdict = tool.fuzz("http://x", home=tmp_path / "home", cases=9, seed=1, credentials=users)

    settings = tomllib.loads((tmp_path / "home" / "schemathesis.toml").read_text())
    assert verdict.passed
    assert "--exclude-checks" not in arguments.read_text()
    assert settings["auth"] == {"wfc": {"path": str(users), "peers": ["ada", "grace"]}}
    assert settings["parameters"] == {"path.user_id": "ada"}
    assert settings["hooks"] == "tests.fuzz_hooks"
