"""One version, wherever it stands."""

from __future__ import annotations

import re
import tomllib

from dispatcher import VERSION
from tools.paths import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def parts(version):
    """Return the numbers of a version."""
    return [int(number) for number in version.split(".")]


def test_the_changelog_names_this_version_as_the_next_one():
    """The sections below it are of older versions, newest first."""
    heads = re.findall(r"^## \[(.+?)\]", CHANGELOG, re.MULTILINE)

    assert f"## [Unreleased]\n\nThe next version is {VERSION}.\n" in CHANGELOG
    assert heads[0] == "Unreleased"
    assert [VERSION, *heads[1:]] == sorted({VERSION, *heads[1:]}, key=parts, reverse=True)


def test_a_version_of_the_changelog_has_each_kind_of_change_once():
    """A reader finds all that was fixed in one place."""
    for section in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.+)$", section, re.MULTILINE)
        assert len(kinds) == len(set(kinds)), section.partition("\n")[0]


def test_the_command_line_is_released_with_the_service():
    """Under the same number."""
    project = tomllib.loads((ROOT / "cli" / "pyproject.toml").read_text())["project"]

    assert project["version"] == VERSION


def test_the_examples_of_the_documents_have_this_version():
    """The response of `/health` is the one in the API's document."""
    documented = re.findall(
        r'"version": "(\d+\.\d+\.\d+)"', (ROOT / "docs/openapi.json").read_text()
    )

    assert set(documented) == {VERSION}
