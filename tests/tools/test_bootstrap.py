"""Environments are made from locks, and made again only when something has changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tools import bootstrap
from tools.bootstrap import ENVIRONMENTS, EXTRAS, Environment
from tools.failure import ToolFailure
from tools.locks import SOURCES


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """An environment that looks made, with a separate lock."""
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    made = Environment("small", tmp_path / "small")
    made.lock.parent.mkdir()
    made.lock.write_text("one==1\n")
    made.python.parent.mkdir(parents=True)
    made.python.touch()
    made.stamp.write_text(made.recipe())
    return made


def test_an_environment_as_its_lock_says_is_left_alone(environment):
    """A second run has nothing to do."""
    assert environment.is_current()


def test_a_changed_lock_makes_it_anew(environment):
    """No command runs with yesterday's packages."""
    environment.lock.write_text("one==2\n")

    assert not environment.is_current()


def test_a_changed_package_makes_it_anew(environment, tmp_path):
    """The output of an editable install, such as a program's name, is no longer right."""
    project = tmp_path / "cli" / "pyproject.toml"
    project.parent.mkdir()
    text = "[build-system]\n[project]\nname = '{}'\n[tool.setuptools]\n"
    project.write_text(text.format("one"))
    editable = replace(environment, editable=(project.parent,))
    editable.stamp.write_text(editable.recipe())

    before = editable.is_current()
    project.write_text(text.format("two"))

    assert (before, editable.is_current()) == (True, False)


def test_a_changed_lock_of_npm_makes_it_anew(environment, tmp_path):
    """An environment with packages of npm is also made from their lock."""
    for name in ("package.json", "package-lock.json"):
        (tmp_path / name).write_text("{}")
    with_npm = replace(environment, node_packages=tmp_path)
    with_npm.stamp.write_text(with_npm.recipe())

    before = with_npm.is_current()
    (tmp_path / "package-lock.json").write_text('{"packages": {}}')

    assert (before, with_npm.is_current()) == (True, False)


def test_an_installation_that_broke_off_is_not_taken_for_done(environment):
    """The stamp comes last."""
    environment.stamp.unlink()

    assert not environment.is_current()


@pytest.mark.parametrize("version", [(3, 10), (3, 15), (2, 7)])
def test_a_python_that_lambda_does_not_run_is_refused(version):
    """With what to do about it."""
    with pytest.raises(ToolFailure, match="make PYTHON="):
        bootstrap.require_supported_python(version)


def test_a_python_without_venv_names_the_package_to_install(monkeypatch):
    """Debian leaves it out; a user without the right to install it must ask an administrator."""
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000)

    with pytest.raises(ToolFailure, match=r"python3\.\d+-venv"):
        bootstrap.ensure_venv_works()


def test_a_failed_step_shows_the_end_of_its_output(environment, monkeypatch, tmp_path):
    """The cause is on the screen; all of it in a file."""
    monkeypatch.setattr(bootstrap, "LOCAL", tmp_path)

    with pytest.raises(ToolFailure, match="no such package") as failure:
        bootstrap.run(environment, ["sh", "-c", "echo no such package; exit 1"])

    assert "logs/setup-small.log" in str(failure.value)


def test_every_lock_has_its_environment():
    """`make lock` and `make setup` speak of the same files."""
    environments = {f"requirements/{each.name}.lock" for each in (*ENVIRONMENTS, *EXTRAS)}

    assert environments == {lock for lock in SOURCES if lock.startswith("requirements/")}
