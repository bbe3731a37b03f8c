"""Builds: again only after a change, and byte for byte the same."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib.util import source_hash
from pathlib import Path

import pytest

from tools import build
from tools.paths import ROOT


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one function and one layer."""
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "TEMPLATE", tmp_path / "template.yaml")
    for name in ("template.yaml", "requirements/sam.lock", "functions/a/app.py", "layers/l/m.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("as it was")
    return tmp_path


@pytest.mark.parametrize("name", ["template.yaml", "functions/a/app.py", "layers/l/m.py"])
def test_a_changed_source_is_built_again(checkout, name):
    """The digest covers all that a build reads."""
    before = build.digest()

    (checkout / name).write_text("changed")

    assert build.digest() != before


def test_bytecode_left_by_tests_changes_nothing(checkout):
    """Running the tests does not cost a build."""
    before = build.digest()

    (checkout / "layers/l/__pycache__").mkdir()
    (checkout / "layers/l/__pycache__/m.cpython-311.pyc").write_bytes(b"\0")

    assert build.digest() == before


def build_layer(artifacts, **variables):
    """Build the channels layer as SAM does; return the finished process."""
    return subprocess.run(
        ["make", "--makefile", ROOT / "layers/channels/Makefile", "build-ChannelsLayer"],
        cwd=ROOT / "layers/channels",
        env=build.environment() | {"ARTIFACTS_DIR": str(artifacts)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def contents(folder):
    """Return the mode and hash of every file."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_two_builds_of_a_layer_are_the_same_byte_for_byte(tmp_path):
    """An unchanged layer keeps its version on AWS."""
    first, second = tmp_path / "first", tmp_path / "second"

    assert build_layer(first).returncode == 0
    assert build_layer(second).returncode == 0

    assert contents(first) == contents(second)
    assert contents(first).keys() >= {"python/channels/__init__.py", "python/requests/__init__.py"}


def test_a_layer_ships_bytecode_that_python_takes_without_looking_at_the_source(tmp_path):
    """Zip files lose the times that Python would compare, and each cold start would compile."""
    assert build_layer(tmp_path).returncode == 0

    folder = tmp_path / "python" / "channels"
    module = folder / "__init__.py"
    compiled = folder / "__pycache__" / f"__init__.{sys.implementation.cache_tag}.pyc"
    flags, checked = compiled.read_bytes()[4:8], compiled.read_bytes()[8:16]
    assert flags == b"\x01\0\0\0"
    assert checked == source_hash(module.read_bytes())


AARCH64 = bytes([183, 0])
"""What ELF calls it."""


def test_a_layer_is_built_for_the_processor_that_is_asked_for(tmp_path):
    """An arm64 function gets arm64 wheels, wherever it was built."""
    assert build_layer(tmp_path, LAYER_ARCHITECTURE="arm64").returncode == 0

    # By the machine in its header: the name of a library for every Python (abi3) tells none.
    machines = {path.read_bytes()[18:20] for path in tmp_path.rglob("*.so")}
    assert machines == {AARCH64}


def test_a_missing_interpreter_is_said_plainly(tmp_path):
    """A plain `sam build` wants the Python of the runtime; `make build` uses the one at hand."""
    built = build_layer(tmp_path, LAYER_PYTHON="python3.99")

    assert built.returncode != 0
    assert "python3.99 with pip is not here" in built.stderr
    assert "make build" in built.stderr


def test_the_layers_makefiles_do_not_inherit_our_make(monkeypatch):
    """Flags of the make that a person called are not meant for SAM's."""
    monkeypatch.setenv("MAKEFLAGS", "-n")
    monkeypatch.setenv("MAKELEVEL", "1")

    assert not {"MAKEFLAGS", "MAKELEVEL"} & build.environment().keys()
    assert build.environment()["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
