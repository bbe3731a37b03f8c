"""What runs by itself, at a push or a commit, is what a person runs."""

from __future__ import annotations

import tomllib

import yaml

from tools.paths import ROOT

WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())


def commands(job):
    """Return what a job of the workflow runs."""
    return [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if "run" in step]


def test_the_workflow_is_make_test_and_nothing_else():
    """So whoever has seen it pass here sees it pass there."""
    script = (ROOT / ".ci" / "run").read_text()

    assert commands("test") == ["bash .ci/run"]
    assert script.splitlines()[-1] == "make test"
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_the_workflow_has_the_pythons_that_are_promised():
    """The oldest that the package takes, and the one that the template deploys."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"]

    assert project["requires-python"].startswith(f">={pythons[0]},")
    assert f"Default: python{pythons[-1]}" in (ROOT / "template.yaml").read_text()


def test_hooks_use_the_tools_of_the_checkout():
    """Pinned once, in the lock; no hook brings a version of its own."""
    [local] = HOOKS["repos"]
    entries = [hook["entry"].split()[0] for hook in local["hooks"]]

    assert local["repo"] == "local"
    assert entries == [".venv/bin/ruff", ".venv/bin/ruff", "make"]
