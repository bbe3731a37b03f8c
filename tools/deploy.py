"""`make deploy ENV=dev`: build for this machine's Python and processor, and deploy just that.

Only what is named here is set: the environment of samconfig.toml, PARAMETERS, and what was built.
All other parameters keep the value that the stack has.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tools.build import architecture, build, runtime
from tools.failure import ToolFailure
from tools.parameters import (
    declared,
    environments,
    parse,
    profile,
    require_allowed,
    unknown,
    write_for_sam,
)
from tools.paths import BUILT_TEMPLATE, LOCAL, ROOT, SAM, TEMPLATE

SAMCONFIG = ROOT / "samconfig.toml"
HERE = "local"
"""The environment of `make up`."""


def main() -> int:
    """Deploy the environment that ENV names; YES=1 asks nothing."""
    try:
        return deploy(
            os.environ.get("ENV", ""),
            parse(os.environ.get("PARAMETERS", "")),
            ask=os.environ.get("YES", "") != "1",
        )
    except ToolFailure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1


def deploy(environment: str, overrides: dict[str, str], *, ask: bool) -> int:
    """Build, and let SAM deploy; return its exit code."""
    known = sorted(environments(SAMCONFIG) - {"default", HERE})
    if environment not in known:
        raise ToolFailure(f"ENV={environment} is no environment: name one of {', '.join(known)}")
    chosen = settled(profile(SAMCONFIG, environment), overrides)
    build()
    file = LOCAL / f"parameters-{environment}.yaml"
    command = [
        *(str(SAM), "deploy", "--template-file", str(BUILT_TEMPLATE)),
        *("--config-file", str(SAMCONFIG), "--config-env", environment),
        *("--parameter-overrides", write_for_sam(chosen, file)),
        *(() if ask else ("--no-confirm-changeset",)),
    ]
    quiet = os.environ | {"SAM_CLI_TELEMETRY": "0"}
    return subprocess.run(command, cwd=ROOT, env=quiet, check=False).returncode


def settled(profile: dict[str, str], overrides: dict[str, str]) -> dict[str, str]:
    """Return the parameters to set: what was built, the environment's, then those of the person."""
    built = {"Runtime": runtime(), "Architecture": architecture()}
    for name, value in overrides.items():
        if name not in declared(TEMPLATE):
            raise ToolFailure(unknown(name, list(declared(TEMPLATE))))
        if built.get(name, value) != value:
            raise ToolFailure(
                f"{name}={value} is not what this machine builds ({built[name]}). "
                "Another Python: make deploy PYTHON=/path/to/python3.13"
            )
    chosen = {**profile, **built, **overrides}
    require_allowed(TEMPLATE, chosen)
    return chosen


if __name__ == "__main__":
    sys.exit(main())
