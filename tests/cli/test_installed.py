"""The package as users install it: alone, without the service's code and without boto3."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.paths import ROOT

NAME = "integration-dispatcher-cli"


def collect(name, found):
    """Collect the distributions that a distribution requires, without extras."""
    if name not in found:
        found[name] = distribution(name)
        for text in requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                collect(requirement.name, found)
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the package and its declared requirements."""
    folder = tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source")
    # A copy, because the build writes a folder beside the sources.
    subprocess.run(["cp", "-r", str(ROOT / "cli"), str(source)], check=True)
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "--target", folder, source / "cli"],
        check=True,
        env={"PATH": "/usr/bin:/bin", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    found = collect(NAME, {})
    del found[NAME]
    for requirement in found.values():
        for name in {file.parts[0] for file in requirement.files or () if ".." not in file.parts}:
            if not (folder / name).exists():
                (folder / name).symlink_to(Path(requirement.locate_file(name)))
    return folder


def run(folder, *words, **environ):
    """Run the program without any other package."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); from dispatch_cli.main import app; "
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{code}app(prog_name='dispatch')", *words],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere", "COLUMNS": "80", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_starts_alone(installed):
    """The list of requirements is complete, and holds neither boto3 nor the service."""
    result = run(installed, "--help")
    version = run(installed, "--version")

    assert (result.returncode, result.stderr) == (0, "")
    assert "doctor" in result.stdout
    assert version.stdout == f"dispatch {distribution(NAME).version}\n"
    assert not (installed / "boto3").exists()
    assert not (installed / "dispatcher").exists()


def test_dead_letters_without_boto3_name_the_extra(installed):
    """Only dead-letters needs boto3; without it, the error names the command that installs it."""
    words = ("--dead-letter-queue-url", "https://a", "--delivery-queue-url", "https://b")

    result = run(installed, "dead-letters", "list", *words)

    assert result.returncode == 2
    assert result.stderr == (
        "error: dispatch dead-letters needs boto3.\n"
        "To install it: pip install 'integration-dispatcher-cli[aws]'\n"
    )


@pytest.mark.parametrize("columns", ["0", "00", "-1", "nonsense", "1"])
@pytest.mark.parametrize("words", [("--help",), ("send",), ("health", "--nonsense")])
def test_no_width_hides_the_output(installed, words, columns):
    """Help and errors are shown in full whatever COLUMNS says; 0 is what some terminals say."""
    result = run(installed, *words, COLUMNS=columns)

    assert "dispatch" in result.stdout + result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_its_commands(installed, shell):
    """The program prints a completion script for each shell.

    ``--show-completion`` prints the one of the shell that it is called from, and a test may have
    no shell among its ancestors.
    """
    result = run(installed, _DISPATCH_COMPLETE=f"source_{shell}")

    assert result.returncode == 0
    assert "_DISPATCH_COMPLETE" in result.stdout
