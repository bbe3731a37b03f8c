"""Automatic checks, at a push or a commit, are the same that maintainers run."""

from __future__ import annotations

import re
import tomllib

import yaml

from tests.declared import template
from tools.paths import ROOT

WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())


def commands(job):
    """Return what a job of the workflow runs."""
    return [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if "run" in step]


def test_the_workflow_is_make_test_and_make_added():
    """CI runs the commands that a maintainer runs, in the same order."""
    script = (ROOT / ".ci" / "run").read_text()

    assert commands("test") == ["bash .ci/run", "make added"]
    assert script.splitlines()[-1] == "make test"
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_the_workflow_runs_every_python_that_is_promised():
    """Every runtime that the template accepts is tested; the oldest is the package's oldest."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"]

    assert project["requires-python"].startswith(f">={pythons[0]},")
    assert [f"python{one}" for one in pythons] == template()["Parameters"]["Runtime"][
        "AllowedValues"
    ]


def test_actions_are_pinned_by_commit():
    """The author of an action can move a tag, but not a commit."""
    text = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    used = re.findall(r"uses: (.+)", text)

    assert len(used) == 4
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one) for one in used)


def test_hooks_use_the_tools_of_the_checkout():
    """Hooks use the tool versions of the lock file."""
    [local] = HOOKS["repos"]
    entries = [hook["entry"].split()[0] for hook in local["hooks"]]

    assert local["repo"] == "local"
    assert entries == [".venv/bin/ruff", ".venv/bin/ruff", "make"]
