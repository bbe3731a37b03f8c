"""One version, wherever it stands."""

from __future__ import annotations

import re
import tomllib

from dispatcher import VERSION
from tools.paths import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def test_the_newest_release_of_the_changelog_is_this_version():
    """What comes next is collected above it."""
    heads = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)

    assert heads[0] == "[Unreleased]"
    assert re.fullmatch(rf"\[{re.escape(VERSION)}\] - \d{{4}}-\d\d-\d\d", heads[1])


def test_the_command_line_is_released_with_the_service():
    """Under the same number."""
    project = tomllib.loads((ROOT / "cli" / "pyproject.toml").read_text())["project"]

    assert project["version"] == VERSION


def test_the_examples_of_the_documents_have_this_version():
    """What `/health` answers in the API's document is what it answers."""
    documented = re.findall(
        r'"version": "(\d+\.\d+\.\d+)"', (ROOT / "docs/openapi.json").read_text()
    )

    assert set(documented) == {VERSION}
