"""Sizes of the deployed packages, zipped as SAM does."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from bench import artifacts
from bench.figures import Budget, Figure
from tools.paths import BUILD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEGABYTE = 1024 * 1024
RESOLVER = Budget(12)


def figures() -> Iterator[Figure]:
    """Yield the size of each layer, and of the largest function."""
    for layer, budget in (("ResolverLayer", RESOLVER), ("ChannelsLayer", None)):
        unpacked = sum(path.stat().st_size for path in files(BUILD / layer)) / MEGABYTE
        yield Figure(
            row="sizes", what=f"{layer}, zipped", value=zipped(BUILD / layer) / MEGABYTE,
            unit="MB", budget=budget, note=f"{unpacked:.0f} MB unpacked",
        )  # fmt: skip
    largest = max((zipped(parts["code"]), name) for name, parts in artifacts.functions().items())
    yield Figure(
        row="sizes", what=f"largest function ({largest[1]}), zipped", value=largest[0] / 1024,
        unit="KB",
    )  # fmt: skip


def files(folder: Path) -> list[Path]:
    """Return all files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def zipped(folder: Path) -> int:
    """Return the bytes of a zip file of a folder."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in files(folder):
            packed.write(path, path.relative_to(folder))
    return len(archive.getvalue())
