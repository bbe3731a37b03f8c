"""Where things are in a checkout."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Everything that the tools make and nobody commits, but for `.venv` and SAM's own `.aws-sam`.
LOCAL = ROOT / ".local"

TEMPLATE = ROOT / "template.yaml"
BUILD = ROOT / ".aws-sam" / "build"
BUILT_TEMPLATE = BUILD / "template.yaml"

SAM = LOCAL / "sam" / "bin" / "sam"
CADDY = LOCAL / "cloud" / "bin" / "caddy"
CLOUD_PYTHON = LOCAL / "cloud" / "bin" / "python"
MICROBURST = LOCAL / "faults" / "bin" / "microburst"
