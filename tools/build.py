"""Build the functions and layers with SAM: for this machine, or for what a stack runs on."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import yaml

from tools.failure import ToolFailure, reported, run_logged
from tools.paths import BUILD, BUILT_TEMPLATE, LOCAL, ROOT, SAM, TEMPLATE

DIGEST = BUILD / ".digest"

CODE = frozenset({"CodeUri", "ContentUri"})
"""Properties that name the code of a function or a layer."""


class Target(NamedTuple):
    """A Lambda runtime and a processor, as the template's parameters name them."""

    runtime: str
    architecture: str


def this_machine() -> Target:
    """Return the runtime and processor that run here."""
    return Target(runtime(), architecture())


def runtime() -> str:
    """Name the Lambda runtime of this interpreter."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def architecture() -> str:
    """Name this machine's processor as Lambda does."""
    return "arm64" if platform.machine().lower() in {"aarch64", "arm64"} else "x86_64"


def sources() -> Iterator[Path]:
    """Yield every file that determines what a build makes, in a stable order."""
    yield TEMPLATE
    yield ROOT / "requirements" / "sam.lock"
    yield ROOT / "tools" / "build.py"
    for folder in ("functions", "layers"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def digest(target: Target) -> str:
    """Return a fingerprint of all that determines what a build makes."""
    whole = hashlib.sha256(" ".join(target).encode())
    for path in sources():
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"\n{path.relative_to(ROOT)} {content}".encode())
    return whole.hexdigest()


def build(target: Target | None = None) -> str:
    """Build what has changed since the last time, and return the fingerprint of the result."""
    target = target or this_machine()
    with one_at_a_time():
        wanted = digest(target)
        if DIGEST.exists() and DIGEST.read_text() == wanted:
            print("build: nothing has changed", flush=True)
            return wanted
        began = time.monotonic()
        print(f"build: sam build for {target.runtime} on {target.architecture} …", flush=True)
        run_sam_build(target)
        DIGEST.write_text(wanted)
        print(f"build: done after {time.monotonic() - began:.0f} s", flush=True)
        return wanted


def run_sam_build(target: Target) -> None:
    """Run `sam build`."""
    variables = environment(target)
    DIGEST.unlink(missing_ok=True)
    parameters = f"Runtime={target.runtime} Architecture={target.architecture}"
    command = [
        *(str(SAM), "build", "--template-file", str(TEMPLATE), "--build-dir", str(BUILD)),
        *("--parameter-overrides", parameters),
    ]
    run_logged("sam build", command, LOCAL / "logs" / "build.log", variables)
    # JSON is YAML too. SAM parses the template at each step of a deployment, and tries JSON first:
    # that takes a fiftieth of the time.
    template = yaml.load(BUILT_TEMPLATE.read_text(), yaml.CSafeLoader)
    for resource in template["Resources"].values():
        # Folders that make has built contain libraries. SAM would compress them, for 2 s of CPU,
        # in every deployment; a file is uploaded as it is.
        if resource.get("Metadata", {}).get("BuildMethod") == "makefile":
            properties = resource["Properties"]
            for code in CODE & properties.keys():
                properties[code] = compress(BUILD / properties[code]).name
    BUILT_TEMPLATE.write_text(json.dumps(template, indent=1) + "\n")


def compress(folder: Path) -> Path:
    """Write a folder's zip file beside it, with the modes of its files, as SAM does.

    Equal contents give equal bytes, so that an unchanged layer keeps its version.
    """
    target = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(target, "w") as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                # An entry without a time is dated 1980.
                entry = zipfile.ZipInfo(str(path.relative_to(folder)))
                entry.external_attr = path.stat().st_mode << 16
                packed.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return target


def interpreter(runtime_name: str) -> str:
    """Return the Python that builds for a runtime: bytecode is good for one version alone."""
    if runtime_name == runtime():
        return sys.executable
    found = shutil.which(runtime_name)
    if found is None:
        raise ToolFailure(
            f"{runtime_name} is not installed here, and only it can build for itself. Install it, "
            "build in a container (`sam build --use-container`, see docs/deploy.md), or deploy for "
            f'the Python of this machine: PARAMETERS="Runtime={runtime()} …"'
        )
    return found


def environment(target: Target) -> dict[str, str]:
    """Return this process's environment with what the layers' makefiles want to know."""
    # A make that runs this one passes its own flags on, which are not meant for the layers'.
    kept = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    kept.pop("MFLAGS", None)
    # Bytecode elsewhere would be missing in the layers.
    kept.pop("PYTHONPYCACHEPREFIX", None)
    python = interpreter(target.runtime)
    # The functions' runtime must be on PATH: SAM asks for it by its name.
    kept["PATH"] = os.pathsep.join([str(Path(python).parent), kept.get("PATH", "")])
    return kept | {
        "LAYER_PYTHON": python,
        "LAYER_ARCHITECTURE": target.architecture,
        "SAM_CLI_TELEMETRY": "0",
    }


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Prevent parallel builds: tests may run beside `make up`."""
    LOCAL.mkdir(exist_ok=True)
    with (LOCAL / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@reported
def main() -> int:
    """Build, and say plainly what went wrong if it did."""
    build()
    return 0


if __name__ == "__main__":
    sys.exit(main())
