"""Send thousands of generated requests to the running API, and check each response.

`make fuzz-api` does it, with schemathesis. Where the service asks for credentials, CREDENTIALS
names a file in the format of Web Fuzzing Commons, whose entries are users that must not see each
other's objects; the name of an entry is the user's ID:

    {"auth": [{"name": "ada", "fixedHeaders": [{"name": "Authorization", "value": "Bearer …"}]}]}

Then it is also tried whether a route works without credentials, and whether another user may do
what the first one may with theirs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.paths import LOCAL, ROOT, ports_file

PROGRAM = LOCAL / "fuzz" / "bin" / "schemathesis"
CONFIG = ROOT / "tests" / "data" / "schemathesis.toml"
DOCUMENT = ROOT / "docs" / "openapi.json"

NEED_CREDENTIALS = "ignored_auth,object_level_authorization"


@dataclass(frozen=True)
class Verdict:
    """The result of a run."""

    cases: int
    passed: bool
    output: str


def fuzz(
    url: str,
    *,
    home: Path,
    cases: int,
    seed: int,
    phases: str = "examples,coverage,fuzzing,stateful",
    credentials: Path | None = None,
) -> Verdict:
    """Run schemathesis against the API; its report and its settings are kept in `home`."""
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "schemathesis.toml"
    settings.write_text(CONFIG.read_text() + (_peers(credentials) if credentials else ""))
    operations = sum(map(len, json.loads(DOCUMENT.read_text())["paths"].values()))
    command = [
        *(str(PROGRAM), "--config-file", str(settings), "run", str(DOCUMENT), "--url", url),
        *("--max-examples", str(max(1, cases // operations)), "--seed", str(seed)),
        # One worker: two of its threads trip over each other in Python 3.11's own parser.
        *("--workers", "1", "--continue-on-failure", "--checks", "all", "--phases", phases),
        *([] if credentials else ["--exclude-checks", NEED_CREDENTIALS]),
    ]
    done = subprocess.run(
        command,
        # It keeps a cache where it stands.
        cwd=home,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "NO_PROXY": "*",
            "COLUMNS": "100",
            "CREDENTIALS": str(credentials.resolve()) if credentials else "",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    (home / "schemathesis.log").write_text(output)
    counted = re.search(r"([\d,]+) generated", output)
    return Verdict(
        cases=int(counted[1].replace(",", "")) if counted else 0,
        passed=done.returncode == 0,
        output=output,
    )


def _peers(credentials: Path) -> str:
    """Return the settings for several users, the first of whom owns the paths."""
    names = [one["name"] for one in json.loads(credentials.read_text())["auth"]]
    return f"""
[auth.wfc]
path = {json.dumps(str(credentials.resolve()))}
peers = {json.dumps(names)}
[parameters]
"path.user_id" = {json.dumps(names[0])}
"""


def service_url(environ) -> str:
    """Return ``URL``, else the address of the service on this machine, as ``make up`` chose it."""
    if environ.get("URL"):
        return environ["URL"]
    file = ports_file(Path(environ.get("CLOUD_HOME") or LOCAL))
    last = json.loads(file.read_text()) if file.exists() else {}
    return f"http://localhost:{environ.get('PORT') or last.get('PORT', 8080)}"


def main() -> int:
    """Run it as the environment says."""
    named = os.environ.get("CREDENTIALS", "")
    verdict = fuzz(
        service_url(os.environ),
        home=LOCAL / "logs",
        cases=int(os.environ.get("CASES") or 5000),
        seed=int(os.environ.get("SEED") or 1),
        credentials=Path(named) if named else None,
    )
    print(verdict.output)
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main())
