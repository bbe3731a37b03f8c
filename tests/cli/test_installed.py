"""The package as others install it: alone, without the service's code and without boto3."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.paths import ROOT

NAME = "integration-dispatcher-cli"


def needed(name, found):
    """Collect the distributions that one needs, extras aside."""
    if name not in found:
        found[name] = distribution(name)
        for text in requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed(requirement.name, found)
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the package and what it says that it needs."""
    folder = tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source")
    # A copy, because a build leaves a folder beside the sources.
    subprocess.run(["cp", "-r", str(ROOT / "cli"), str(source)], check=True)
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "--target", folder, source / "cli"],
        check=True,
        env={"PATH": "/usr/bin:/bin", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    found = needed(NAME, {})
    del found[NAME]
    for one in found.values():
        for name in {file.parts[0] for file in one.files or () if ".." not in file.parts}:
            if not (folder / name).exists():
                (folder / name).symlink_to(Path(one.locate_file(name)))
    return folder


def run(folder, *words, **environ):
    """Run the program with nothing else in reach."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); from dispatch_cli.main import app; "
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{code}app(prog_name='dispatch')", *words],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere", "COLUMNS": "80", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_starts_alone(installed):
    """Nothing is missing from its list of requirements."""
    shown = run(installed, "--help")
    version = run(installed, "--version")

    assert (shown.returncode, shown.stderr) == (0, "")
    assert "doctor" in shown.stdout
    assert version.stdout == f"dispatch {distribution(NAME).version}\n"
    assert not (installed / "boto3").exists()
    assert not (installed / "dispatcher").exists()


def test_it_says_how_to_get_what_dead_letters_need(installed):
    """Everything else works without boto3."""
    words = ("--dead-letter-queue-url", "https://a", "--delivery-queue-url", "https://b")

    shown = run(installed, "dead-letters", "list", *words)

    assert shown.returncode == 2
    assert shown.stderr == (
        "error: Dead letters need boto3.\n"
        "Install it: pip install 'integration-dispatcher-cli[aws]'\n"
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_its_commands(installed, shell):
    """By the script that the program prints."""
    shown = run(installed, "--show-completion", shell)

    assert shown.returncode == 0
    assert "_DISPATCH_COMPLETE" in shown.stdout
