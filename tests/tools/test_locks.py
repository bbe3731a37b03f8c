"""The locks: complete, hashed, without addresses, and in step with what they were made from."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tools.locks import DEV_LOCK, NODE_PACKAGES, SHIPPED, SOURCES, main
from tools.paths import ROOT

PIN = re.compile(r"^([a-zA-Z0-9._-]+)(?:\[.*\])?==([^\s;]+)", re.MULTILINE)


def pins(file):
    """Return the versions that a file of requirements names, by normal name."""
    found = PIN.findall((ROOT / file).read_text())
    return {(re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in found}


def test_every_lock_is_in_the_one_list():
    """Renewal, audit and tests read the same list, and no lock is missing in it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.lock"]
    files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert sorted(files.split()) == sorted(SOURCES)


def test_an_audit_reads_every_lock(capsys):
    """`make audit` asks for the list; a separate pattern once left the authorizer's lock out."""
    makefile = (ROOT / "Makefile").read_text()
    audit = makefile.partition("\naudit:")[2].partition("\n\n")[0]

    assert main(["--list"]) == 0
    assert capsys.readouterr().out.split() == list(SOURCES)
    assert "$(python) -m tools.locks --list" in audit
    assert ".lock" not in audit.replace("tools.locks", "")
    assert not re.search(r"[\w*]\.lock\b", makefile)


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


@pytest.mark.parametrize("lock", [f"{folder}/requirements.lock" for folder in SHIPPED])
def test_what_ships_has_the_versions_that_were_tested(lock):
    """Nothing is on Lambda that the development environment does not have."""
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
