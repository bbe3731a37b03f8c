"""The locks: complete, hashed, without addresses, and in step with what they were made from."""

from __future__ import annotations

import json
import re

import pytest

from tools.locks import DEV_LOCK, NODE_PACKAGES, SOURCES
from tools.paths import ROOT

PIN = re.compile(r"^([a-zA-Z0-9._-]+)(?:\[.*\])?==([^\s;]+)", re.MULTILINE)


def pins(file):
    """Return the versions that a file of requirements names, by normal name."""
    found = PIN.findall((ROOT / file).read_text())
    return {(re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in found}


@pytest.mark.parametrize("lock", SOURCES)
def test_a_lock_holds_what_it_was_made_from(lock):
    """After a change of requirements comes `make lock`."""
    wanted = set.union(*(pins(source) for source in SOURCES[lock]))

    assert wanted
    assert wanted <= pins(lock)


@pytest.mark.parametrize("lock", SOURCES)
def test_every_line_of_a_lock_is_hashed_and_none_is_an_address(lock):
    """Where packages come from is the user's own setting."""
    text = (ROOT / lock).read_text()

    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    for requirement in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in requirement


@pytest.mark.parametrize("lock", [lock for lock in SOURCES if lock.startswith("layers/")])
def test_a_layer_ships_the_versions_that_were_tested(lock):
    """Nothing is in a layer that the development environment does not have."""
    assert pins(lock) <= pins(DEV_LOCK)


def test_layers_do_not_disagree():
    """Both layers lie in one folder on AWS: a package in both has one version."""
    together = pins("layers/resolver/requirements.lock") | pins("layers/channels/requirements.lock")

    names = [name for name, _ in together]
    assert len(names) == len(set(names))


def test_the_lock_of_npm_is_hashed_and_names_no_address():
    """It holds the versions of package.json, and each user's settings of npm say where they are."""
    wanted = json.loads((NODE_PACKAGES / "package.json").read_text())["dependencies"]
    lock = json.loads((NODE_PACKAGES / "package-lock.json").read_text())["packages"]
    packages = {name.partition("node_modules/")[2]: one for name, one in lock.items() if name}

    assert {name: packages[name]["version"] for name in wanted} == wanted
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())
    assert not [name for name, one in packages.items() if "resolved" in one]
