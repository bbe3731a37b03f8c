"""The console's libraries: exactly the bytes that the locks name."""

from __future__ import annotations

import json
import shutil

import pytest

from tools import vendor
from tools.failure import ToolFailure
from tools.paths import ROOT


@pytest.fixture
def folder(tmp_path):
    """A copy of the console's libraries."""
    return shutil.copytree(ROOT / vendor.FOLDERS[0], tmp_path / "vendor")


@pytest.mark.parametrize("name", vendor.FOLDERS)
def test_the_committed_files_are_those_of_the_lock(name):
    """Each has a license and a hash, and no address of a registry."""
    vendor.check(ROOT / name)

    lock = json.loads((ROOT / name / vendor.LOCK).read_text())
    assert all(
        set(one) == {"name", "version", "source", "file", "license", "sha256"} for one in lock
    )
    licenses = (ROOT / name / vendor.LICENSES).read_text()
    assert all(f"{one['name']} {one['version']}\n" in licenses for one in lock)


def test_a_changed_byte_fails_the_check(folder):
    """The message names the file and the command that renews it."""
    file = folder / "preact.js"
    file.write_bytes(file.read_bytes()[:-1] + b" ")

    with pytest.raises(ToolFailure, match=r"preact\.js is not the file .* make vendor"):
        vendor.check(folder)


@pytest.mark.parametrize("change", ["added", "removed"])
def test_another_set_of_files_fails_the_check(folder, change):
    """A file that no lock names could hold anything."""
    if change == "added":
        (folder / "more.js").write_text("")
    else:
        (folder / "htm.js").unlink()

    with pytest.raises(ToolFailure):
        vendor.check(folder)
