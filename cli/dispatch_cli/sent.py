"""The IDs of the requests that this program sent, so that ``doctor`` finds them.

The history of the service lists deliveries, and a request whose integrations were all skipped has
none. The memory is a help: a folder that cannot be written, or a damaged file, is no error.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from dispatch_cli.failures import UsageFailure
from dispatch_cli.settings import folder, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REMEMBERED = 100
"""Requests that are remembered, over all services and users."""


def remember(environ: Mapping[str, str], url: str, user: str, request_id: str) -> None:
    """Store the ID of a request to a user at a service."""
    with suppress(OSError, UsageFailure):
        newest = [url, user, request_id]
        others = [entry for entry in _entries(_file(environ)) if entry != newest]
        entries = [newest, *others][:REMEMBERED]
        text = ",\n".join(json.dumps(entry) for entry in entries)
        write_private(_file(environ), f"[\n{text}\n]\n")


def recall(environ: Mapping[str, str], url: str, user: str) -> list[str]:
    """Return the IDs of the requests to a user at a service, the newest first."""
    try:
        entries = _entries(_file(environ))
    except UsageFailure:
        return []
    return [
        request_id
        for sent_url, sent_user, request_id in entries
        if (sent_url, sent_user) == (url, user)
    ]


def _file(environ: Mapping[str, str]) -> Path:
    return folder(environ, "XDG_STATE_HOME", ".local/state") / "requests.json"


def _entries(file: Path) -> list[list[str]]:
    """Return address, user and ID of each request."""
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return [
        entry
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, list) and list(map(type, entry)) == [str, str, str]
    ]
