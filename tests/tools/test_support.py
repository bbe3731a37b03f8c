"""Support for developers: the debugger's page, the dev container, and the supported versions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from tests.declared import template
from tests.documents import blocks, rows
from tools.bootstrap import NEWEST, OLDEST
from tools.paths import ROOT

CONTAINER = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
SUPPORTED = {cells[0]: cells for cells in rows("docs/README.md", "Supported versions")}


def test_the_documented_debugger_stops_in_a_function():
    """The page's command and its debugger commands stop where a handler's response is made."""
    page = [one for one in blocks() if one.document == "docs/debugging.md"]
    (command,) = [one.text for one in page if one.mark == "debug"]
    (typed,) = [one.text for one in page if one.language == "text"]

    done = subprocess.run(
        ["bash", "-euc", command.replace(".venv/bin/", f"{Path(sys.executable).parent}/")],
        cwd=ROOT,
        env=os.environ | {"PYTEST_ADDOPTS": "-p no:cacheprovider", "COLUMNS": "80"},
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    stopped = done.stdout.partition("(Pdb) Breakpoint 1 at")[2]
    assert "functions/send_message/app.py" in stopped  # of `where`
    assert "requests = 'requests'" in stopped  # of `args`
    assert "1 passed" in stopped


def test_the_files_and_modules_of_the_debugging_page_exist():
    """Each path and test that a command of the page names exists."""
    text = (ROOT / "docs" / "debugging.md").read_text()

    paths = re.findall(r"\b(?:tests|functions)/[\w/]+\.py", text)
    assert set(paths) == {"tests/functions/test_deliveries.py", "functions/send_message/app.py"}
    assert all((ROOT / path).is_file() for path in paths)
    for name in re.findall(r" -k (\w+)", text):
        assert f"def {name}" in (ROOT / "tests/functions/test_deliveries.py").read_text()


def test_the_dev_container_sets_the_project_up():
    """It has Debian 12 with the oldest Python, and its command is a target of the Makefile."""
    program, target = CONTAINER["postCreateCommand"].split()

    assert CONTAINER["image"] == f"python:{OLDEST[0]}.{OLDEST[1]}-bookworm"
    assert program == "make"
    dry_run = ["make", "--dry-run", target]
    subprocess.run(dry_run, cwd=ROOT, capture_output=True, check=True)


def test_the_dev_container_names_existing_files():
    """Its interpreter is the one that setup creates, and its tests are an existing folder."""
    settings = CONTAINER["customizations"]["vscode"]["settings"]

    assert settings["python.defaultInterpreterPath"] == (
        "${containerWorkspaceFolder}/.venv/bin/python"
    )
    assert all((ROOT / path).is_dir() for path in settings["python.testing.pytestArgs"])


def test_the_supported_pythons_are_those_of_the_workflow():
    """Page, workflow, setup and the template's runtimes name the same versions."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    versions = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    setup = [f"3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    runtimes = [f"python{one}" for one in versions]

    assert setup == versions
    assert SUPPORTED["Python on your machine"][1] == ", ".join(versions)
    cells = [SUPPORTED[name][1] for name in SUPPORTED if name.startswith("Lambda")]
    declared = [template()["Parameters"][name] for name in ("Runtime", "Architecture")]
    assert declared[0]["AllowedValues"] == runtimes
    assert [re.findall(r"`(.+?)`", cell) for cell in cells] == [
        each["AllowedValues"] for each in declared
    ]
