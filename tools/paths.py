"""Where things are in a checkout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: All uncommitted output of the tools, except `.venv` and SAM's own `.aws-sam`.
LOCAL = ROOT / ".local"

TEMPLATE = ROOT / "template.yaml"
SAMCONFIG = ROOT / "samconfig.toml"
BUILD = ROOT / ".aws-sam" / "build"
BUILT_TEMPLATE = BUILD / "template.yaml"

SAM = LOCAL / "sam" / "bin" / "sam"
CADDY = LOCAL / "cloud" / "bin" / "caddy"
CLOUD_PYTHON = LOCAL / "cloud" / "bin" / "python"


def ports_file(home: Path) -> Path:
    """Return the file with the ports of a local cloud's last start: ``PORT``, ``CLOUD_PORT``."""
    return home / "ports.json"


def service_url(environ: Mapping[str, str]) -> str:
    """Return ``URL``, else the address of the service on this machine, as ``make up`` chose it."""
    if environ.get("URL"):
        return environ["URL"]
    file = ports_file(Path(environ.get("CLOUD_HOME") or LOCAL))
    last = json.loads(file.read_text()) if file.exists() else {}
    return f"http://localhost:{environ.get('PORT') or last.get('PORT', 8080)}"
