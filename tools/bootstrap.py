"""Create the virtual environments that everything else runs in.

The only module that the user's own Python runs, so it needs nothing but the standard library.
Each environment is made from one hashed lock file. A stamp inside it names the lock and the
Python that it was made from, so a second run has nothing to do.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tools.failure import ToolFailure, run_logged
from tools.paths import LOCAL, ROOT

OLDEST, NEWEST = (3, 11), (3, 14)
NODE_FILES = ("package.json", "package-lock.json")


@dataclass(frozen=True)
class Environment:
    """A virtual environment and the lock that fills it."""

    name: str
    folder: Path
    editable: tuple[Path, ...] = ()
    node_packages: Path | None = None
    """A folder with package.json and package-lock.json, for an environment that has npm."""

    @property
    def lock(self) -> Path:
        """Return the hashed requirements."""
        return ROOT / "requirements" / f"{self.name}.lock"

    @property
    def python(self) -> Path:
        """Return its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Return the file that says what the environment was made from."""
        return self.folder / ".made-from"

    def recipe(self) -> str:
        """Describe what the environment would be made from now."""
        ingredients = [self.lock.read_bytes(), str(sys.version_info[:2]).encode()]
        ingredients += [packaging(project).encode() for project in self.editable]
        if self.node_packages:
            ingredients += [(self.node_packages / name).read_bytes() for name in NODE_FILES]
        return hashlib.sha256(b"\0".join(ingredients)).hexdigest()

    def is_current(self) -> bool:
        """Return whether the environment is up to date."""
        return (
            self.python.exists() and self.stamp.exists() and self.stamp.read_text() == self.recipe()
        )


def packaging(folder: Path) -> str:
    """Return what an editable install reads of a folder's pyproject.toml."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    parts = (project["build-system"], project["project"], project["tool"]["setuptools"])
    return json.dumps(parts, sort_keys=True)


#: SAM and the local cloud pin other versions of boto3, and schemathesis would plug itself
#: into every run of pytest, so each lives alone.
ENVIRONMENTS = (
    Environment("dev", ROOT / ".venv", editable=(ROOT, ROOT / "cli")),
    Environment("sam", LOCAL / "sam"),
    Environment("cloud", LOCAL / "cloud"),
    Environment("fuzz", LOCAL / "fuzz"),
)

#: Made only on request: by `make lock`, `make audit` and `make test`. In `clients`, npm is a
#: Python package too, so a machine needs no installed node.
EXTRAS = (
    Environment("lock", LOCAL / "lock"),
    Environment("clients", LOCAL / "clients", node_packages=ROOT / "requirements" / "clients"),
    Environment("audit", LOCAL / "audit"),
)


def main(names: list[str]) -> int:
    """Make the named environments, or those of everyday work."""
    wanted = (
        [each for each in (*ENVIRONMENTS, *EXTRAS) if each.name in names] if names else ENVIRONMENTS
    )
    try:
        missing = [each for each in wanted if not each.is_current()]
        if missing:
            require_supported_python(sys.version_info[:2])
            ensure_venv_works()
            with ThreadPoolExecutor(max_workers=2) as pool:
                list(pool.map(make, missing))
    except ToolFailure as failure:
        print(f"setup: {failure}", file=sys.stderr)
        return 1
    return 0


def require_supported_python(version: tuple[int, ...]) -> None:
    """Refuse an interpreter for which AWS Lambda has no runtime that we support."""
    if not OLDEST <= version <= NEWEST:
        found = ".".join(map(str, version))
        raise ToolFailure(
            f"Python 3.11 to 3.14 is needed, {sys.executable} is {found}. "
            "Install one, or name it: make PYTHON=/path/to/python3.13"
        )


def ensure_venv_works() -> None:
    """Install what Debian leaves out of its Python, where we may, or say what to install."""
    if importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"):
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ToolFailure(
            f"{sys.executable} cannot make virtual environments. "
            f"Install Debian's {package} (sudo apt-get install {package}), then try again."
        )
    say(f"this Python has no venv: apt-get install {package}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", package],
    ):
        if subprocess.run(command, env=environment, check=False).returncode:
            raise ToolFailure(f"`{' '.join(command)}` failed: see above.")


def make(environment: Environment) -> None:
    """Make one new environment."""
    began = time.monotonic()
    say(f"{environment.name}: installing into {environment.folder.relative_to(ROOT)} …")
    shutil.rmtree(environment.folder, ignore_errors=True)
    pip = [str(environment.python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run(environment, [sys.executable, "-m", "venv", str(environment.folder)])
    # The lock is complete: pip resolves no versions. Python compiles each import, once.
    locked = ["--require-hashes", "--no-deps", "--no-compile"]
    run(environment, [*pip, "install", *locked, "--requirement", str(environment.lock)])
    if environment.editable:
        # Everything it needs is there already, setuptools included: this reaches no network.
        offline = ["--no-index", "--no-deps", "--no-build-isolation"]
        editable = [word for folder in environment.editable for word in ("--editable", str(folder))]
        run(environment, [*pip, "install", *offline, *editable])
    if environment.node_packages:
        folder = environment.folder / "node"
        folder.mkdir()
        for name in NODE_FILES:
            shutil.copy(environment.node_packages / name, folder)
        # `ci` installs what the lock names and checks each hash; a package runs nothing meanwhile.
        ci = ["ci", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund"]
        run(environment, [str(environment.folder / "bin" / "npm"), *ci])
    environment.stamp.write_text(environment.recipe())
    say(f"{environment.name}: ready after {time.monotonic() - began:.0f} s")


def run(environment: Environment, command: list[str]) -> None:
    """Run a step of an installation."""
    log = LOCAL / "logs" / f"setup-{environment.name}.log"
    run_logged(f"{environment.name}: `{' '.join(command)}`", command, log)


def say(text: str) -> None:
    """Tell the person what is going on."""
    # In one piece: two environments are made at a time.
    sys.stdout.write(f"setup: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
