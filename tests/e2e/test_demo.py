"""`make demo` as a whole, against the suite's own cloud."""

from __future__ import annotations

import os
import subprocess
import sys

from tools.demo import SCENES
from tools.paths import ROOT


def test_the_demo_comes_out_right_twice(cloud, stack):
    """Every scene is played, every check holds, and it can be repeated."""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "tools.demo", str(cloud.stack_file)],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "120"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

        assert done.returncode == 0, done.stdout + done.stderr
        for number, scene in enumerate(SCENES, start=1):
            assert f"\n{number}  {scene.title}\n" in done.stdout
        assert "checks came out right" in done.stdout
        assert done.stderr == ""
