"""docs/adding-an-integration.md is followed in a copy of the repository, and the tests pass there.

The copy runs the files that mention the catalogue, which takes about 30 s of CPU; `make added`, as
the workflow does, runs all tests there that need no cloud, which takes about 200 s of CPU.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.added_integration import SUITES
from tools.paths import ROOT

BUILDS = "test_artifacts.py"
"""Builds all functions, which takes as long as everything else here."""


def mentioning(word: str) -> list[str]:
    """Return the test files that contain a word."""
    return [
        str(file.relative_to(ROOT))
        for suite in SUITES
        for file in sorted((ROOT / "tests" / suite).rglob("test_*.py"))
        if word in file.read_text() and file.name != BUILDS
    ]


@pytest.mark.timeout(600)
def test_two_files_and_one_command_add_an_integration():
    """No test, document, template or list has to be edited for an eighth integration."""
    files = mentioning("catalogue")

    done = subprocess.run(
        [sys.executable, "-m", "tests.added_integration", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert {"tests/unit/configuration/test_resolution.py", "tests/cli/test_pages.py"} <= set(files)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
