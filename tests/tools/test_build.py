"""Builds: again only after a change, and byte for byte the same."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.util import source_hash
from pathlib import Path

import pytest

from tests.declared import template
from tools import build
from tools.failure import ToolFailure
from tools.locks import SHIPPED
from tools.paths import ROOT

HERE = build.this_machine()

SOURCES = ("template.yaml", "tools/build.py", "functions/a/app.py", "layers/l/m.py")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one function and one layer."""
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "TEMPLATE", tmp_path / "template.yaml")
    for name in ("requirements/sam.lock", *SOURCES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("as it was")
    return tmp_path


@pytest.mark.parametrize("name", SOURCES)
def test_a_changed_source_is_built_again(checkout, name):
    """The digest covers all that determines what a build makes."""
    before = build.digest(HERE)

    (checkout / name).write_text("changed")

    assert build.digest(HERE) != before


@pytest.mark.parametrize("other", [("python3.99", HERE.architecture), (HERE.runtime, "riscv")])
def test_another_target_is_built_again(checkout, other):
    """`make up` and `make deploy` share a folder, and neither takes what the other has built."""
    assert checkout
    assert build.digest(build.Target(*other)) != build.digest(HERE)


def test_bytecode_left_by_tests_changes_nothing(checkout):
    """Running the tests does not cost a build."""
    before = build.digest(HERE)

    (checkout / "layers/l/__pycache__").mkdir()
    (checkout / "layers/l/__pycache__/m.cpython-311.pyc").write_bytes(b"\0")

    assert build.digest(HERE) == before


def build_layer(artifacts, **variables):
    """Build the channels layer as SAM does; return the finished process."""
    return subprocess.run(
        ["make", "--makefile", ROOT / "layers/channels/Makefile", "build-ChannelsLayer"],
        cwd=ROOT / "layers/channels",
        env=build.environment(HERE) | {"ARTIFACTS_DIR": str(artifacts)} | variables,
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


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    """A layer that is built for this machine."""
    folder = tmp_path_factory.mktemp("layer")
    assert build_layer(folder).returncode == 0
    return folder


def test_two_builds_of_a_layer_are_the_same_byte_for_byte(layer, tmp_path):
    """An unchanged layer keeps its version on AWS."""
    assert build_layer(tmp_path).returncode == 0

    assert contents(layer) == contents(tmp_path)
    assert contents(layer).keys() >= {"python/channels/__init__.py", "python/requests/__init__.py"}


def test_a_compressed_layer_is_the_layer(layer, tmp_path):
    """The same files with their modes, and the same bytes whenever it is compressed."""
    one, other = tmp_path / "one", tmp_path / "other"
    shutil.copytree(layer, one)
    # Another order of creation, and other times.
    for path in sorted(layer.rglob("*.py*"), reverse=True):
        target = other / path.relative_to(layer)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.copytree(layer, other, dirs_exist_ok=True, copy_function=shutil.copy)

    archive = build.compress(one)

    assert archive == tmp_path / "one.zip"
    assert archive.read_bytes() == build.compress(other).read_bytes()
    with zipfile.ZipFile(archive) as packed:
        found = {
            entry.filename: (
                entry.external_attr >> 16,
                hashlib.sha256(packed.read(entry)).hexdigest(),
            )
            for entry in packed.infolist()
        }
    assert found == contents(layer)


def test_a_layer_ships_bytecode_that_python_takes_without_looking_at_the_source(layer):
    """Zip files lose the times that Python would compare, and each cold start would compile."""
    folder = layer / "python" / "channels"
    module = folder / "__init__.py"
    compiled = folder / "__pycache__" / f"__init__.{sys.implementation.cache_tag}.pyc"
    flags, checked = compiled.read_bytes()[4:8], compiled.read_bytes()[8:16]
    assert flags == b"\x01\0\0\0"
    assert checked == source_hash(module.read_bytes())


AARCH64 = bytes([183, 0])
"""ELF's name of the machine."""


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
    assert "python3.99 with pip is not installed" in built.stderr
    assert "make build" in built.stderr


def test_the_layers_makefiles_do_not_inherit_our_settings(monkeypatch):
    """Flags of the make that a person called are not for SAM's, and bytecode belongs in layers."""
    monkeypatch.setenv("MAKEFLAGS", "-n")
    monkeypatch.setenv("MAKELEVEL", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "/nowhere")

    variables = build.environment(HERE)
    assert not {"MAKEFLAGS", "MAKELEVEL", "PYTHONPYCACHEPREFIX"} & variables.keys()
    assert variables["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_the_makefiles_of_all_built_folders_are_the_same():
    """Each folder is built without the others, so there is one text: no folder differs."""
    texts = {(ROOT / folder / "Makefile").read_text() for folder in SHIPPED}

    assert len(texts) == 1


TARGETS = {
    "layers/resolver": ("build-ResolverLayer", "dispatcher", "/artifacts/python", "/opt"),
    "layers/channels": ("build-ChannelsLayer", "channels", "/artifacts/python", "/opt"),
    "functions/authorize_request": (
        *("build-AuthorizeRequestFunction", "app.py"),
        *("/artifacts", "/var/task"),
    ),
}


@pytest.mark.parametrize("folder", SHIPPED)
def test_a_folder_is_built_where_it_is_the_only_one(folder, tmp_path):
    """`sam build --use-container` mounts the folder alone: nothing beside or above it is there.

    In AWS's build images the Python is that of the image, and the processor that of the container.
    """
    target, ours, into, deployed = TARGETS[folder]
    alone = tmp_path / "source"
    shutil.copytree(ROOT / folder, alone, ignore=shutil.ignore_patterns("__pycache__"))
    image = "/var/lang/bin/python3"

    planned = subprocess.run(
        ["make", "--dry-run", target, f"image={image}", "ARTIFACTS_DIR=/artifacts"],
        cwd=alone,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )

    assert planned.returncode == 0, planned.stderr
    machine = {"arm64": "aarch64", "x86_64": "x86_64"}[HERE.architecture]
    assert f'"{image}" -m pip' in planned.stdout
    assert f"--platform manylinux2014_{machine} " in planned.stdout
    assert f'--target "{into}"' in planned.stdout
    assert f'cp -R {ours} "{into}/"' in " ".join(planned.stdout.split())
    assert f'-p {deployed} "{into}"' in planned.stdout


def test_a_plain_build_is_for_what_the_template_deploys():
    """Without settings the Makefiles take the template's defaults, not this machine's."""
    planned = subprocess.run(
        ["make", "--dry-run", "build-ChannelsLayer", "ARTIFACTS_DIR=/artifacts"],
        cwd=ROOT / "layers/channels",
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    parameters = template()["Parameters"]

    assert f'"{parameters["Runtime"]["Default"]}" -m pip' in planned
    assert parameters["Architecture"]["Default"] == "arm64"
    assert "--platform manylinux2014_aarch64 " in planned


def test_a_runtime_that_is_not_installed_is_said_plainly():
    """With every way out: install it, build in a container, or deploy for this machine's Python."""
    with pytest.raises(ToolFailure, match="not installed") as failure:
        build.environment(build.Target("python3.99", "arm64"))

    assert "sam build --use-container" in str(failure.value)
    assert f"Runtime={build.runtime()}" in str(failure.value)
