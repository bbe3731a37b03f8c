"""Compare the npm packages with published advisories; a part of `make audit`.

They are those of `requirements/clients` and the console's libraries, whose locks are not npm's own.
npm asks the registry in its configuration. A registry that does not respond fails the audit.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import vendor
from tools.failure import reported
from tools.locks import NODE_PACKAGES
from tools.paths import ROOT


@reported
def main() -> int:
    """Audit every lock; return 1 if npm found an advisory for any, or got no response."""
    passed = [_audited(NODE_PACKAGES)]
    for name in vendor.FOLDERS:
        with tempfile.TemporaryDirectory() as place:
            write_lock(ROOT / name, Path(place))
            passed.append(_audited(Path(place), name))
    return 0 if all(passed) else 1


def write_lock(folder: Path, place: Path) -> None:
    """Write the lock of a folder's vendored libraries as npm reads it."""
    versions = {one["name"]: one["version"] for one in vendor.locked(folder)}
    project = {"name": "vendored", "dependencies": versions}
    packages = {f"node_modules/{name}": {"version": version} for name, version in versions.items()}
    lock = {"lockfileVersion": 3, "packages": {"": project, **packages}}
    (place / "package.json").write_text(json.dumps(project))
    (place / "package-lock.json").write_text(json.dumps(lock))


def _audited(folder: Path, name: str | None = None) -> bool:
    print(f"audit: {name or folder.relative_to(ROOT)}", flush=True)
    command = [vendor.npm(), "audit", "--package-lock-only"]
    return subprocess.run(command, cwd=folder, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
