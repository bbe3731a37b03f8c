"""Where things are in a checkout."""

from __future__ import annotations

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
