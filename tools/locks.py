"""Write every lock file again from the requirements beside it: `make lock`.

`SOURCES` is the one list of locks: `make audit` reads it too, with `--list`.
A lock holds versions and hashes, and no address: each user's own settings of pip and npm say where
packages come from. One lock serves every Python and platform that we support.
"""

from __future__ import annotations

import subprocess
import sys

from tools.paths import LOCAL, ROOT

DEV_LOCK = "requirements/dev.lock"
NODE_PACKAGES = ROOT / "requirements" / "clients"

#: The parts that ship; the lock of each lies beside its requirements.
SHIPPED = ("layers/resolver", "layers/channels", "functions/authorize_request")

#: email-validator needs it only to look domains up, which we never do: 1 MB less in the layer.
UNUSED = ("--no-emit-package", "dnspython")

#: Lock file → its sources; last the locks that follow the versions of dev.
SOURCES = {
    **{
        f"requirements/{file.stem}.lock": [f"requirements/{file.name}"]
        for file in sorted((ROOT / "requirements").glob("*.txt"))
        if file.stem != "dev"
    },
    DEV_LOCK: [
        "requirements/dev.txt",
        "cli/pyproject.toml",
        *(f"{folder}/requirements.txt" for folder in SHIPPED),
    ],
    **{f"{folder}/requirements.lock": [f"{folder}/requirements.txt"] for folder in SHIPPED},
}


def main(options: list[str]) -> int:
    """Resolve each list of requirements; stop at the first that has no solution.

    Versions that a lock holds stay while they fit, unless `options` has `--upgrade`. `--list`
    prints the locks and changes none.
    """
    if options == ["--list"]:
        print(*SOURCES, sep="\n")
        return 0
    for lock, sources in SOURCES.items():
        print(f"lock: {lock}", flush=True)
        # Shipped packages have the versions that were tested.
        shipped = [] if lock.startswith("requirements/") else ["--constraint", DEV_LOCK, *UNUSED]
        command = [
            *(str(LOCAL / "lock" / "bin" / "uv"), "pip", "compile", "--quiet"),
            *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-strip-extras"),
            *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
            *options,
            *(*shipped, *sources, "--output-file", lock),
        ]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code:
            return code
    print("lock: requirements/clients/package-lock.json", flush=True)
    command = [
        *(str(LOCAL / "lock" / "bin" / "npm"), "update" if options else "install"),
        *("--package-lock-only", "--omit-lockfile-registry-resolved", "--no-audit", "--no-fund"),
    ]
    return subprocess.run(command, cwd=NODE_PACKAGES, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
