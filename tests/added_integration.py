"""Run tests in a copy of the repository that has the integration of docs/adding-an-integration.md.

`make added` runs all tests that need no cloud; with arguments, they are pytest's. The copy gets the
two files of the page and what `make generate` writes; nothing else is changed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.paths import LOCAL, ROOT

PAGE = "docs/adding-an-integration.md"
PLACES = (
    "layers/resolver/dispatcher/integrations/ntfy.py",
    "layers/channels/channels/ntfy.py",
)
SUITES = ("unit", "functions", "cli", "template", "adapters", "tools")


def copied(folder: Path) -> Path:
    """Copy what git knows, or would after `git add`, and put the page's files in their places."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    for tools in (ROOT / ".venv", LOCAL):
        (folder / tools.name).symlink_to(tools)
    files = re.findall(r"(?ms)^```python\n(.*?)^```$", (folder / PAGE).read_text())
    for place, text in zip(PLACES, files, strict=True):
        (folder / place).write_text(text)
    return folder


def run(folder: Path, *arguments: str) -> int:
    """Run a module of Python in the copy; its packages come before those that are installed."""
    # Neither a worker of xdist nor coverage is inherited: this is a separate run.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "COV_"))
    }
    path = os.pathsep.join(("layers/resolver", "layers/channels", "cli"))
    command = [sys.executable, "-m", *arguments]
    settings = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=folder, env={**inherited, **settings}, check=False
    ).returncode


def main(arguments: list[str]) -> int:
    """Make the copy, generate, and test."""
    with tempfile.TemporaryDirectory(prefix="added-integration-") as name:
        folder = copied(Path(name))
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
        if failed := run(folder, "tools.generate"):
            return failed
        tests = arguments or ["-n", "2", *(f"tests/{suite}" for suite in SUITES)]
        return run(folder, "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
