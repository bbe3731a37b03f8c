"""Copy the console's libraries from npm, or check their bytes: `make vendor`.

    python -m tools.vendor [--check]

Each folder has a `vendor.lock.json` with name, version, license, the file inside the package, and
its SHA-256. To update a library, change its version, remove its hash, run `make vendor`, and review
the difference. The licenses are written to `LICENSES.txt`. npm gets the packages from the registry
in its configuration. ``--check`` needs neither npm nor the network.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NotRequired, TypedDict

from tools.failure import ToolFailure, reported
from tools.paths import LOCAL, ROOT

FOLDERS = ("functions/get_console/static/vendor", "tests/console/vendor")
LOCK = "vendor.lock.json"
LICENSES = "LICENSES.txt"


class Vendored(TypedDict):
    """A file of an npm package, as the lock names it."""

    name: str
    version: str
    source: str
    file: str
    license: str
    sha256: NotRequired[str]


@reported
def main(arguments: list[str]) -> int:
    """Copy all files, or with ``--check`` compare them with the locks."""
    act = check if "--check" in arguments else copy
    for folder in FOLDERS:
        act(ROOT / folder)
    return 0


def check(folder: Path) -> None:
    """Raise ``ToolFailure`` unless the folder has exactly the files and bytes of its lock."""
    lock = locked(folder)
    for entry in lock:
        file = folder / entry["file"]
        if not file.exists() or _sha256(file.read_bytes()) != entry.get("sha256"):
            raise ToolFailure(f"{file} is not the file of {LOCK}: make vendor")
    unknown = {path.name for path in folder.iterdir()} - {one["file"] for one in lock}
    if unknown != {LOCK, LICENSES}:
        raise ToolFailure(f"{folder} has other files than {LOCK} names: {', '.join(unknown)}")


def copy(folder: Path) -> None:
    """Write the folder's files from npm; raise ``ToolFailure`` if bytes differ from the lock."""
    lock, licenses = locked(folder), []
    for (name, version), package in _packages(lock):
        licenses.append(f"{name} {version}\n\n{_text(package, 'LICENSE').strip()}\n")
        for entry in lock:
            if entry["name"] == name:
                content = (package / entry["source"]).read_bytes()
                if entry.setdefault("sha256", _sha256(content)) != _sha256(content):
                    raise ToolFailure(
                        f"{name} {version} has another {entry['source']} than {LOCK} says"
                    )
                (folder / entry["file"]).write_bytes(content)
    (folder / LICENSES).write_text(("\n" + "-" * 78 + "\n\n").join(licenses), "utf-8")
    (folder / LOCK).write_text(json.dumps(lock, indent=2) + "\n", "utf-8")


def _packages(lock: list[Vendored]) -> Iterator[tuple[tuple[str, str], Path]]:
    """Yield each package of a lock, unpacked."""
    for name, version in dict.fromkeys((one["name"], one["version"]) for one in lock):
        with tempfile.TemporaryDirectory() as place:
            command = [npm(), "pack", "--silent", "--ignore-scripts", f"{name}@{version}"]
            done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ToolFailure(f"npm pack {name}@{version} failed: {done.stderr.strip()}")
            [archive] = Path(place).glob("*.tgz")
            with tarfile.open(archive) as packed:
                packed.extractall(place, filter="data")
            yield (name, version), Path(place) / "package"


def npm() -> str:
    """Return the installed npm, or that of a local environment."""
    for place in ("npm", LOCAL / "clients" / "bin" / "npm", LOCAL / "lock" / "bin" / "npm"):
        if found := shutil.which(place):
            return str(found)
    raise ToolFailure("npm is missing: install it, or run make clients")


def locked(folder: Path) -> list[Vendored]:
    """Return the entries of a folder's lock."""
    lock: list[Vendored] = json.loads(_text(folder, LOCK))
    return lock


def _text(folder: Path, name: str) -> str:
    return (folder / name).read_text("utf-8")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
